//! What the actors ask about all contacts at once, answered by the read models.

use std::time::Duration;

use async_trait::async_trait;
use mainspring_actors::population::{Population, PopulationError};
use mainspring_eventlog::Position;
use mainspring_projections::{ProjectionError, ReadModels, RunnerStatus};
use mainspring_schemas::{BucketId, ContactId, EndpointId, Timestamp};

/// How often somebody who waits looks whether the read models still follow.
const GLANCE: Duration = Duration::from_millis(500);

/// The read models as the actors' port.
#[derive(Clone, Debug)]
pub struct Readers(pub ReadModels);

impl Readers {
    /// Asks on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&ReadModels) -> Result<T, ProjectionError> + Send + 'static,
    ) -> Result<T, PopulationError> {
        let models = self.0.clone();
        match tokio::task::spawn_blocking(move || question(&models)).await {
            Ok(answer) => answer.map_err(|error| PopulationError(error.to_string())),
            Err(error) => Err(PopulationError(error.to_string())),
        }
    }
}

#[async_trait]
impl Population for Readers {
    async fn reached(&self, position: Position) -> Result<(), PopulationError> {
        while !self.0.wait_for(position, GLANCE).await {
            match self.0.status() {
                RunnerStatus::Failed(reason) => return Err(PopulationError(reason)),
                RunnerStatus::Stopped => return Err(PopulationError("they were stopped".to_owned())),
                _ => {}
            }
        }
        Ok(())
    }

    async fn contacts(&self) -> Result<u64, PopulationError> {
        self.ask(ReadModels::contact_total).await
    }

    async fn contacts_after(
        &self,
        after: Option<ContactId>,
        limit: usize,
    ) -> Result<Vec<ContactId>, PopulationError> {
        self.ask(move |models| models.contact_ids_after(after, limit)).await
    }

    async fn due_wakes(
        &self,
        after: Option<(Timestamp, ContactId)>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Timestamp, ContactId)>, PopulationError> {
        self.ask(move |models| models.due_wakes(after, until, limit)).await
    }

    async fn deleted_after(
        &self,
        after: Option<(Timestamp, ContactId)>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, ContactId)>, PopulationError> {
        self.ask(move |models| models.deleted_after(after, limit)).await
    }

    async fn buckets(&self) -> Result<Vec<BucketId>, PopulationError> {
        self.ask(|models| Ok(models.buckets()?.into_iter().map(|bucket| bucket.id).collect())).await
    }

    async fn endpoints(&self) -> Result<Vec<EndpointId>, PopulationError> {
        self.ask(ReadModels::endpoint_ids).await
    }
}
