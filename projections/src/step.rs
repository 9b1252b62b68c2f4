//! A record with everything that can be said about it without the tables.

use mainspring_eventlog::Recorded;

use crate::{
    delivery_queue::{Cell, FanOut},
    error::Result,
    fact::Fact,
};

/// A decoded record and the deliveries it makes.
#[derive(Debug)]
pub(crate) struct Step {
    /// The record.
    pub fact: Fact,
    /// New deliveries.
    pub deliveries: Vec<Cell>,
}

impl Step {
    /// Decodes records that follow on each other.
    pub fn all(records: Vec<Recorded>, fan_out: &mut FanOut) -> Result<Vec<Self>> {
        let step = |record| {
            let fact = Fact::of(record)?;
            let deliveries = fan_out.take(&fact)?;
            Ok(Self { fact, deliveries })
        };
        records.into_iter().map(step).collect()
    }
}
