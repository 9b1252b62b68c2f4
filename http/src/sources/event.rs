//! What a source makes of a callback.

use mainspring_schemas::{Properties, Timestamp, source::Mismatch};
use serde::Serialize;

/// One event, ready to be ingested (section 2). Identity members are normalized by ingest, not here.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceEvent {
    /// Its name.
    pub event: String,
    /// The person's id at the application, as the provider gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// A visitor's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous_id: Option<String>,
    /// The person's address.
    #[serde(rename = "userEmail", skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The person's id at the provider, where that is another one (WS-106).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_key: Option<ProviderKey>,
    /// What happened; stored with the event, never with the contact (WS-14).
    pub event_properties: Properties,
    /// Who the person is; stored with the contact, never with the event (WS-14). Null removes a key.
    pub contact_properties: Properties,
    /// By which a repeat is recognized.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// When it happened; now if nobody says (WS-51).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Timestamp>,
}

impl SourceEvent {
    /// An event with nothing but a name.
    pub fn named(event: impl Into<String>) -> Self {
        Self { event: event.into(), ..Self::default() }
    }

    /// Whether it reports that the person is gone (WS-52).
    pub fn is_deletion(&self) -> bool {
        self.event == "contact.deleted"
    }
}

/// A provider's own id of a person (WS-106). The provider is the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderKey {
    /// The id at the provider.
    pub id: String,
    /// The person's id at the application, if the provider was told: it decides whose event this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

/// What a payload means.
#[derive(Clone, Debug, PartialEq)]
pub enum Mapped {
    /// An event.
    Event(Box<SourceEvent>),
    /// Nothing to this engine: the provider is thanked and sends no more of it.
    Skipped(&'static str),
    /// A payload of the wrong shape.
    Mismatch(Mismatch),
}

impl From<SourceEvent> for Mapped {
    fn from(event: SourceEvent) -> Self {
        Self::Event(Box::new(event))
    }
}

impl From<Mismatch> for Mapped {
    fn from(mismatch: Mismatch) -> Self {
        Self::Mismatch(mismatch)
    }
}
