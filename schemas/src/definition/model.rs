//! A bucket as its author defines it, in canonical long form.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reaction::{Reaction, Schedule};
use crate::{
    BucketId,
    criteria::{Criteria, criteria_hash, present::present},
    duration::DurationSpec,
};

/// A named predicate over contacts, and how its transitions are announced (BK-10 to BK-25).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BucketDefinition {
    /// Part of event names and URLs; a changed id is another bucket (BK-10).
    #[schemars(with = "String", regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"))]
    pub id: BucketId,
    /// Shown to people, and `bucketName` in transitions (BK-11).
    #[schemars(length(min = 1))]
    pub name: String,
    /// Shown to people (BK-12).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "String")]
    pub description: Option<String>,
    /// Static switch: `false` is registered and listed, never evaluated (BK-13).
    pub enabled: bool,
    /// How membership comes about; `dynamic` if unset (BK-14).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "BucketKind")]
    pub kind: Option<BucketKind>,
    /// Who is a member (BK-15).
    pub criteria: Criteria,
    /// Which joins are announced; `unlimited` if unset. Never decides membership (BK-16).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "EntryLimit")]
    pub entry_limit: Option<EntryLimit>,
    /// Cool-down of `once_per_period` (BK-17).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "DurationSpec")]
    pub entry_period: Option<DurationSpec>,
    /// A leave is deferred until the stay is this old (BK-18).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "DurationSpec")]
    pub min_dwell: Option<DurationSpec>,
    /// The stay ends unconditionally when it is this old (BK-19).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "DurationSpec")]
    pub max_dwell: Option<DurationSpec>,
    /// How many members that are past the threshold of a dwell schedule when it comes may fire within a minute; all of
    /// them at once if unset (BK-138).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "NonZeroU32")]
    pub dwell_catch_up_per_minute: Option<NonZeroU32>,
    /// Marks the bucket as time-based even without a window; `false` has no effect on a windowed one (BK-20).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "bool")]
    pub time_based: Option<bool>,
    /// Advisory, shown only (BK-21).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "DurationSpec")]
    pub reconcile_every: Option<DurationSpec>,
    /// `false` switches joins by the clock off; on if unset (BK-22).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "bool")]
    pub reconcile_joins: Option<bool>,
    /// Accepted and shown; every time-based bucket expires promptly (BK-23, BK-161).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "bool")]
    pub fast_expiry: Option<bool>,
    /// Mirrors membership to a person property of the analytics provider (BK-24).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "bool")]
    pub sync_to_post_hog: Option<bool>,
    /// The name of that property; `hogsend_bucket_<id>` if unset (BK-25).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "String", length(min = 1))]
    pub post_hog_property_key: Option<String>,
    /// What it does when a member enters, leaves or dwells (BK-120).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Reaction>,
}

/// How membership of a bucket comes about (BK-14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BucketKind {
    /// By criteria.
    #[default]
    Dynamic,
    /// By hand; refused when a definition is loaded.
    Manual,
}

/// Which joins of one contact are announced (BK-16, BK-85).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryLimit {
    /// The first.
    Once,
    /// Those that come at least `entryPeriod` after the last leave.
    OncePerPeriod,
    /// All.
    #[default]
    Unlimited,
}

impl BucketDefinition {
    /// A definition of the required fields alone.
    pub fn new(id: BucketId, name: impl Into<String>, criteria: Criteria) -> Self {
        Self {
            id,
            name: name.into(),
            description: None,
            enabled: true,
            kind: None,
            criteria,
            entry_limit: None,
            entry_period: None,
            min_dwell: None,
            max_dwell: None,
            dwell_catch_up_per_minute: None,
            time_based: None,
            reconcile_every: None,
            reconcile_joins: None,
            fast_expiry: None,
            sync_to_post_hog: None,
            post_hog_property_key: None,
            reactions: Vec::new(),
        }
    }

    /// The schedules by which its members dwell, in order.
    pub fn schedules(&self) -> impl Iterator<Item = &Schedule> {
        self.reactions.iter().filter_map(Reaction::schedule)
    }

    /// Digest of the criteria, the only part whose change decides members anew (BK-180, BK-181).
    pub fn criteria_hash(&self) -> String {
        criteria_hash(&self.criteria)
    }

    /// Whether the clock alone can change membership, or the author says so (BK-20).
    pub fn effective_time_based(&self) -> bool {
        self.time_based == Some(true) || self.criteria.is_windowed()
    }

    /// Which joins are announced (BK-16).
    pub fn effective_entry_limit(&self) -> EntryLimit {
        self.entry_limit.unwrap_or_default()
    }

    /// Whether the clock may make contacts join (BK-22).
    pub fn joins_by_clock(&self) -> bool {
        self.reconcile_joins != Some(false)
    }

    /// The person property that mirrors membership, if it is mirrored (BK-24, BK-25).
    pub fn mirrored_property(&self) -> Option<String> {
        let key =
            || self.post_hog_property_key.clone().unwrap_or_else(|| format!("hogsend_bucket_{}", self.id));
        (self.sync_to_post_hog == Some(true)).then(key)
    }
}
