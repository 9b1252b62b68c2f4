//! What an import leaves behind: one document, or a table.

use std::collections::BTreeMap;

use mainspring_projections::ReadModels;
use serde::Serialize;

use crate::output;

/// Stays of one bucket, announced or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// How many began.
    entered: u64,
    /// How many ended.
    left: u64,
    /// How many go on.
    members: u64,
}

/// The figures of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Records of the file that are in the log, up to where the history ends.
    records: u64,
    /// By bucket.
    buckets: BTreeMap<String, Figures>,
}

impl Summary {
    /// Asks the read models, which have caught up.
    pub fn of(records: u64, models: &ReadModels) -> anyhow::Result<Self> {
        let mut buckets = BTreeMap::new();
        for bucket in models.buckets()?.into_iter().filter(|bucket| bucket.retired_at.is_none()) {
            let figures = models.bucket_figures(&bucket.id)?;
            let figures = Figures { entered: figures.entered, left: figures.left, members: figures.size };
            buckets.insert(bucket.id.to_string(), figures);
        }
        Ok(Self { records, buckets })
    }

    /// Prints it.
    pub fn show(&self, json: bool) -> anyhow::Result<()> {
        if json {
            return output::document(self);
        }
        output::data(format_args!("{} records", self.records));
        let rows = self.buckets.iter().map(|(bucket, figures)| {
            [
                bucket.clone(),
                figures.entered.to_string(),
                figures.left.to_string(),
                figures.members.to_string(),
            ]
        });
        output::table(["BUCKET", "ENTERED", "LEFT", "MEMBERS"], rows);
        Ok(())
    }
}
