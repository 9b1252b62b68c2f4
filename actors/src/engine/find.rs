//! Look-ups: who a key, an id or a path names, and what is known about them.

use mainspring_schemas::{
    ContactId,
    identity::{IdentityKey, KeyKind},
};

use super::{Core, Engine};
use crate::{
    api::{ContactView, EngineError, Identity, Subject},
    contact::{ContactState, Fate},
    identity::{DirectoryError, Standing},
    shard::Verb,
};

impl From<DirectoryError> for EngineError {
    fn from(error: DirectoryError) -> Self {
        Self::LogFailed(error.to_string())
    }
}

impl Engine {
    /// The live contact a key designates (KE-24).
    pub(super) async fn designated(&self, key: &IdentityKey) -> Result<Option<ContactId>, EngineError> {
        Ok(self.core.directory.look_up(key).await?.found.owner)
    }

    /// The whole state of a contact, or of who answers for it; `None` if it is gone.
    pub(super) async fn state(&self, id: ContactId) -> Result<Option<Box<ContactState>>, EngineError> {
        let mut contact = id;
        loop {
            let state = self.core.view(contact).await?;
            match state.fate {
                Fate::Live if self.core.lacks(&state, id) => self.finish_merge(id).await?,
                Fate::Live => return Ok(Some(state)),
                // Not by way of everybody who was between them (RS-87).
                Fate::MergedInto(_) => match self.answers_for(contact).await? {
                    Some(survivor) => contact = survivor,
                    None => return Ok(None),
                },
                Fate::Absent | Fate::Deleted(_) | Fate::Erased => return Ok(None),
            }
        }
    }

    /// The live contacts that own any of the keys, each once, the address's owner first (CT-50).
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn find(&self, identity: &Identity) -> Result<Vec<ContactView>, EngineError> {
        let mut found: Vec<ContactId> = Vec::new();
        for key in [&identity.email, &identity.external, &identity.anonymous].into_iter().flatten() {
            if let Some(owner) = self.designated(key).await?.filter(|owner| !found.contains(owner)) {
                found.push(owner);
            }
        }
        let mut views: Vec<ContactView> = Vec::with_capacity(found.len());
        for contact in found {
            if let Some(view) = self.contact(contact).await?
                && !views.iter().any(|known| known.contact.id == view.contact.id)
            {
                views.push(view);
            }
        }
        Ok(views)
    }

    /// A contact by its id, or who answers for it.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn contact(&self, id: ContactId) -> Result<Option<ContactView>, EngineError> {
        Ok(self.state(id).await?.map(|state| state.view()))
    }

    /// The contact a path names: its id first, then any key (RS-61).
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn resolve(&self, any_key: &str) -> Result<Option<ContactId>, EngineError> {
        if let Ok(id) = any_key.parse::<ContactId>()
            && let Some(contact) = self.answers_for(id).await?
        {
            return Ok(Some(contact));
        }
        for kind in KeyKind::ALL {
            if let Some(key) = IdentityKey::new(kind, any_key)
                && let Some(owner) = self.designated(&key).await?
            {
                return Ok(Some(owner));
            }
        }
        Ok(None)
    }

    /// Whom a canonical key shown some time ago designates now (TK-20).
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn subject(&self, contact_key: &str) -> Result<Subject, EngineError> {
        let Some(key) = IdentityKey::new(KeyKind::External, contact_key) else {
            return Ok(Subject::Unknown);
        };
        match self.core.directory.standing_of(&key).await? {
            Standing::Live(contact) => Ok(match self.state(contact).await? {
                Some(state) => {
                    Subject::Known { contact: state.id.unwrap_or(contact), contact_key: state.contact_key() }
                }
                // Deleted since the look-up.
                None => Subject::Deleted,
            }),
            Standing::Deleted => Ok(Subject::Deleted),
            Standing::Unknown => Ok(Subject::Unknown),
        }
    }

    /// Who answers for a contact id; after a merge that is the survivor.
    ///
    /// # Errors
    /// [`EngineError::LogFailed`] if the log cannot be read.
    pub async fn answers_for(&self, contact: ContactId) -> Result<Option<ContactId>, EngineError> {
        Ok(self.core.directory.answers_for(contact).await?)
    }
}

impl Core {
    /// A contact's state once everything in it is durable.
    pub(super) async fn view(&self, contact: ContactId) -> Result<Box<ContactState>, EngineError> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.send(Verb::View(contact, reply))?;
        Self::answer(answer).await.map_err(EngineError::from)
    }
}
