//! Passes over all contacts, in chunks that survive a restart. In a back-fill every contact meets the new definitions
//! once (BK-182..BK-188); a pass of the other purpose has them plan clocks that came without new criteria (BK-135,
//! BK-138, BK-142). Both are one and the same walk: a contact that is told to look does whatever it has not done yet.

use std::sync::Arc;

use mainspring_schemas::{
    ContactId, Timestamp,
    event::{
        BucketEvent,
        bucket::{BackfillAdvanced, BackfillCompleted, BackfillStarted},
    },
};

use super::{actor::Tell, service::Due};
use crate::{
    api::EngineError,
    contact::Command,
    engine::Core,
    population::PopulationError,
    shard::{Decide, Verb},
};

/// Contacts decided between two records of progress (BK-185).
const CHUNK: usize = 500;

/// Why a pass stopped; it goes on where it was at the next start.
#[derive(Debug, thiserror::Error)]
pub(super) enum FillError {
    #[error(transparent)]
    Population(#[from] PopulationError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Lets every contact look at the definitions of the given buckets, in one pass for all of them.
pub(super) async fn fill(core: &Arc<Core>, buckets: &[Due]) -> Result<(), FillError> {
    let newest = buckets.iter().map(|due| due.entry.state.read().revision).max().unwrap_or_default();
    core.population.reached(newest).await?;
    let total = core.population.contacts().await?;
    for due in buckets {
        if due.entry.state.read().pass(due.purpose).is_none() {
            due.tell(due.started(core.now(), total)).await?;
        }
    }
    // A contact that was created by the rules before must not be overlooked: its record is older than those above.
    core.population.reached(core.log().durable_end()).await?;
    // The bucket that got least far decides where the pass goes on; looking twice changes nothing.
    let resume =
        |due: &Due| due.entry.state.read().pass(due.purpose).map(|pass| (pass.cursor, pass.processed));
    let (mut cursor, mut processed) = buckets.iter().filter_map(resume).min().unwrap_or_default();
    loop {
        let chunk = core.population.contacts_after(cursor, CHUNK).await?;
        let Some(last) = chunk.last().copied() else { break };
        meet(core, &chunk).await?;
        processed += chunk.len() as u64;
        cursor = Some(last);
        let mut wanted = false;
        for due in buckets {
            wanted |= due.tell(due.advanced(core.now(), last, processed)).await?;
        }
        if !wanted {
            return Ok(());
        }
        tracing::info!(buckets = buckets.len(), processed, total, "back-fill");
    }
    for due in buckets {
        due.tell(due.completed(core.now(), processed)).await?;
    }
    Ok(())
}

impl Due {
    /// Records a step, and says whether the bucket still wants this pass.
    async fn tell(&self, step: BucketEvent) -> Result<bool, EngineError> {
        self.entry.tell(Tell::Step { purpose: self.purpose, asked: self.asked, step }).await
    }

    fn criteria_hash(&self) -> String {
        self.entry.state.read().criteria_hash.clone()
    }

    fn started(&self, at: Timestamp, total: u64) -> BucketEvent {
        let (criteria_hash, purpose) = (self.criteria_hash(), self.purpose);
        BucketEvent::BackfillStarted(BackfillStarted { at, criteria_hash, total, purpose })
    }

    fn advanced(&self, at: Timestamp, cursor: ContactId, processed: u64) -> BucketEvent {
        let purpose = self.purpose;
        BucketEvent::BackfillAdvanced(BackfillAdvanced { at, cursor, processed, purpose })
    }

    fn completed(&self, at: Timestamp, processed: u64) -> BucketEvent {
        let (criteria_hash, purpose) = (self.criteria_hash(), self.purpose);
        BucketEvent::BackfillCompleted(BackfillCompleted { at, criteria_hash, processed, purpose })
    }
}

async fn meet(core: &Core, contacts: &[ContactId]) -> Result<(), EngineError> {
    let mut answers = Vec::with_capacity(contacts.len());
    for contact in contacts {
        let meet = || {
            let (decide, answer) = Decide::of(*contact, Command::Meet);
            (Verb::Decide(Box::new(decide)), answer)
        };
        answers.push(core.send_patiently(meet).await?);
    }
    for answer in answers {
        Core::answer(answer).await?;
    }
    Ok(())
}
