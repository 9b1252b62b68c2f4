//! Handing records to the engine: in order, many in flight, the oldest awaited first.

use std::collections::VecDeque;

use anyhow::Context;
use compact_str::format_compact;
use mainspring_actors::{
    Engine,
    api::EngineError,
    engine::{Pending, Timing},
};
use mainspring_schemas::Timestamp;

use super::{
    ClockChoice,
    file::{BadLine, History, Place},
};

/// Records in line that nobody has waited for yet.
const IN_FLIGHT: usize = 4096;

/// What became of the records so far.
#[derive(Debug, Default)]
pub struct Fed {
    /// Records that are in the log, those of an earlier run included.
    pub imported: u64,
    /// Of those, records that an earlier run had brought.
    pub repeated: u64,
    /// Lines the engine refused.
    pub refused: Vec<BadLine>,
}

/// Feeds one file.
pub struct Feed<'a> {
    engine: &'a Engine,
    history: &'a History,
    clock: ClockChoice,
    waiting: VecDeque<(u64, Pending)>,
    fed: Fed,
}

impl<'a> Feed<'a> {
    /// A feed of a file into an engine.
    pub fn new(engine: &'a Engine, history: &'a History, clock: ClockChoice) -> Self {
        Self { engine, history, clock, waiting: VecDeque::with_capacity(IN_FLIGHT), fed: Fed::default() }
    }

    /// How many records are through.
    pub fn done(&self) -> u64 {
        self.fed.imported + self.fed.refused.len() as u64
    }

    /// Puts a record in line; waits for the oldest if too many are.
    pub async fn push(&mut self, at: Option<Timestamp>, place: Place) -> anyhow::Result<()> {
        let mut row = self.history.row(place).map_err(anyhow::Error::msg)?;
        if row.call.idempotency_key.is_none() {
            let fingerprint = &self.history.fingerprint;
            row.call.idempotency_key = Some(format_compact!("import:{fingerprint}:{}", place.line));
        }
        let timing = match self.clock {
            ClockChoice::Events => Timing { at, continuous: true },
            ClockChoice::Wall => Timing::default(),
        };
        if self.waiting.len() >= IN_FLIGHT {
            self.take_oldest().await?;
        }
        loop {
            match self.engine.submit_ingest(row.call.clone(), timing).await {
                Ok(pending) => {
                    self.waiting.push_back((place.line, pending));
                    return Ok(());
                }
                // A mailbox is full; what is in line makes room.
                Err(EngineError::Overloaded) if !self.waiting.is_empty() => self.take_oldest().await?,
                Err(error) => return self.refuse(place.line, error),
            }
        }
    }

    async fn take_oldest(&mut self) -> anyhow::Result<()> {
        let Some((line, pending)) = self.waiting.pop_front() else { return Ok(()) };
        match pending.ingested().await {
            Ok(outcome) => {
                self.fed.imported += 1;
                self.fed.repeated += u64::from(!outcome.stored);
                Ok(())
            }
            Err(error) => self.refuse(line, error),
        }
    }

    /// A rule of the domain refuses one line; anything else ends the import.
    fn refuse(&mut self, line: u64, error: EngineError) -> anyhow::Result<()> {
        match error {
            EngineError::Refused(_) | EngineError::NoIdentity | EngineError::DifferentContacts => {
                self.fed.refused.push(BadLine { line, message: error.to_string() });
                Ok(())
            }
            error => Err(error).with_context(|| {
                format!("stopped at line {line}; mend the cause and run the same command again to go on")
            }),
        }
    }

    /// Waits for everything in line.
    pub async fn finish(mut self) -> anyhow::Result<Fed> {
        while !self.waiting.is_empty() {
            self.take_oldest().await?;
        }
        Ok(self.fed)
    }
}
