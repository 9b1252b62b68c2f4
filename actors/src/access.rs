//! API keys: created, shown once, checked without a look at the disk, revoked at once (AU-01..AU-14, KY-01).

use std::{collections::HashMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mainspring_eventlog::{Append, AppendError, EventLog, Expected, LogError, StreamAppend};
use mainspring_schemas::{
    KeyId, StreamName, Timestamp,
    codec::DecodeError,
    event::{
        AccessEvent,
        access::{KeyCreated, KeyRevoked, Scope},
    },
};
use parking_lot::{Mutex, RwLock};
use sha2::{Digest, Sha256};

use crate::{
    api::EngineError,
    clock::Clock,
    engine::StartError,
    entropy::Entropy,
    writer::{Stamp, record},
};

/// Records read at a time.
const PAGE: usize = 1024;

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The key's row; `None` for the instance key.
    pub id: Option<KeyId>,
    /// The key's name.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

impl Principal {
    /// Whether the principal may do what `needed` covers (AU-20).
    pub fn allows(&self, needed: Scope) -> bool {
        self.scopes.iter().any(|held| held.grants(needed))
    }
}

/// Why a key is no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Unknown or revoked.
    #[error("Unauthorized")]
    Unknown,
    /// Past its end (AU-11).
    #[error("API key expired")]
    Expired,
}

/// A key about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// For people.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Who makes it.
    pub created_by: Option<String>,
}

/// A key's row: everything but the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// The row.
    pub id: KeyId,
    /// For people.
    pub name: String,
    /// The first eight characters.
    pub prefix: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Who made it.
    pub created_by: Option<String>,
    /// When this process last saw it used.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A new key, shown this once.
#[derive(Clone, PartialEq, Eq)]
pub struct CreatedKey {
    /// Its row.
    pub info: KeyInfo,
    /// The key itself.
    pub key: String,
}

#[derive(Default)]
struct Rows {
    by_digest: HashMap<String, usize>,
    rows: Vec<KeyInfo>,
    version: Option<u64>,
}

impl Rows {
    fn apply(&mut self, event: AccessEvent, version: u64) {
        self.version = Some(version);
        match event {
            AccessEvent::Created(created) => {
                self.by_digest.insert(created.digest, self.rows.len());
                self.rows.push(KeyInfo {
                    id: created.id,
                    name: created.name,
                    prefix: created.prefix,
                    scopes: created.scopes,
                    created_by: created.created_by,
                    last_used_at: None,
                    revoked_at: None,
                    expires_at: created.expires_at,
                    created_at: created.at,
                });
            }
            AccessEvent::Revoked(revoked) => {
                if let Some(row) = self.rows.iter_mut().find(|row| row.id == revoked.id) {
                    row.revoked_at = Some(revoked.at);
                }
            }
        }
    }
}

/// All API keys, held in memory and in the log.
pub struct AccessKeys {
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    rows: RwLock<Rows>,
    entropy: Mutex<Entropy>,
    writing: tokio::sync::Mutex<()>,
}

