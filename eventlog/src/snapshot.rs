//! Snapshots: disposable copies of an actor's state, so that waking it need not read its whole stream.

use async_trait::async_trait;
use mainspring_schemas::StreamName;

use crate::{LogError, Version};

/// A state as of a version of its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Version of the last record that the state contains.
    pub version: Version,
    /// Version of the state's own encoding; another one is ignored by the reader.
    pub schema_version: u16,
    /// The encoded state.
    pub payload: Vec<u8>,
}

/// Keeps the newest snapshot of each stream. Losing all of them costs time, never correctness.
#[async_trait]
pub trait SnapshotStore: Send + Sync + 'static {
    /// Keeps `snapshot` instead of an older one of the same stream; returns before it is stored.
    fn save(&self, stream: &StreamName, snapshot: Snapshot);

    /// The newest snapshot kept, if any.
    ///
    /// # Errors
    /// See [`LogError`]. Callers may treat an error as "none".
    async fn load(&self, stream: &StreamName) -> Result<Option<Snapshot>, LogError>;

    /// Waits until everything saved so far is stored.
    async fn flush(&self);

    /// Forgets the snapshot of a stream.
    fn remove(&self, stream: &StreamName);
}
