//! Deleting a contact: its keys are free in the same append (CT-60, CT-70, CT-84).

use mainspring_eventlog::Position;
use mainspring_schemas::ContactId;
use tokio::sync::oneshot;

use super::{Core, Engine, resolve::ATTEMPTS};
use crate::{
    api::{EngineError, Identity},
    contact::{Command, Fate, Outcome},
    shard::{Answer, Decide, Failure, Verb},
};

/// A contact that was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Who.
    pub contact: ContactId,
    /// The last record written.
    pub position: Position,
}

impl Engine {
    /// Deletes the contact that owns the keys (CT-60).
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::DifferentContacts`], and what any write may say.
    pub async fn delete(&self, identity: &Identity) -> Result<Deletion, EngineError> {
        let owner = self.only_owner(identity).await?;
        self.delete_contact(owner).await
    }

    /// The one contact that owns the keys. With a provider's id among them it is whom the first names that names anybody
    /// (WS-106): the others are hints.
    pub(super) async fn only_owner(&self, identity: &Identity) -> Result<ContactId, EngineError> {
        let mut owners = Vec::new();
        for key in identity.evidence() {
            if let Some(owner) = self.designated(&key).await?.filter(|owner| !owners.contains(owner)) {
                owners.push(owner);
            }
        }
        match owners.as_slice() {
            [] => Err(EngineError::NotFound),
            [contact] => Ok(*contact),
            [first, ..] if identity.provider.is_some() => Ok(*first),
            _ => Err(EngineError::DifferentContacts),
        }
    }

    /// Deletes a contact named by its id (CT-84).
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if nobody answers for it, and what any write may say.
    pub async fn delete_contact(&self, id: ContactId) -> Result<Deletion, EngineError> {
        let (done, deleted) = oneshot::channel();
        let engine = self.clone();
        let spawned = self.core.resolver.spawn(async move {
            let _ = done.send(engine.delete_in_turn(id).await);
        });
        if !spawned {
            return Err(EngineError::Overloaded);
        }
        deleted.await.unwrap_or(Err(EngineError::Overloaded))
    }

    async fn delete_in_turn(&self, id: ContactId) -> Result<Deletion, EngineError> {
        for _ in 0..ATTEMPTS {
            let contact = self.answers_for(id).await?.ok_or(EngineError::NotFound)?;
            let keys_before = self.core.view(contact).await?.keys.clone();
            // Keys before contacts, like everybody: whoever brings one of these keys waits for the deletion.
            let digests = keys_before.iter().map(|held| self.core.lock_of(&held.key));
            let _keys = self.core.key_locks.lock(digests).await;
            let _contact = self.core.contact_locks.lock([super::resolve::lock_name(contact)]).await;
            let state = self.core.view(contact).await?;
            if state.fate != Fate::Live || state.keys != keys_before {
                continue;
            }
            let now = self.core.now();
            let also = self
                .core
                .write_claims(now, None, |claims| claims.release(state.keys.iter().map(|held| &held.key)))?;
            let (decide, answer) = Decide::of(contact, Command::Delete);
            self.core.send(Verb::Decide(Box::new(Decide { also, ..decide })))?;
            let answered = Core::answer(answer).await;
            self.core.directory.forget_all(state.keys.iter().map(|held| &held.key));
            match answered {
                Ok(Answer { outcome: Outcome::Deleted, position: Some(position), .. }) => {
                    return Ok(Deletion { contact, position });
                }
                Ok(_) | Err(Failure::Conflict) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(EngineError::Overloaded)
    }
}
