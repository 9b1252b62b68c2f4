//! A log in memory, as far as readers need one.

use std::sync::Arc;

use async_trait::async_trait;
use mainspring_eventlog::{Append, AppendError, EventLog, LogError, OnDurable, Position, Recorded, Version};
use mainspring_schemas::StreamName;
use parking_lot::RwLock;
use tokio::sync::Notify;

/// Records in memory, optionally unreadable from a position on.
#[derive(Default)]
pub struct MemoryLog {
    records: RwLock<Vec<Recorded>>,
    broken_from: RwLock<Option<Position>>,
    grown: Notify,
}

impl MemoryLog {
    /// A log of these records.
    pub fn of(records: &[Recorded]) -> Arc<Self> {
        let log = Self::default();
        *log.records.write() = records.to_vec();
        Arc::new(log)
    }

    /// Appends records as they are.
    pub fn push(&self, records: &[Recorded]) {
        self.records.write().extend_from_slice(records);
        self.grown.notify_waiters();
    }

    /// Lets reads fail that would return anything from this position on.
    pub fn break_from(&self, position: Option<Position>) {
        *self.broken_from.write() = position;
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    fn submit(&self, _append: Append, on_durable: OnDurable) {
        on_durable(Err(AppendError::Refused("read-only")));
    }

    fn atomic_streams(&self) -> bool {
        false
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Version,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        let records = self.records.read();
        Ok(records.iter().filter(|r| r.stream == *stream && r.version >= from).take(limit).cloned().collect())
    }

    async fn read_stream_back(
        &self,
        stream: &StreamName,
        from: Option<Version>,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        let records = self.records.read();
        let below = |r: &&Recorded| r.stream == *stream && from.is_none_or(|from| r.version <= from);
        Ok(records.iter().rev().filter(below).take(limit).cloned().collect())
    }

    async fn read_all(&self, from: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let records = self.records.read();
        let from = usize::try_from(from).unwrap();
        let mut to = (from + limit).min(records.len());
        if let Some(broken) = *self.broken_from.read() {
            let broken = usize::try_from(broken).unwrap();
            if from >= broken && from < records.len() {
                return Err(LogError::Unusable("broken on purpose".to_owned()));
            }
            to = to.min(broken);
        }
        Ok(records.get(from..to).map(<[Recorded]>::to_vec).unwrap_or_default())
    }

    fn durable_end(&self) -> Position {
        self.records.read().len() as Position
    }

    async fn wait_past(&self, position: Position) {
        loop {
            let grown = self.grown.notified();
            if self.durable_end() > position {
                return;
            }
            grown.await;
        }
    }

    fn health(&self) -> Result<(), Arc<str>> {
        Ok(())
    }
}
