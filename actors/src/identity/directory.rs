//! Who owns a key: the identity streams of the log, with a bounded cache in front.

use std::sync::Arc;

use mainspring_eventlog::{EventLog, Expected, LogError};
use mainspring_schemas::{
    ContactId,
    codec::DecodeError,
    event::{ContactEvent, IdentityEvent},
    identity::IdentityKey,
};
use quick_cache::sync::Cache;

use super::digest::KeyHasher;

/// Who owns a key, and what a claim of it must expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The owner; `None` if the key is free.
    pub contact: Option<ContactId>,
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
}

impl Directory {
    /// A directory over a log that remembers up to `capacity` keys.
    pub fn new(log: Arc<dyn EventLog>, hasher: KeyHasher, capacity: usize) -> Self {
        Self { log, hasher, cache: Cache::new(capacity) }
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
        let owner = match newest.first() {
            None => Owner { contact: None, expected: Expected::NoStream },
            Some(record) => {
                let event =
                    IdentityEvent::decode(&record.event_type, record.schema_version, &record.payload)?;
                let contact = match event {
                    IdentityEvent::Claimed(claimed) => Some(claimed.contact),
                    IdentityEvent::Released(_) => None,
                };
                Owner { contact, expected: Expected::Version(record.version) }
            }
        };
        if owner.contact.is_some() {
            self.cache.insert(digest, owner);
        }
        Ok(owner)
    }

    /// Remembers who owns a key from now on.
    pub fn claimed(&self, key: &IdentityKey, contact: ContactId) {
        self.cache.insert(self.hasher.digest(key), Owner { contact: Some(contact), expected: Expected::Any });
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

    /// What became of a contact, following merges.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn standing(&self, contact: ContactId) -> Result<Standing, DirectoryError> {
        let mut contact = contact;
        loop {
            let stream = mainspring_schemas::StreamName::contact(contact);
            let newest = self.log.read_stream_back(&stream, None, 1).await?;
            let Some(record) = newest.first() else { return Ok(Standing::Unknown) };
            match ContactEvent::decode(&record.event_type, record.schema_version, &record.payload)? {
                ContactEvent::MergedInto(merged) => contact = merged.survivor,
                ContactEvent::Deleted(_) | ContactEvent::Erased(_) => return Ok(Standing::Deleted),
                _ => return Ok(Standing::Live(contact)),
            }
        }
    }
}
