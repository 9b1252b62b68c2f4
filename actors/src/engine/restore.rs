//! Undoing a deletion (GD-02): the contact lives again with everything it had, except keys that others have by now.

use std::sync::Arc;

use compact_str::ToCompactString;
use mainspring_eventlog::{Expected, Position};
use mainspring_schemas::{
    BucketId, ContactId,
    identity::{IdentityKey, KeyKind},
};
use tokio::sync::oneshot;

use super::{
    Core, Engine,
    resolve::{ATTEMPTS, lock_name},
};
use crate::{
    api::EngineError,
    contact::{Command, ContactState, Fate, Outcome},
    shard::{Also, Answer, Decide, Failure, Verb},
};

/// A contact whose deletion was undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restoration {
    /// Who.
    pub contact: ContactId,
    /// Keys it had that somebody else took meanwhile and keeps.
    pub lost_keys: Vec<IdentityKey>,
    /// Buckets it is in, as of now.
    pub entered: Vec<BucketId>,
    /// The last record written.
    pub position: Position,
}

impl Engine {
    /// The contact that somebody means who wants a deletion undone: its id, or a key it had. Of several that had the
    /// key, the one that had it last of those that are deleted; if none is, whoever had it last.
    ///
    /// # Errors
    /// [`EngineError::LogFailed`] if the log cannot be read.
    pub async fn deleted(&self, any_key: &str) -> Result<Option<ContactId>, EngineError> {
        if let Ok(id) = any_key.parse() {
            match self.core.last_of(id).await {
                Ok((contact, _)) => return Ok(Some(contact)),
                Err(EngineError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        let mut last = None;
        for key in KeyKind::ALL.into_iter().filter_map(|kind| IdentityKey::new(kind, any_key)) {
            for owner in self.core.directory.owners_ever(&key).await? {
                let (contact, state) = match self.core.last_of(owner).await {
                    Ok(found) => found,
                    // A claim whose contact never came to be.
                    Err(EngineError::NotFound) => continue,
                    Err(error) => return Err(error),
                };
                if matches!(state.fate, Fate::Deleted(_)) {
                    return Ok(Some(contact));
                }
                last = last.or(Some(contact));
            }
        }
        Ok(last)
    }

    /// Undoes the deletion of a contact, while its grace lasts. It is in the buckets whose criteria hold now, and joins
    /// them as if something had touched them.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if there never was such a contact, [`EngineError::State`] if it is not deleted, if it is
    /// erased or if the grace is over, and what any write may say.
    pub async fn restore(&self, id: ContactId) -> Result<Restoration, EngineError> {
        let (done, restored) = oneshot::channel();
        let core = Arc::clone(&self.core);
        // Not on the caller's task: what has begun must end even if the caller hangs up.
        let spawned = self.core.resolver.spawn(async move {
            let _ = done.send(core.restore_in_turn(id).await);
        });
        if !spawned {
            return Err(EngineError::Overloaded);
        }
        restored.await.unwrap_or(Err(EngineError::Overloaded))
    }
}

/// A contact's id as the user id that it is on the wire, if the contact has no better one (KE-20).
fn own_id(contact: ContactId) -> IdentityKey {
    IdentityKey { kind: KeyKind::External, value: contact.to_compact_string() }
}

impl Core {
    async fn restore_in_turn(&self, id: ContactId) -> Result<Restoration, EngineError> {
        for _ in 0..ATTEMPTS {
            let (contact, before) = self.last_of(id).await?;
            // Keys before contacts, like everybody: whoever brings one of these keys waits, or was first.
            let digests = before.keys.iter().map(|held| self.lock_of(&held.key));
            let _keys = self.key_locks.lock(digests).await;
            let _contact = self.contact_locks.lock([lock_name(contact)]).await;
            let state = self.view(contact).await?;
            if state.keys != before.keys {
                continue;
            }
            self.may_be_restored(&state)?;
            let (free, lost_keys) = self.still_free(&state).await?;
            let is_called_by_id =
                !free.iter().any(|(key, _)| matches!(key.kind, KeyKind::External | KeyKind::Anonymous));
            if is_called_by_id && self.directory.owner(&own_id(contact)).await?.contact.is_some() {
                let reason = "Another contact has the id of this one as its user id (KE-22)";
                return Err(EngineError::State(reason.to_owned()));
            }
            let now = self.now();
            let before = self.write_claims(now, None, |claims| claims.reclaim(&free, contact))?;
            let also = Also { before, after: Vec::new() };
            let keys = free.into_iter().map(|(key, _)| key).collect();
            let (decide, answer) = Decide::of(contact, Command::Restore(keys));
            self.send(Verb::Decide(Box::new(Decide { also, at: Some(now), ..decide })))?;
            match Self::answer(answer).await {
                Ok(Answer { outcome: Outcome::Restored, entered, position: Some(position), .. }) => {
                    return Ok(Restoration { contact, lost_keys, entered, position });
                }
                Ok(_) | Err(Failure::Conflict) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(EngineError::Overloaded)
    }

    fn may_be_restored(&self, state: &ContactState) -> Result<(), EngineError> {
        let refusal = match state.fate {
            Fate::Deleted(at) if self.now() < self.shared.policy.grace_end(at) => return Ok(()),
            Fate::Deleted(_) => "The time in which the deletion could be undone is over",
            Fate::Erased => "Contact is erased, which cannot be undone",
            Fate::Absent | Fate::Live | Fate::MergedInto(_) => "Contact is not deleted",
        };
        Err(EngineError::State(refusal.to_owned()))
    }

    /// The keys of a deleted contact that nobody owns, with what a claim of each must expect; and those that somebody
    /// does, or that would be mistaken for somebody's (KE-22).
    async fn still_free(
        &self,
        state: &ContactState,
    ) -> Result<(Vec<(IdentityKey, Expected)>, Vec<IdentityKey>), EngineError> {
        let (mut free, mut lost) = (Vec::new(), Vec::new());
        self.directory.forget_all(state.keys.iter().map(|held| &held.key));
        for held in &state.keys {
            let owner = self.directory.owner(&held.key).await?;
            if owner.contact.is_some() || self.directory.is_mistakable(&held.key).await? {
                lost.push(held.key.clone());
            } else {
                free.push((held.key.clone(), owner.expected));
            }
        }
        Ok((free, lost))
    }
}
