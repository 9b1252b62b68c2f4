//! Who owns a key: the identity streams of the log, with a bounded cache in front.

use std::sync::Arc;

use async_trait::async_trait;
use mainspring_eventlog::{EventLog, Expected, LogError};
use mainspring_schemas::{
    ContactId,
    codec::DecodeError,
    event::{ContactEvent, IdentityEvent},
    identity::IdentityKey,
};
use quick_cache::sync::Cache;

use super::digest::KeyHasher;
use crate::contact::{ContactState, Fate};

/// Claims of one key read at a time.
const CLAIMS_AT_A_TIME: usize = 256;

/// Reads contacts as the log has them.
#[async_trait]
pub trait ContactReader: Send + Sync {
    /// The contact, as far as it is durable.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    async fn read(self: Arc<Self>, contact: ContactId) -> Result<ContactState, DirectoryError>;
}

/// Who owns a key, and what a claim of it must expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The owner; `None` if the key is free.
    pub contact: Option<ContactId>,
    /// Whom the claim names, if that contact became part of the owner.
    pub former: Option<ContactId>,
    /// What the claim's stream looks like.
    pub expected: Expected,
}

/// What became of whom a key designates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It lives, or this one answers for it.
    Live(ContactId),
    /// It is deleted.
    Deleted,
    /// There never was one.
    Unknown,
}

/// Why an owner could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A record could not be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Looks up owners of keys. A stale answer is harmless: the claim's expected version, or the contact itself, refuses.
pub struct Directory {
    log: Arc<dyn EventLog>,
    hasher: KeyHasher,
    cache: Cache<[u8; 16], Owner>,
    /// Who survived whom, past all merges in between (RS-87). Never wrong, since no merge is undone, only behind.
    survivors: Cache<ContactId, ContactId>,
    /// Where claims are not written together with the contacts they name: a claim is good if its contact has the key.
    contacts: Option<Arc<dyn ContactReader>>,
}

impl Directory {
    /// A directory over a log that remembers up to `capacity` keys.
    pub fn new(log: Arc<dyn EventLog>, hasher: KeyHasher, capacity: usize) -> Self {
        Self { log, hasher, cache: Cache::new(capacity), survivors: Cache::new(capacity), contacts: None }
    }

    /// Judges every claim by the contact it names, for a log that appends to one stream at a time (MC-43).
    #[must_use]
    pub fn judging_claims(mut self, contacts: Arc<dyn ContactReader>) -> Self {
        self.contacts = Some(contacts);
        self
    }

    /// The hasher of this installation.
    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// The owner as last heard of, without asking the log.
    pub fn cached(&self, key: &IdentityKey) -> Option<ContactId> {
        self.cache.get(&self.hasher.digest(key))?.contact
    }

    /// The owner of a key.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn owner(&self, key: &IdentityKey) -> Result<Owner, DirectoryError> {
        let digest = self.hasher.digest(key);
        if let Some(owner) = self.cache.get(&digest) {
            return Ok(owner);
        }
        let stream = self.hasher.stream(key);
        let newest = self.log.read_stream_back(&stream, None, 1).await?;
        let mut owner = match newest.first() {
            None => Owner { contact: None, former: None, expected: Expected::NoStream },
            Some(record) => {
                let event =
                    IdentityEvent::decode(&record.event_type, record.schema_version, &record.payload)?;
                let contact = match event {
                    IdentityEvent::Claimed(claimed) => Some(claimed.contact),
                    IdentityEvent::Released(_) => None,
                };
                Owner { contact, former: None, expected: Expected::Version(record.version) }
            }
        };
        if let (Some(contacts), Some(claimed)) = (&self.contacts, owner.contact) {
            owner.contact = holder(contacts, key, claimed).await?;
            owner.former = owner.contact.is_some_and(|contact| contact != claimed).then_some(claimed);
        }
        if owner.contact.is_some() && owner.former.is_none() {
            self.cache.insert(digest, owner);
        }
        Ok(owner)
    }

    /// Whoever owned a key at some time, by its claims, the latest first.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn owners_ever(&self, key: &IdentityKey) -> Result<Vec<ContactId>, DirectoryError> {
        let stream = self.hasher.stream(key);
        let mut owners = Vec::new();
        let mut from = None;
        loop {
            let page = self.log.read_stream_back(&stream, from, CLAIMS_AT_A_TIME).await?;
            for record in &page {
                let event =
                    IdentityEvent::decode(&record.event_type, record.schema_version, &record.payload)?;
                if let IdentityEvent::Claimed(claimed) = event
                    && !owners.contains(&claimed.contact)
                {
                    owners.push(claimed.contact);
                }
            }
            match page.last().and_then(|record| record.version.checked_sub(1)) {
                Some(earlier) => from = Some(earlier),
                None => return Ok(owners),
            }
        }
    }

    /// Remembers who owns a key from now on.
    pub fn claimed(&self, key: &IdentityKey, contact: ContactId) {
        self.cache.insert(
            self.hasher.digest(key),
            Owner { contact: Some(contact), former: None, expected: Expected::Any },
        );
    }

    /// Forgets what was heard of a key.
    pub fn forget(&self, key: &IdentityKey) {
        self.cache.remove(&self.hasher.digest(key));
    }

    /// Forgets what was heard of keys.
    pub fn forget_all<'a>(&self, keys: impl IntoIterator<Item = &'a IdentityKey>) {
        keys.into_iter().for_each(|key| self.forget(key));
    }

    /// The contact that answers for an id, following merges; `None` if it never was or is deleted.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn answers_for(&self, contact: ContactId) -> Result<Option<ContactId>, DirectoryError> {
        Ok(match self.standing(contact).await? {
            Standing::Live(contact) => Some(contact),
            Standing::Deleted | Standing::Unknown => None,
        })
    }

    /// What became of a contact, following merges. A chain of them is walked once.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn standing(&self, contact: ContactId) -> Result<Standing, DirectoryError> {
        let mut contact = contact;
        let mut former = Vec::new();
        let standing = loop {
            if let Some(survivor) = self.survivors.get(&contact) {
                former.push(contact);
                contact = survivor;
                continue;
            }
            let stream = mainspring_schemas::StreamName::contact(contact);
            let newest = self.log.read_stream_back(&stream, None, 1).await?;
            let Some(record) = newest.first() else { break Standing::Unknown };
            match ContactEvent::decode(&record.event_type, record.schema_version, &record.payload)? {
                ContactEvent::MergedInto(merged) => {
                    former.push(contact);
                    contact = merged.survivor;
                }
                ContactEvent::Deleted(_) | ContactEvent::Erased(_) => break Standing::Deleted,
                _ => break Standing::Live(contact),
            }
        };
        for former in former {
            self.survivors.insert(former, contact);
        }
        Ok(standing)
    }
}

/// Who answers for the contact that a claim names, if that contact has the key.
async fn holder(
    contacts: &Arc<dyn ContactReader>,
    key: &IdentityKey,
    claimed: ContactId,
) -> Result<Option<ContactId>, DirectoryError> {
    let mut contact = claimed;
    let mut state = Arc::clone(contacts).read(contact).await?;
    if !state.holds(key) {
        return Ok(None);
    }
    while let Fate::MergedInto(survivor) = state.fate {
        contact = survivor;
        state = Arc::clone(contacts).read(contact).await?;
    }
    Ok((state.fate == Fate::Live).then_some(contact))
}
