//! An endpoint as of a position.

use mainspring_schemas::{
    EndpointId, Timestamp,
    event::{
        EndpointEvent,
        delivery::{AttemptResult, Attempted},
        endpoint::{EndpointSettings, SigningSecret},
    },
};

/// An endpoint's row.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointRow {
    /// Its id.
    pub id: EndpointId,
    /// Rank among all endpoints: the position of its creation.
    pub ordinal: u64,
    /// Version of the newest record of its configuration.
    pub version: u64,
    /// How many records its stream of outcomes has.
    pub outcomes: u64,
    /// Position of the newest record that changed its queue.
    pub touched_at: u64,
    /// Its settings.
    pub settings: EndpointSettings,
    /// Its signing secrets, newest first.
    pub secrets: Vec<SigningSecret>,
    /// Why it is disabled; `None` = it is enabled.
    pub disabled_reason: Option<String>,
    /// Since when.
    pub disabled_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its configuration changed last (OB-80).
    pub updated_at: Timestamp,
    /// When a request last succeeded (OB-79).
    pub last_delivery_at: Option<Timestamp>,
    /// Failed attempts since the last success (OB-151).
    pub consecutive_failures: u32,
    /// When the first of them failed.
    pub failing_since: Option<Timestamp>,
    /// When the last one failed.
    pub last_failure_at: Option<Timestamp>,
    /// What went wrong then.
    pub last_error: Option<String>,
    /// When it was deleted (OB-87).
    pub deleted_at: Option<Timestamp>,
}

impl EndpointRow {
    /// The row after an event of its stream; `None` if the stream does not begin with a creation.
    pub fn after(
        row: Option<Self>,
        id: EndpointId,
        event: &EndpointEvent,
        version: u64,
        position: u64,
    ) -> Option<Self> {
        let mut row = match (row, event) {
            (None, EndpointEvent::Created(created)) => {
                return Some(Self {
                    id,
                    ordinal: position,
                    version,
                    outcomes: 0,
                    touched_at: position,
                    settings: created.settings.clone(),
                    secrets: created.secret.iter().cloned().collect(),
                    disabled_reason: created.disabled.then(|| "operator".to_owned()),
                    disabled_at: created.disabled.then_some(created.at),
                    created_at: created.at,
                    updated_at: created.at,
                    last_delivery_at: None,
                    consecutive_failures: 0,
                    failing_since: None,
                    last_failure_at: None,
                    last_error: None,
                    deleted_at: None,
                });
            }
            (row, _) => row?,
        };
        row.version = version;
        match event {
            EndpointEvent::Created(_) | EndpointEvent::TestRequested(_) => {}
            EndpointEvent::Updated(updated) => {
                row.settings = updated.settings.clone();
                row.updated_at = updated.at;
            }
            EndpointEvent::SecretRotated(rotated) => {
                row.secrets.clone_from(&rotated.secrets);
                row.updated_at = rotated.at;
            }
            EndpointEvent::Disabled(disabled) => {
                row.disabled_reason = Some(disabled.reason.clone());
                row.disabled_at = Some(disabled.at);
                row.updated_at = disabled.at;
            }
            EndpointEvent::Enabled(enabled) => {
                // Enabling clears reason and counters (OB-152).
                row.disabled_reason = None;
                row.disabled_at = None;
                row.recovered();
                row.updated_at = enabled.at;
            }
            EndpointEvent::Deleted(deleted) => {
                row.deleted_at = Some(deleted.at);
                row.updated_at = deleted.at;
            }
        }
        Some(row)
    }

    /// Brings its health to where it is after an attempt (OB-151).
    pub fn attempted(&mut self, attempted: &Attempted) {
        match attempted.result {
            AttemptResult::Delivered => {
                self.recovered();
                // Without an answer nothing was requested: the transform chose to skip (OB-124).
                if attempted.response_status.is_some() {
                    self.last_delivery_at = self.last_delivery_at.max(Some(attempted.at));
                }
            }
            AttemptResult::Retry { .. } | AttemptResult::Failed => {
                self.consecutive_failures = self.consecutive_failures.saturating_add(1);
                self.failing_since.get_or_insert(attempted.at);
                self.last_failure_at = Some(attempted.at);
                self.last_error.clone_from(&attempted.error);
            }
        }
    }

    fn recovered(&mut self) {
        self.consecutive_failures = 0;
        self.failing_since = None;
    }
}
