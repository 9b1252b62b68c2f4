//! One line of a file, understood.

use compact_str::CompactString;
use mainspring_actors::api::{Identity, IngestCall};
use mainspring_schemas::{
    Properties, Timestamp,
    event::contact::Source,
    identity::{IdentityKey, KeyKind, is_email_shaped},
};

/// Longest anonymous id (DP-04).
const ANONYMOUS_ID: usize = 200;

/// An event of a file, before anything is checked.
#[derive(Debug, Default)]
pub struct Draft {
    /// The event's name.
    pub name: CompactString,
    /// `userId`.
    pub user_id: Option<String>,
    /// `email`.
    pub email: Option<String>,
    /// `anonymousId`.
    pub anonymous_id: Option<String>,
    /// When it happened.
    pub timestamp: Option<Timestamp>,
    /// The event's properties.
    pub event_properties: Properties,
    /// The contact's properties.
    pub contact_properties: Properties,
    /// The file's own key, if it has one.
    pub idempotency_key: Option<CompactString>,
}

/// An event of a file that the engine can be asked to store.
#[derive(Debug)]
pub struct Row {
    /// When it happened.
    pub at: Option<Timestamp>,
    /// The call; the idempotency key may still be absent.
    pub call: IngestCall,
}

impl Draft {
    /// Checks what the data plane checks (DP-01..DP-10).
    pub fn checked(self) -> Result<Row, String> {
        if self.name.is_empty() {
            return Err("name: required".to_owned());
        }
        let present = |text: &Option<String>, kind| {
            text.as_deref().is_some_and(|text| IdentityKey::new(kind, text).is_some())
        };
        if let Some(email) = &self.email
            && present(&self.email, KeyKind::Email)
            && !is_email_shaped(email.trim())
        {
            return Err("email: not an address".to_owned());
        }
        if self.anonymous_id.as_ref().is_some_and(|id| id.chars().count() > ANONYMOUS_ID) {
            return Err(format!("anonymousId: longer than {ANONYMOUS_ID} characters"));
        }
        if !present(&self.user_id, KeyKind::External) && !present(&self.email, KeyKind::Email) {
            return Err("email or userId is required".to_owned());
        }
        let (user_id, email) = (self.user_id.as_deref(), self.email.as_deref());
        let call = IngestCall {
            identity: Identity::new(user_id, email, self.anonymous_id.as_deref()),
            name: self.name,
            event_properties: self.event_properties,
            contact_properties: self.contact_properties,
            idempotency_key: self.idempotency_key,
            occurred_at: self.timestamp,
            source: Source::Import,
            existing_only: false,
            trace: None,
        };
        Ok(Row { at: self.timestamp, call })
    }
}
