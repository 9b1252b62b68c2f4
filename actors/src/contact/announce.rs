//! What the world is told about a contact by the types `contact.*`.

use mainspring_schemas::{
    catalog::{CONTACT_DELETED, CONTACT_MERGED},
    event::contact::{Announced, ContactEvent},
};
use serde_json::{Value, json};

use super::{command::Taken, decide::Progress};

/// Why contacts merge: keys of one call designated both (AA-03).
const COLLIDE_MERGE: &str = "collide_merge";

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

    /// Tells the world of every contact that vanished into this one (MC-45).
    pub(super) fn announce_merges(&mut self, losers: &[Taken]) {
        for loser in losers.iter().map(|loser| loser.state.public()) {
            let loser = json!({"id": loser.id, "externalId": loser.external_id, "email": loser.email});
            if self.turn.policy.announce_all {
                // For receivers that know the documented types only (GD-07).
                let mut deleted = loser.clone();
                deleted["reason"] = "merged".into();
                self.announced(CONTACT_DELETED, deleted);
            }
            let survivor = self.state.public();
            let data = json!({"survivor": survivor, "loser": loser, "reason": COLLIDE_MERGE});
            self.announced(CONTACT_MERGED, data);
        }
    }

    /// Announces an object; anything else says nothing.
    pub(super) fn announced(&mut self, outbound_type: &'static str, data: Value) {
        let Value::Object(data) = data else { return };
        let event = Announced { at: self.turn.now, outbound_type: outbound_type.into(), data };
        self.emit(ContactEvent::Announced(event));
    }
}
