//! Members that are past the threshold of a dwell schedule when it comes catch up with it, in a bucket that says so at no
//! more than `dwellCatchUpPerMinute` (BK-138).
//!
//! Each gets an instant of its own from the pass over the contacts. That the instants are taken is recorded in the bucket's
//! stream before any of them is given out, and that one is given, in the contact's: so none is given twice, neither after
//! a restart nor by a later pass, and no contact gets two.

use std::{collections::HashMap, vec};

use mainspring_schemas::{
    BucketId, ContactId, Timestamp,
    event::{BucketEvent, bucket::CatchUpPlanned},
};

use super::{fill::unless_unreadable, service::Due};
use crate::{
    api::EngineError,
    contact::{Command, Waiting},
    engine::Core,
    shard::{Decide, Verb},
};

impl Due {
    /// Whether the bucket limits how many catch up at a time.
    pub(super) fn gives_turns(&self) -> bool {
        self.entry.state.read().catch_up_per_minute().is_some()
    }

    /// Takes instants for so many; `None` if the bucket does not limit them, or does not want the pass any more.
    async fn take_turns(&self, now: Timestamp, count: u64) -> Result<Option<Vec<Timestamp>>, EngineError> {
        let (per_minute, first) = {
            let state = self.entry.state.read();
            (state.catch_up_per_minute(), state.caught_up_at.max(now))
        };
        let Some(per_minute) = per_minute else { return Ok(None) };
        let planned = CatchUpPlanned { at: now, first, count, per_minute };
        let turns = planned.instants().collect();
        Ok(self.tell(BucketEvent::CatchUpPlanned(planned)).await?.then_some(turns))
    }
}

/// Gives an instant to everybody who waits for one, in the order given.
pub(super) async fn give_turns(
    core: &Core,
    buckets: &[Due],
    waiting: Vec<(ContactId, Vec<Waiting>)>,
) -> Result<(), EngineError> {
    let mut wanted: HashMap<&BucketId, u64> = HashMap::new();
    for wish in waiting.iter().flat_map(|(_, wishes)| wishes) {
        *wanted.entry(&wish.bucket).or_default() += 1;
    }
    let mut turns: HashMap<BucketId, vec::IntoIter<Timestamp>> = HashMap::new();
    for due in buckets {
        let Some(id) = due.bucket() else { continue };
        let Some(count) = wanted.get(&id) else { continue };
        if let Some(instants) = due.take_turns(core.now(), *count).await? {
            turns.insert(id, instants.into_iter());
        }
    }
    let mut answers = Vec::new();
    for (contact, wishes) in waiting {
        let turn = |wish: Waiting| Some((turns.get_mut(&wish.bucket)?.next()?, wish));
        let given: Vec<_> = wishes.into_iter().filter_map(turn).map(|(at, wish)| (wish, at)).collect();
        if given.is_empty() {
            continue;
        }
        let catch_up = || {
            let (decide, answer) = Decide::of(contact, Command::CatchUp(given.clone()));
            (Verb::Decide(Box::new(decide)), answer)
        };
        answers.push((contact, core.send_patiently(catch_up).await?));
    }
    for (contact, answer) in answers {
        unless_unreadable(contact, Core::answer(answer).await)?;
    }
    Ok(())
}
