//! The audit trail: who changed what on the admin plane (LG-11, section 12). A stream of its own; the log's hash chain is
//! what makes it tamper-evident (LG-13).

use std::sync::Arc;

use mainspring_eventlog::{Append, AppendError, EventLog, Expected, LogError, Position, StreamAppend};
use mainspring_schemas::{
    RecordId, StreamName, Timestamp,
    event::{AuditEvent, audit::Acted},
};
use parking_lot::Mutex;

use crate::{
    api::EngineError,
    clock::Clock,
    entropy::Entropy,
    writer::{Stamp, record},
};

/// Records read at a time.
const PAGE: usize = 1024;

/// Which entries to list (AP-84); the default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// By the key of this name.
    pub actor: Option<String>,
    /// Of this kind of thing.
    pub resource: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// At this instant or later.
    pub from: Option<Timestamp>,
    /// At this instant or before.
    pub to: Option<Timestamp>,
}

impl AuditFilter {
    fn takes(&self, acted: &Acted) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        is(&self.actor, &acted.actor)
            && is(&self.resource, &acted.resource)
            && is(&self.action, &acted.action)
            && self.from.is_none_or(|from| from <= acted.at)
            && self.to.is_none_or(|to| acted.at <= to)
    }
}

/// One entry of the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Id of its record.
    pub id: RecordId,
    /// What happened.
    pub acted: Acted,
}

/// A page of the trail, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// How many entries the filter leaves.
    pub total: u64,
}

/// Writes and reads the trail. It is read from the log itself: people change little, and seldom ask who did.
pub struct AuditTrail {
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    entropy: Mutex<Entropy>,
}

impl AuditTrail {
    /// The trail of a log.
    pub fn new(log: Arc<dyn EventLog>, clock: Arc<dyn Clock>) -> Self {
        Self { log, clock, entropy: Mutex::default() }
    }

    /// Adds an entry; durable when this returns.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] or [`EngineError::LogFailed`].
    pub async fn add(&self, acted: Acted) -> Result<Position, EngineError> {
        let encoded = AuditEvent::Acted(acted).encode().map_err(failed)?;
        let now = self.clock.now();
        let id = self.entropy.lock().record(now);
        let records = vec![record(id, encoded, None, Stamp::impersonal(None))];
        let streams = vec![StreamAppend { stream: StreamName::audit(), expected: Expected::Any, records }];
        match self.log.append(Append { recorded_at: now, streams }).await {
            Ok(appended) => Ok(appended.last_position),
            Err(AppendError::Unavailable(_)) => Err(EngineError::Overloaded),
            Err(error) => Err(failed(error)),
        }
    }

    /// A page of the entries that a filter leaves.
    ///
    /// # Errors
    /// [`EngineError::LogFailed`] if the trail cannot be read.
    pub async fn page(
        &self,
        filter: &AuditFilter,
        limit: usize,
        offset: usize,
    ) -> Result<AuditPage, EngineError> {
        let mut page = AuditPage::default();
        let mut next = None;
        loop {
            let records = self.log.read_stream_back(&StreamName::audit(), next, PAGE).await;
            let records = records.map_err(|error: LogError| failed(error))?;
            let Some(last) = records.last().map(|record| record.version) else { return Ok(page) };
            for found in records {
                let event = AuditEvent::decode(&found.event_type, found.schema_version, &found.payload);
                let AuditEvent::Acted(acted) = event.map_err(failed)?;
                if !filter.takes(&acted) {
                    continue;
                }
                if page.total >= offset as u64 && page.entries.len() < limit {
                    page.entries.push(AuditEntry { id: found.id, acted });
                }
                page.total += 1;
            }
            match last.checked_sub(1) {
                Some(before) => next = Some(before),
                None => return Ok(page),
            }
        }
    }
}

fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::LogFailed(error.to_string())
}
