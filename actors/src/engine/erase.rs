//! Erasure (GD-03, CT-74): the contact ends, its data keys are destroyed, and what they sealed is gone for good.
//!
//! The order makes it survive a crash: first the log says which keys are to be destroyed, then they are, and every start
//! destroys again whatever the log says (`Engine::destroy_keys`), also after a restore of older keys.

use std::{collections::BTreeSet, sync::Arc};

use mainspring_eventlog::{Position, sealing::KeyState};
use mainspring_schemas::{ContactId, StreamName, Timestamp, codec::personal::personal_fields};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    Core, Engine,
    resolve::{ATTEMPTS, lock_name},
};
use crate::{
    api::{EngineError, Identity},
    contact::{Command, ContactState, Erasure, Fate, Outcome},
    pages::Pages,
    shard::{Also, Answer, Decide, Failure, Message, Verb},
};

/// A person who was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// Who.
    pub contact: ContactId,
    /// Contacts merged into it, erased with it.
    pub former: usize,
    /// The last record written; `None` if the person had been erased before.
    pub position: Option<Position>,
}

impl Engine {
    /// The contact that somebody means who wants it erased: a live one by its id, a former self's or any key (RS-61),
    /// else a deleted one, whom only the id still names.
    ///
    /// # Errors
    /// [`EngineError::LogFailed`] if the log cannot be read.
    pub async fn to_erase(&self, any_key: &str) -> Result<Option<ContactId>, EngineError> {
        let id = any_key.parse().ok();
        if let Some(id) = id
            && self.answers_for(id).await?.is_some()
        {
            return Ok(Some(id));
        }
        Ok(self.resolve(any_key).await?.or(id))
    }

    /// Erases the live contact that owns the keys.
    ///
    /// # Errors
    /// As [`Engine::erase_contact`], and [`EngineError::DifferentContacts`].
    pub async fn erase(&self, identity: &Identity) -> Result<Erased, EngineError> {
        let owner = self.only_owner(identity).await?;
        self.erase_contact(owner).await
    }

    /// Erases a contact named by its id, live or deleted, with every contact that was merged into it. Erasing again
    /// changes nothing.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if there never was such a contact, [`EngineError::State`] if its history is not sealed,
    /// and what any write may say.
    pub async fn erase_contact(&self, id: ContactId) -> Result<Erased, EngineError> {
        let (done, erased) = oneshot::channel();
        let core = Arc::clone(&self.core);
        // Not on the caller's task: what has begun must end even if the caller hangs up.
        let spawned = self.core.resolver.spawn(async move {
            let _ = done.send(core.erase_in_turn(id, Occasion::Asked).await);
        });
        if !spawned {
            return Err(EngineError::Overloaded);
        }
        erased.await.unwrap_or(Err(EngineError::Overloaded))
    }

    /// Destroys data keys that the log says are destroyed. Does nothing if they are.
    ///
    /// # Errors
    /// [`EngineError::LogFailed`] if the keys cannot be written.
    pub async fn destroy_keys(&self, data_keys: Vec<Uuid>) -> Result<(), EngineError> {
        self.core.destroy(data_keys).await
    }
}

/// What an erasure rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Somebody asked for it.
    Asked,
    /// The grace of the deletion has ended by this instant. Whoever was restored meanwhile stays.
    GraceEnded(Timestamp),
}

fn storage(error: impl std::fmt::Display) -> EngineError {
    EngineError::LogFailed(error.to_string())
}

