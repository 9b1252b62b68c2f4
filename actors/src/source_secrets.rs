//! Secrets of webhook sources that the engine makes itself (WS-92), each in a stream of its own, sealed with a key of its own.
//!
//! A secret that cannot be read is an error and never an absent one: whoever asks must refuse, not let in.

use std::{collections::HashMap, fmt, sync::Arc};

use mainspring_eventlog::{Append, AppendError, Expected, StreamAppend};
use mainspring_schemas::{
    SourceId, StreamName,
    event::{SourceSecretEvent, source_secret::SecretStored},
};
use parking_lot::RwLock;

use crate::{
    api::EngineError,
    engine::Core,
    writer::{Stamp, record},
};

/// A secret of a webhook source. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceSecret(Arc<str>);

impl SourceSecret {
    /// The secret itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SourceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceSecret")
    }
}

/// The stored secrets of all webhook sources, read when they are first asked for.
pub struct SourceSecrets {
    core: Arc<Core>,
    /// What the log said; `None` = there is no secret.
    known: RwLock<HashMap<SourceId, Option<SourceSecret>>>,
    /// Held while the log is read or written, so that nobody remembers what was overtaken.
    asking: tokio::sync::Mutex<()>,
}

impl SourceSecrets {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core, known: RwLock::default(), asking: tokio::sync::Mutex::default() }
    }

    /// The stored secret of a source; `None` if none was ever made.
    ///
    /// # Errors
    /// [`EngineError::LogFailed`] if nobody can tell.
    pub async fn find(&self, source: &SourceId) -> Result<Option<SourceSecret>, EngineError> {
        if let Some(known) = self.remembered(source) {
            return Ok(known);
        }
        let _one_at_a_time = self.asking.lock().await;
        match self.remembered(source) {
            Some(known) => Ok(known),
            None => self.read(source).await,
        }
    }

    /// The stored secret of a source; if there is none, 32 random bytes as hex become it.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] or [`EngineError::LogFailed`].
    pub async fn ensure(&self, source: &SourceId) -> Result<SourceSecret, EngineError> {
        let _one_at_a_time = self.asking.lock().await;
        // Asked anew: a caller that went away may have left an append behind.
        if let Some(secret) = self.read(source).await? {
            return Ok(secret);
        }
        let now = self.core.now();
        let (id, bytes) = {
            let mut entropy = self.core.entropy.lock();
            (entropy.record(now), entropy.bytes::<32>())
        };
        let secret: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let event = SourceSecretEvent::Stored(SecretStored { at: now, secret: secret.clone() });
        let encoded = event.encode().map_err(|error| EngineError::LogFailed(error.to_string()))?;
        let stamp = Stamp { data_key: self.core.fresh_data_key()?, ..Stamp::impersonal(None) };
        let records = vec![record(id, encoded, None, stamp)];
        let streams =
            vec![StreamAppend { stream: StreamName::source(source), expected: Expected::NoStream, records }];
        let appended = self.core.log().append(Append { recorded_at: now, streams }).await;
        appended.map_err(|error| match error {
            AppendError::Conflict { .. } | AppendError::Unavailable(_) => EngineError::Overloaded,
            error => EngineError::LogFailed(error.to_string()),
        })?;
        let secret = SourceSecret(secret.into());
        self.known.write().insert(source.clone(), Some(secret.clone()));
        Ok(secret)
    }

    fn remembered(&self, source: &SourceId) -> Option<Option<SourceSecret>> {
        self.known.read().get(source).cloned()
    }

    /// Asks the log. The caller holds `asking`.
    async fn read(&self, source: &SourceId) -> Result<Option<SourceSecret>, EngineError> {
        let unreadable = |reason: &dyn fmt::Display| {
            let advice =
                "restore the file of data keys that belongs to this log, or set the source's variable";
            EngineError::LogFailed(format!(
                "the stored secret of source {source} cannot be read ({reason}): {advice}"
            ))
        };
        let stream = StreamName::source(source);
        let newest = self.core.log().read_stream_back(&stream, None, 1).await;
        let newest = newest.map_err(|error| unreadable(&error))?;
        let secret = match newest.first() {
            None => None,
            Some(found) => {
                let event =
                    SourceSecretEvent::decode(&found.event_type, found.schema_version, &found.payload);
                let SourceSecretEvent::Stored(stored) = event.map_err(|error| unreadable(&error))?;
                if stored.secret.is_empty() {
                    return Err(unreadable(&"its key is destroyed"));
                }
                Some(SourceSecret(stored.secret.into()))
            }
        };
        self.known.write().insert(source.clone(), secret.clone());
        Ok(secret)
    }
}
