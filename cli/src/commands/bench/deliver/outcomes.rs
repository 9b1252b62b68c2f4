//! What the log says about deliveries.

use mainspring_eventlog::Position;
use mainspring_schemas::{
    Timestamp,
    event::{DeliveryEvent, delivery::AttemptResult},
};

use crate::compose::System;

/// Records read at a time.
const PAGE: usize = 8192;

/// Webhooks delivered from a position on, as far as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Outcomes {
    /// How many.
    pub delivered: u64,
    /// When the first attempt of them began.
    pub began: Timestamp,
    /// When the last of them was recorded.
    pub last: Timestamp,
    next: Position,
}

impl Outcomes {
    /// Nothing was read yet.
    pub fn from(position: Position) -> Self {
        Self { delivered: 0, began: Timestamp(i64::MAX), last: Timestamp(0), next: position }
    }

    /// Reads on to the end of the log.
    pub async fn read(&mut self, system: &System) -> anyhow::Result<()> {
        loop {
            let records = system.engine.log().read_all(self.next, PAGE).await?;
            let Some(last) = records.last() else { return Ok(()) };
            self.next = last.position + 1;
            for record in records.iter().filter(|record| record.stream.category() == "deliveries") {
                let event =
                    DeliveryEvent::decode(&record.event_type, record.schema_version, &record.payload)?;
                let DeliveryEvent::Attempted(attempted) = event else { continue };
                if attempted.result == AttemptResult::Delivered {
                    self.delivered += 1;
                    self.began = self.began.min(attempted.at.plus(-i64::from(attempted.duration_ms)));
                    self.last = self.last.max(record.recorded_at);
                }
            }
        }
    }
}