impl Core {
    pub(super) async fn erase_in_turn(
        &self,
        id: ContactId,
        occasion: Occasion,
    ) -> Result<Erased, EngineError> {
        let Some(keys) = &self.shared.data_keys else {
            return Err(EngineError::State("Payloads are not sealed, so nobody can be erased".to_owned()));
        };
        for _ in 0..ATTEMPTS {
            let (contact, before) = self.last_of(id).await?;
            let digests = before.keys.iter().map(|held| self.lock_of(&held.key));
            let _keys = self.key_locks.lock(digests).await;
            let _contact = self.contact_locks.lock([lock_name(contact)]).await;
            let state = self.view(contact).await?;
            if state.fate != before.fate || state.keys != before.keys || state.aliases != before.aliases {
                continue;
            }
            if let Occasion::GraceEnded(now) = occasion
                && !matches!(state.fate, Fate::Deleted(at) if self.shared.policy.grace_end(at) <= now)
            {
                return Ok(Erased { contact, former: 0, position: None });
            }
            let mut former = state.aliases.clone();
            if id != contact && !former.contains(&id) {
                // It became part of one who ended before absorbing it.
                former.push(id);
            }
            let mut data_keys = BTreeSet::new();
            for id in [contact].iter().chain(&former) {
                self.sealing_keys(*id, &mut data_keys).await?;
            }
            let data_keys: Vec<Uuid> = data_keys.into_iter().collect();
            let is_destroyed = |id: &Uuid| matches!(keys.find(*id), Ok(KeyState::Destroyed));
            let erased = Erased { contact, former: former.len(), position: None };
            if state.fate == Fate::Erased && data_keys.iter().all(is_destroyed) {
                return Ok(erased);
            }
            let held = state.keys.iter().filter(|_| state.fate == Fate::Live).map(|held| &held.key);
            let after = self.write_claims(self.now(), None, |claims| claims.release(held))?;
            let also = Also { before: Vec::new(), after };
            let erasure = Erasure { data_keys: data_keys.clone(), former: former.clone() };
            let (decide, answer) = Decide::of(contact, Command::Erase(erasure));
            let at = match occasion {
                Occasion::Asked => None,
                Occasion::GraceEnded(now) => Some(now),
            };
            self.send(Verb::Decide(Box::new(Decide { also, at, ..decide })))?;
            let answered = Self::answer(answer).await;
            self.directory.forget_all(state.keys.iter().map(|held| &held.key));
            match answered {
                Ok(Answer { outcome: Outcome::Deleted, position, .. }) => {
                    self.destroy(data_keys).await?;
                    for id in [contact].iter().chain(&former) {
                        self.shard_of(*id).do_send(Message::Forget(*id));
                    }
                    return Ok(Erased { position, ..erased });
                }
                Ok(_) | Err(Failure::Conflict) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(EngineError::Overloaded)
    }

    /// The contact an id ended up in, live, deleted or erased. The caller must hold no lock.
    pub(super) async fn last_of(&self, id: ContactId) -> Result<(ContactId, Box<ContactState>), EngineError> {
        let mut contact = id;
        loop {
            let state = self.view(contact).await?;
            if self.lacks(&state, id) {
                self.finish_merge(id).await?;
                continue;
            }
            match state.fate {
                Fate::Live | Fate::Deleted(_) | Fate::Erased => return Ok((contact, state)),
                Fate::MergedInto(survivor) => contact = survivor,
                Fate::Absent => return Err(EngineError::NotFound),
            }
        }
    }

    /// The keys that seal a contact's records.
    async fn sealing_keys(&self, contact: ContactId, found: &mut BTreeSet<Uuid>) -> Result<(), EngineError> {
        let mut pages = Pages::of(&**self.log(), StreamName::contact(contact));
        let mut sealed = false;
        while let Some(records) = pages.next().await.map_err(storage)? {
            for record in &records {
                match record.sealed_with {
                    Some(key) => {
                        found.insert(key);
                        sealed = true;
                    }
                    None if !sealed
                        && personal_fields(&record.event_type).is_some_and(|fields| !fields.is_empty()) =>
                    {
                        let reason =
                            "The contact has records from before payloads were sealed; they cannot be erased";
                        return Err(EngineError::State(reason.to_owned()));
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// The key that seals what is personal about a contact.
    pub async fn data_key_of(&self, contact: ContactId) -> Result<Option<Uuid>, EngineError> {
        if self.shared.data_keys.is_none() {
            return Ok(None);
        }
        let newest = self.log().read_stream(&StreamName::contact(contact), 0, 1).await.map_err(storage)?;
        Ok(newest.first().and_then(|record| record.sealed_with))
    }

    /// A data key nobody has had before; `None` if payloads are not sealed.
    pub fn fresh_data_key(&self) -> Result<Option<Uuid>, EngineError> {
        self.shared.data_keys.as_ref().map(|keys| keys.create()).transpose().map_err(storage)
    }

    /// Destroys keys for good, those that are left.
    pub async fn destroy(&self, data_keys: Vec<Uuid>) -> Result<(), EngineError> {
        let Some(keys) = self.shared.data_keys.clone() else { return Ok(()) };
        let destroyed = tokio::task::spawn_blocking(move || {
            let live = |id: &Uuid| !matches!(keys.find(*id), Ok(KeyState::Destroyed));
            let left: Vec<Uuid> = data_keys.into_iter().filter(live).collect();
            if left.is_empty() { Ok(()) } else { keys.destroy(&left) }
        });
        destroyed.await.map_err(storage)?.map_err(storage)
    }
}
