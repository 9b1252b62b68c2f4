//! Merges of which a crash left one half (MC-43), on logs that append to one stream at a time.
//!
//! The loser says who survived it, the survivor does not list the loser: its history is missing there. Whoever meets
//! the loser, by its id or by a key that is still claimed for it, has the survivor absorb it first.

use std::sync::Arc;

use mainspring_schemas::ContactId;
use tokio::sync::oneshot;

use super::{
    Core, Engine,
    resolve::{ATTEMPTS, lock_name},
};
use crate::{
    api::EngineError,
    contact::{Command, ContactState, Fate, Taken},
    identity::LookedUp,
    shard::{Also, Decide, Failure, Verb},
};

impl Engine {
    /// As [`Core::finish_merge`], to its end even if the caller hangs up.
    pub(super) async fn finish_merge(&self, former: ContactId) -> Result<(), EngineError> {
        let (done, finished) = oneshot::channel();
        let core = Arc::clone(&self.core);
        let spawned = self.core.resolver.spawn(async move {
            let _ = done.send(core.finish_merge(former).await);
        });
        if !spawned {
            return Err(EngineError::Overloaded);
        }
        finished.await.unwrap_or(Err(EngineError::Overloaded))
    }
}

impl Core {
    /// Whether `survivor`, who answers for `former`, has yet to absorb it.
    pub(super) fn lacks(&self, survivor: &ContactState, former: ContactId) -> bool {
        !self.log().atomic_streams()
            && survivor.fate == Fate::Live
            && survivor.id != Some(former)
            && !survivor.aliases.contains(&former)
    }

    /// A contact that was named in a look-up and whose survivor has yet to absorb it.
    pub(super) async fn half_met(&self, looked_up: &[LookedUp]) -> Result<Option<ContactId>, EngineError> {
        if self.log().atomic_streams() {
            return Ok(None);
        }
        for item in looked_up {
            if let (Some(former), Some(owner)) = (item.former, item.found.owner)
                && self.lacks(&*self.view(owner).await?, former)
            {
                return Ok(Some(former));
            }
        }
        Ok(None)
    }

    /// Has whoever answers for a merged-away contact absorb it, and those between them, if a crash prevented that. The
    /// caller must hold no lock.
    pub(super) async fn finish_merge(&self, former: ContactId) -> Result<(), EngineError> {
        for _ in 0..ATTEMPTS {
            let mut merged = Vec::new();
            let mut state = self.view(former).await?;
            while let Fate::MergedInto(next) = state.fate {
                merged.push(state);
                state = self.view(next).await?;
            }
            // The nearest first: it may list the others.
            let mut nearest = merged.iter().rev();
            let half = nearest.find(|loser| loser.id.is_some_and(|id| self.lacks(&state, id)));
            let (Some(half), Some(survivor)) = (half, state.id) else { return Ok(()) };
            match self.absorb_late(half, survivor).await {
                Ok(()) | Err(Failure::Conflict) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(EngineError::Overloaded)
    }

    /// The survivor's half of a merge, later. The loser's stream ends with its own half, so its state is complete.
    async fn absorb_late(&self, loser: &ContactState, survivor: ContactId) -> Result<(), Failure> {
        let unreadable = |error: EngineError| Failure::Unreadable(error.to_string());
        let _keys = self.key_locks.lock(loser.keys.iter().map(|held| self.lock_of(&held.key))).await;
        let _contact = self.contact_locks.lock([lock_name(survivor)]).await;
        let mut taken = loser.clone();
        taken.keys.clear();
        self.directory.forget_all(loser.keys.iter().map(|held| &held.key));
        for held in &loser.keys {
            // While the survivor was deleted others could take them.
            let owner = self.directory.owner(&held.key).await.map_err(|error| unreadable(error.into()))?;
            if owner.contact == Some(survivor) {
                taken.keys.push(held.clone());
            }
        }
        let keys = taken.keys.iter().map(|held| &held.key);
        let after = self
            .write_claims(self.now(), None, |claims| claims.hand_over(keys, survivor))
            .map_err(unreadable)?;
        let taken = Taken {
            contact: loser.id.ok_or(Failure::Conflict)?,
            version: loser.version.and_then(|version| version.checked_sub(1)),
            state: Box::new(taken),
        };
        let (decide, answer) = Decide::of(survivor, Command::Absorb(Box::new(taken)));
        let also = Also { before: Vec::new(), after };
        self.send(Verb::Decide(Box::new(Decide { also, ..decide }))).map_err(|_| Failure::Unavailable)?;
        Self::answer(answer).await.map(|_| ())
    }
}
