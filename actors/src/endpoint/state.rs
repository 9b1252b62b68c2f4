//! What is true about one endpoint, and how each event changes it.

use mainspring_schemas::{
    Timestamp,
    event::{
        EndpointEvent,
        endpoint::{EndpointSettings, SigningSecret},
    },
};
use uuid::Uuid;

/// The kind whose requests are signed; the only one with a secret (OB-93).
pub(super) const SIGNED_KIND: &str = "webhook";

/// The first twelve characters of a secret, which may be shown (OB-76).
pub(super) fn prefix(secret: &str) -> String {
    secret.chars().take(12).collect()
}

/// One endpoint, as the replay of its stream gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointState {
    /// What an operator configured.
    pub settings: EndpointSettings,
    /// Secrets, newest first; some may have ended.
    pub secrets: Vec<SigningSecret>,
    /// Why and since when nothing is sent.
    pub disabled: Option<(String, Timestamp)>,
    /// When it was last enabled again.
    pub enabled_at: Option<Timestamp>,
    /// Whether it is gone for good.
    pub deleted: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its configuration last changed (OB-80).
    pub updated_at: Timestamp,
    /// Version of its last record.
    pub version: u64,
    /// What seals its credentials (OB-86); `None` until the first record that needs it. Stands beside the events, not in
    /// them.
    pub data_key: Option<Uuid>,
}

impl EndpointState {
    /// The secrets that sign at an instant, newest first (OB-94).
    pub fn signing_secrets(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        self.secrets
            .iter()
            .filter(move |secret| secret.expires_at.is_none_or(|end| end > now))
            .map(|secret| secret.secret.as_str())
    }

    /// Whether its requests are signed, with a secret of its own.
    pub(super) fn is_signed(&self) -> bool {
        self.settings.kind == SIGNED_KIND && !self.secrets.is_empty()
    }

    /// What is shown of its secrets: how the newest begins (OB-76), and until when the one before it signs (OB-94).
    pub(super) fn shown_secrets(&self, now: Timestamp) -> (Option<String>, Option<Timestamp>) {
        if !self.is_signed() {
            return (None, None);
        }
        let newest = self.secrets.first().map(|newest| prefix(&newest.secret));
        let ends = self.secrets.get(1).and_then(|previous| previous.expires_at);
        (newest, ends.filter(|end| *end > now))
    }

    /// Brings `state` to where it is after `event`. An event of a stream that was never created is ignored.
    pub fn apply(state: &mut Option<Self>, event: &EndpointEvent, version: u64) {
        if let EndpointEvent::Created(created) = event {
            *state = Some(Self {
                settings: created.settings.clone().upgraded(),
                secrets: created.secret.iter().cloned().collect(),
                disabled: created.disabled.then(|| ("operator".to_owned(), created.at)),
                enabled_at: None,
                deleted: false,
                created_at: created.at,
                updated_at: created.at,
                version,
                data_key: None,
            });
        }
        let Some(state) = state else { return };
        state.version = version;
        match event {
            EndpointEvent::Created(_) | EndpointEvent::TestRequested(_) => {}
            EndpointEvent::Updated(updated) => {
                state.settings = updated.settings.clone().upgraded();
                state.updated_at = updated.at;
            }
            EndpointEvent::SecretRotated(rotated) => {
                state.secrets = rotated.secrets.clone();
                state.updated_at = rotated.at;
            }
            EndpointEvent::Disabled(disabled) => {
                state.disabled = Some((disabled.reason.clone(), disabled.at));
                state.updated_at = disabled.at;
            }
            EndpointEvent::Enabled(enabled) => {
                state.disabled = None;
                state.enabled_at = Some(enabled.at);
                state.updated_at = enabled.at;
            }
            EndpointEvent::Deleted(_) => state.deleted = true,
        }
    }
}
