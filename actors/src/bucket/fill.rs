//! Passes over all contacts, in chunks that survive a restart. In a back-fill every contact meets the new definitions
//! once (BK-182..BK-188); a pass of the other purpose has them plan clocks that came without new criteria (BK-135,
//! BK-138, BK-142). Both are one and the same walk: a contact that is told to look does whatever it has not done yet.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use mainspring_schemas::{
    BucketId, ContactId, Timestamp,
    event::{
        BucketEvent,
        bucket::{BackfillAdvanced, BackfillCompleted, BackfillStarted},
    },
};

use super::{actor::Tell, catch_up::give_turns, service::Due};
use crate::{
    api::EngineError,
    contact::{Command, Outcome, Waiting},
    engine::Core,
    population::PopulationError,
    shard::{Answer, Decide, Failure, Verb},
};

/// Contacts decided between two records of progress (BK-185).
const CHUNK: usize = 500;

/// How soon a pass that was stopped goes on at first; then ever later.
const RETRY: Duration = Duration::from_millis(500);

/// How late it goes on at most.
const LAST_RETRY: Duration = Duration::from_secs(8);

/// Why a pass stopped; it goes on where it was, after a while or at the next start.
#[derive(Debug, thiserror::Error)]
pub(super) enum FillError {
    #[error(transparent)]
    Population(#[from] PopulationError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Lets every contact look at the definitions of the given buckets, however often something is in the way (BK-185).
/// Returns whether it is done, or wanted no more; else the engine stops.
pub(super) async fn fill_patiently(core: &Arc<Core>, buckets: &[Due]) -> bool {
    let mut pause = RETRY;
    while let Err(error) = fill(core, buckets).await {
        if core.stopping.load(Ordering::Relaxed) {
            return false;
        }
        tracing::error!(%error, "a back-fill stopped; it goes on in a moment");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_RETRY);
    }
    true
}

/// Lets every contact look at the definitions of the given buckets, in one pass for all of them.
async fn fill(core: &Arc<Core>, buckets: &[Due]) -> Result<(), FillError> {
    let newest = buckets.iter().map(|due| due.entry.state.read().revision).max().unwrap_or_default();
    core.population.reached(newest).await?;
    let total = core.population.contacts().await?;
    let mut merges = core.survivors.watch();
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
    // Who merged before a restart is not known: a pass that gives turns begins anew, and passes by whoever has one.
    let gives_turns = buckets.iter().any(Due::gives_turns);
    let resumed = buckets.iter().filter_map(resume).min().filter(|_| !gives_turns);
    let (mut cursor, mut processed) = resumed.unwrap_or_default();
    loop {
        let chunk = core.population.contacts_after(cursor, CHUNK).await?;
        let Some(last) = chunk.last().copied() else { break };
        give_turns(core, buckets, meet(core, &chunk).await?).await?;
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
    loop {
        let survivors = merges.news();
        if survivors.is_empty() {
            break;
        }
        give_turns(core, buckets, meet(core, &survivors).await?).await?;
    }
    for due in buckets {
        due.tell(due.completed(core.now(), processed)).await?;
    }
    Ok(())
}

impl Due {
    /// The bucket's id.
    pub(super) fn bucket(&self) -> Option<BucketId> {
        self.entry.state.read().definition.as_ref().map(|definition| definition.id.clone())
    }

    /// Records a step, and says whether the bucket still wants this pass.
    pub(super) async fn tell(&self, step: BucketEvent) -> Result<bool, EngineError> {
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

/// Lets contacts look; answers what of it they wait for, those who do.
async fn meet(core: &Core, contacts: &[ContactId]) -> Result<Vec<(ContactId, Vec<Waiting>)>, EngineError> {
    let mut answers = Vec::with_capacity(contacts.len());
    for contact in contacts {
        let meet = || {
            let (decide, answer) = Decide::of(*contact, Command::Meet);
            (Verb::Decide(Box::new(decide)), answer)
        };
        answers.push(core.send_patiently(meet).await?);
    }
    let mut all = Vec::new();
    for (contact, answer) in contacts.iter().zip(answers) {
        let looked = unless_unreadable(*contact, Core::answer(answer).await)?;
        if let Some(Answer { outcome: Outcome::Looked { waiting }, .. }) = looked
            && !waiting.is_empty()
        {
            all.push((*contact, waiting));
        }
    }
    Ok(all)
}

/// A contact that cannot be read stays so however often it is asked; the others must not wait for it.
pub(super) fn unless_unreadable<T>(
    contact: ContactId,
    answer: Result<T, Failure>,
) -> Result<Option<T>, EngineError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Failure::Unreadable(reason)) => {
            tracing::error!(%contact, reason, "a back-fill passes a contact by");
            Ok(None)
        }
        Err(failure) => Err(failure.into()),
    }
}
