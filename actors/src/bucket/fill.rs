//! Back-fill: every contact meets the new definitions once, in chunks that survive a restart (BK-182..BK-188).

use std::{sync::Arc, time::Duration};

use mainspring_schemas::{
    ContactId,
    event::{
        BucketEvent,
        bucket::{BackfillAdvanced, BackfillCompleted, BackfillStarted},
    },
};
use tokio::sync::oneshot;

use super::{
    actor::Tell,
    service::{Due, Entry},
};
use crate::{
    api::EngineError,
    contact::Command,
    engine::Core,
    population::PopulationError,
    shard::{Decide, Verb},
};

/// Contacts decided between two records of progress (BK-185).
const CHUNK: usize = 500;

/// How long a full shard is left in peace.
const BREATH: Duration = Duration::from_millis(5);

/// Why a back-fill stopped; it goes on where it was at the next start.
#[derive(Debug, thiserror::Error)]
pub(super) enum FillError {
    #[error(transparent)]
    Population(#[from] PopulationError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Lets every contact meet the definitions of the given buckets, in one pass for all of them.
pub(super) async fn fill(core: &Arc<Core>, buckets: &[Due]) -> Result<(), FillError> {
    let newest = buckets.iter().map(|due| due.entry.state.read().revision).max().unwrap_or_default();
    core.population.reached(newest).await?;
    let total = core.population.contacts().await?;
    for due in buckets {
        let criteria_hash = due.entry.state.read().criteria_hash.clone();
        if due.entry.state.read().backfill.is_none() {
            let started = BackfillStarted { at: core.now(), criteria_hash, total };
            due.tell(BucketEvent::BackfillStarted(started)).await?;
        }
    }
    // The bucket that got least far decides where the pass goes on; meeting a definition twice changes nothing.
    let resume =
        |entry: &Entry| entry.state.read().backfill.as_ref().map(|fill| (fill.cursor, fill.processed));
    let (mut cursor, mut processed) =
        buckets.iter().filter_map(|due| resume(&due.entry)).min().unwrap_or_default();
    loop {
        let chunk = core.population.contacts_after(cursor, CHUNK).await?;
        let Some(last) = chunk.last().copied() else { break };
        meet(core, &chunk).await?;
        processed += chunk.len() as u64;
        cursor = Some(last);
        let mut wanted = false;
        for due in buckets {
            let advanced = BackfillAdvanced { at: core.now(), cursor: last, processed };
            wanted |= due.tell(BucketEvent::BackfillAdvanced(advanced)).await?;
        }
        if !wanted {
            return Ok(());
        }
        tracing::info!(buckets = buckets.len(), processed, total, "back-fill");
    }
    for due in buckets {
        let criteria_hash = due.entry.state.read().criteria_hash.clone();
        let completed = BackfillCompleted { at: core.now(), criteria_hash, processed };
        due.tell(BucketEvent::BackfillCompleted(completed)).await?;
    }
    Ok(())
}

impl Due {
    /// Records a step, and says whether the bucket still wants this pass.
    async fn tell(&self, step: BucketEvent) -> Result<bool, EngineError> {
        self.entry.tell(Tell::Fill { activation: self.activation, step }).await
    }
}

async fn meet(core: &Core, contacts: &[ContactId]) -> Result<(), EngineError> {
    let mut answers = Vec::with_capacity(contacts.len());
    for contact in contacts {
        answers.push(loop {
            let (reply, answer) = oneshot::channel();
            let decide = Decide {
                contact: *contact,
                command: Command::Meet,
                also: Vec::new(),
                at: None,
                continuous: false,
                trace: None,
                in_flight: None,
                decided: None,
                reply,
            };
            match core.send(Verb::Decide(Box::new(decide))) {
                Ok(()) => break answer,
                Err(error) if core.stopping.load(std::sync::atomic::Ordering::Relaxed) => return Err(error),
                Err(_) => tokio::time::sleep(BREATH).await,
            }
        });
    }
    for answer in answers {
        Core::answer(answer).await?;
    }
    Ok(())
}
