//! What the actors need to know about all contacts and buckets at once: a port that the read models implement.

use async_trait::async_trait;
use mainspring_eventlog::Position;
use mainspring_schemas::{BucketId, ContactId, EndpointId, Timestamp};

/// A failure of the read models; the caller tries again later.
#[derive(Debug, thiserror::Error)]
#[error("the read models cannot answer: {0}")]
pub struct PopulationError(pub String);

/// Questions over the whole population. Answers may lag behind the log; [`Population::reached`] bounds by how much.
#[async_trait]
pub trait Population: Send + Sync + 'static {
    /// Waits until everything below `position` is reflected.
    async fn reached(&self, position: Position) -> Result<(), PopulationError>;

    /// How many live contacts there are.
    async fn contacts(&self) -> Result<u64, PopulationError>;

    /// The ids of live contacts after `after`, ascending.
    async fn contacts_after(
        &self,
        after: Option<ContactId>,
        limit: usize,
    ) -> Result<Vec<ContactId>, PopulationError>;

    /// Contacts whose wake-up is due at `until` or before, soonest first, after the given one of the order.
    async fn due_wakes(
        &self,
        after: Option<(Timestamp, ContactId)>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Timestamp, ContactId)>, PopulationError>;

    /// Contacts that are deleted and not erased, with the instant of the deletion, the longest deleted first, after the
    /// given one of the order (CT-74).
    async fn deleted_after(
        &self,
        after: Option<(Timestamp, ContactId)>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, ContactId)>, PopulationError>;

    /// Every bucket that was ever defined.
    async fn buckets(&self) -> Result<Vec<BucketId>, PopulationError>;

    /// Every endpoint that was ever created and not deleted.
    async fn endpoints(&self) -> Result<Vec<EndpointId>, PopulationError>;
}
