//! The projections there are: name, schema version, tables.

use crate::{bucket_statistics, contacts, delivery_queue, memberships};

/// A projection: a group of tables with a checkpoint of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Projection {
    /// Live contacts and their keys.
    Contacts,
    /// Stays of contacts in buckets.
    Memberships,
    /// Figures and definitions of buckets.
    BucketStatistics,
    /// Endpoints, deliveries, attempts, dead letters.
    DeliveryQueue,
}

/// A table, its key in order, and its columns that may hold personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// Its name.
    pub name: &'static str,
    /// The columns of its key.
    pub key: &'static [&'static str],
    /// Columns whose values are never shown (invariant 9).
    pub personal: &'static [&'static str],
}

/// What a projection needs of the database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema {
    /// Tables, and the indexes that writing needs.
    pub tables_sql: &'static str,
    /// Indexes that only reading needs; a rebuild makes them at the end.
    pub indexes_sql: &'static str,
    /// The tables.
    pub tables: &'static [Table],
}

impl Projection {
    /// All projections, in the order in which they are handed a record.
    pub const ALL: [Self; 4] =
        [Self::Contacts, Self::Memberships, Self::BucketStatistics, Self::DeliveryQueue];

    /// Its name in commands, reports and the checkpoint.
    pub fn name(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Memberships => "memberships",
            Self::BucketStatistics => "bucket_statistics",
            Self::DeliveryQueue => "delivery_queue",
        }
    }

    /// The projection of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|projection| projection.name() == name)
    }

    /// Version of its tables and of what its projector makes; another one stored means: rebuild.
    pub fn schema_version(self) -> u32 {
        match self {
            Self::Contacts => 3,
            Self::DeliveryQueue => 5,
            Self::Memberships | Self::BucketStatistics => 2,
        }
    }

    /// Its tables.
    pub(crate) fn schema(self) -> Schema {
        match self {
            Self::Contacts => contacts::SCHEMA,
            Self::Memberships => memberships::SCHEMA,
            Self::BucketStatistics => bucket_statistics::SCHEMA,
            Self::DeliveryQueue => delivery_queue::SCHEMA,
        }
    }

    /// Projections that must be replayed with it, because it counts what they make.
    pub(crate) fn needs(self) -> &'static [Self] {
        match self {
            Self::BucketStatistics => &[Self::Memberships],
            _ => &[],
        }
    }
}
