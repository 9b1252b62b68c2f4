//! Questions about buckets.

use std::collections::BTreeMap;

use mainspring_schemas::{BucketId, Timestamp};

use super::ReadModels;
use crate::{
    bucket_statistics::{self, BucketFigures, BucketRow, Overview, Period, PeriodPoint},
    error::Result,
};

/// Questions about buckets. All of them fail only if the database does.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl ReadModels {
    /// A bucket that was ever defined: newest definition, switch, back-fill.
    pub fn bucket(&self, bucket: &BucketId) -> Result<Option<BucketRow>> {
        self.ask(|connection| bucket_statistics::bucket(connection, bucket))
    }

    /// Every bucket that was ever defined, retired ones included, in the order of first definition.
    pub fn buckets(&self) -> Result<Vec<BucketRow>> {
        self.ask(bucket_statistics::buckets)
    }

    /// Names of every bucket that was ever defined, retired ones included.
    pub fn bucket_names(&self) -> Result<BTreeMap<BucketId, String>> {
        self.ask(bucket_statistics::names)
    }

    /// Figures of one bucket; zeroes if it never had a stay (BK-224).
    pub fn bucket_figures(&self, bucket: &BucketId) -> Result<BucketFigures> {
        self.ask(|connection| bucket_statistics::figures(connection, bucket))
    }

    /// Figures of every bucket that ever had a stay.
    pub fn all_bucket_figures(&self) -> Result<BTreeMap<BucketId, BucketFigures>> {
        self.ask(bucket_statistics::all_figures)
    }

    /// Activity of a bucket by period, ascending, only periods with activity; both ends are inclusive instants (BK-225).
    pub fn bucket_points(
        &self,
        bucket: &BucketId,
        period: Period,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<PeriodPoint>> {
        self.ask(|connection| bucket_statistics::points(connection, bucket, period, from, to))
    }

    /// Figures over all buckets that are not retired (BK-226).
    pub fn bucket_overview(&self) -> Result<Overview> {
        self.ask(bucket_statistics::overview)
    }
}
