//! What the world is told about a contact by the types `contact.*`.

use mainspring_schemas::event::contact::{Announced, ContactEvent};
use serde_json::{Value, json};

use super::decide::Progress;

impl Progress<'_> {
    /// Announces the contact as it is now.
    pub(super) fn announce(&mut self, outbound_type: &'static str) {
        let contact = self.state.public();
        let data = json!({
            "id": contact.id,
            "externalId": contact.external_id,
            "email": contact.email,
            "contactKey": self.state.contact_key(),
            "properties": contact.properties,
            "firstSeenAt": contact.first_seen_at,
            "lastSeenAt": contact.last_seen_at,
            "createdAt": contact.created_at,
            "updatedAt": contact.updated_at,
        });
        self.announced(outbound_type, data);
    }

    /// Announces an object; anything else says nothing.
    pub(super) fn announced(&mut self, outbound_type: &'static str, data: Value) {
        let Value::Object(data) = data else { return };
        let event = Announced { at: self.turn.now, outbound_type: outbound_type.into(), data };
        self.emit(ContactEvent::Announced(event));
    }
}
