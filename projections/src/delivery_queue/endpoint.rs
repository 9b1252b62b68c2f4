//! An endpoint as of a position.

use mainspring_schemas::{
    EndpointId, Timestamp,
    endpoint_health::EndpointHealth,
    event::{
        EndpointEvent,
        delivery::{AttemptResult, Attempted},
        endpoint::EndpointSettings,
    },
};
use uuid::Uuid;

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
    /// Position of the newest record that changed its queue, other than by new deliveries.
    pub touched_at: u64,
    /// Its settings, without credentials (OB-86).
    pub settings: EndpointSettings,
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
    /// How it is doing (OB-151).
    pub health: EndpointHealth,
    /// What went wrong with the last attempt that failed.
    pub last_error: Option<String>,
    /// When it was deleted (OB-87).
    pub deleted_at: Option<Timestamp>,
    /// The key that sealed its credentials and was destroyed then (OB-86).
    pub destroyed_key: Option<Uuid>,
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
                    settings: created.settings.without_credentials(),
                    disabled_reason: created.disabled.then(|| "operator".to_owned()),
                    disabled_at: created.disabled.then_some(created.at),
                    created_at: created.at,
                    updated_at: created.at,
                    last_delivery_at: None,
                    health: EndpointHealth::default(),
                    last_error: None,
                    deleted_at: None,
                    destroyed_key: None,
                });
            }
            (row, _) => row?,
        };
        row.version = version;
        match event {
            EndpointEvent::Created(_) | EndpointEvent::TestRequested(_) => {}
            EndpointEvent::Updated(updated) => {
                row.settings = updated.settings.without_credentials();
                row.updated_at = updated.at;
            }
            EndpointEvent::SecretRotated(rotated) => {
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
                row.health.clear();
                row.updated_at = enabled.at;
            }
            EndpointEvent::Deleted(deleted) => {
                row.deleted_at = Some(deleted.at);
                row.destroyed_key = deleted.data_key;
                row.updated_at = deleted.at;
            }
        }
        Some(row)
    }

    /// Brings its health to where it is after an attempt (OB-151).
    pub fn attempted(&mut self, attempted: &Attempted) {
        self.health.attempted(attempted);
        match attempted.result {
            // Without an answer nothing was requested: the transform chose to skip (OB-124).
            AttemptResult::Delivered if attempted.response_status.is_some() => {
                self.last_delivery_at = self.last_delivery_at.max(Some(attempted.at));
            }
            AttemptResult::Delivered => {}
            AttemptResult::Retry { .. } | AttemptResult::Failed => {
                self.last_error.clone_from(&attempted.error);
            }
        }
    }
}