/// Lower-case hex SHA-256 of a whole key (AU-08).
pub fn key_digest(key: &str) -> String {
    Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl AccessKeys {
    /// Reads all keys from the log.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn open(log: Arc<dyn EventLog>, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let mut rows = Rows::default();
        read(&*log, &mut rows).await?;
        Ok(Self {
            log,
            clock,
            rows: RwLock::new(rows),
            entropy: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        })
    }

    /// Whose key this is. Looks up a digest, never the key, so timing tells nothing about it (AU-09).
    ///
    /// # Errors
    /// See [`AuthError`].
    pub fn authenticate(&self, presented: &str, now: Timestamp) -> Result<Principal, AuthError> {
        let digest = key_digest(presented);
        let (principal, stale) = {
            let rows = self.rows.read();
            let row = rows.by_digest.get(&digest).map(|index| &rows.rows[*index]);
            let row = row.filter(|row| row.revoked_at.is_none()).ok_or(AuthError::Unknown)?;
            if row.expires_at.is_some_and(|end| end <= now) {
                return Err(AuthError::Expired);
            }
            let stale = row.last_used_at.is_none_or(|then| now.since(then) > 60_000);
            (Principal { id: Some(row.id), name: row.name.clone(), scopes: row.scopes.clone() }, stale)
        };
        if stale {
            let mut rows = self.rows.write();
            if let Some(index) = rows.by_digest.get(&digest).copied() {
                rows.rows[index].last_used_at = Some(now);
            }
        }
        Ok(principal)
    }

    /// All keys, newest first.
    pub fn list(&self, include_revoked: bool) -> Vec<KeyInfo> {
        let rows = self.rows.read();
        rows.rows.iter().rev().filter(|row| include_revoked || row.revoked_at.is_none()).cloned().collect()
    }

    /// Makes a key and shows it this once.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] or [`EngineError::LogFailed`].
    pub async fn create(&self, new: NewKey) -> Result<CreatedKey, EngineError> {
        let now = self.clock.now();
        let (id, secret) = {
            let mut entropy = self.entropy.lock();
            (entropy.key(now), entropy.bytes::<32>())
        };
        let key = format!("hsk_{}", URL_SAFE_NO_PAD.encode(secret));
        let event = KeyCreated {
            at: now,
            id,
            name: new.name,
            digest: key_digest(&key),
            prefix: key.chars().take(8).collect(),
            scopes: new.scopes,
            created_by: new.created_by,
            expires_at: new.expires_at,
        };
        self.write(AccessEvent::Created(event), |_| true).await?;
        let info =
            self.rows.read().rows.iter().find(|row| row.id == id).cloned().ok_or(EngineError::NotFound)?;
        Ok(CreatedKey { info, key })
    }

    /// The first key of an installation (AU-14): made if no key row exists at all.
    ///
    /// # Errors
    /// As [`AccessKeys::create`].
    pub async fn bootstrap(&self) -> Result<Option<CreatedKey>, EngineError> {
        if !self.rows.read().rows.is_empty() {
            return Ok(None);
        }
        let new = NewKey {
            name: "bootstrap-ingest".to_owned(),
            scopes: vec![Scope::Ingest],
            expires_at: None,
            created_by: Some("boot".to_owned()),
        };
        self.create(new).await.map(Some)
    }

    /// Ends a key at once (AU-10).
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if there is no such key or it is revoked, else as [`AccessKeys::create`].
    pub async fn revoke(&self, id: KeyId) -> Result<(), EngineError> {
        let event = AccessEvent::Revoked(KeyRevoked { at: self.clock.now(), id });
        let known = |rows: &Rows| rows.rows.iter().any(|row| row.id == id && row.revoked_at.is_none());
        if self.write(event, known).await? { Ok(()) } else { Err(EngineError::NotFound) }
    }

    /// Appends an event if `allowed`, reading what other processes wrote first if need be.
    async fn write(&self, event: AccessEvent, allowed: impl Fn(&Rows) -> bool) -> Result<bool, EngineError> {
        let _one_at_a_time = self.writing.lock().await;
        loop {
            let expected = {
                let rows = self.rows.read();
                if !allowed(&rows) {
                    return Ok(false);
                }
                rows.version.map_or(Expected::NoStream, Expected::Version)
            };
            let encoded = event.encode().map_err(|error| EngineError::LogFailed(error.to_string()))?;
            let now = self.clock.now();
            let id = self.entropy.lock().record(now);
            let stamp = Stamp::impersonal(None);
            let records = vec![record(id, encoded, None, stamp)];
            let streams = vec![StreamAppend { stream: StreamName::access(), expected, records }];
            match self.log.append(Append { recorded_at: now, streams }).await {
                Ok(_) => {
                    let mut rows = self.rows.write();
                    let version = rows.version.map_or(0, |version| version + 1);
                    rows.apply(event, version);
                    return Ok(true);
                }
                Err(AppendError::Conflict { .. }) => {
                    let mut fresh = Rows::default();
                    read(&*self.log, &mut fresh)
                        .await
                        .map_err(|error| EngineError::LogFailed(error.to_string()))?;
                    *self.rows.write() = fresh;
                }
                Err(AppendError::Unavailable(_)) => return Err(EngineError::Overloaded),
                Err(error) => return Err(EngineError::LogFailed(error.to_string())),
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl From<ReadError> for StartError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Log(error) => Self::Log(error),
            ReadError::Decode(error) => Self::Decode(error),
        }
    }
}

async fn read(log: &dyn EventLog, rows: &mut Rows) -> Result<(), ReadError> {
    loop {
        let next = rows.version.map_or(0, |version| version + 1);
        let records = log.read_stream(&StreamName::access(), next, PAGE).await?;
        for record in &records {
            let event = AccessEvent::decode(&record.event_type, record.schema_version, &record.payload)?;
            rows.apply(event, record.version);
        }
        if records.len() < PAGE {
            return Ok(());
        }
    }
}
