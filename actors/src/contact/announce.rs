//! What the world is told about a contact.

use mainspring_schemas::{
    ContactId,
    event::contact::{Announced, ContactEvent},
    outbound_event::{ContactData, ContactDeleted, ContactMerged, LostContact, OutboundEvent},
};

use super::{
    command::{Command, Outcome, Taken},
    decide::Progress,
};

/// Why contacts merge: keys of one call designated both (AA-03).
const COLLIDE_MERGE: &str = "collide_merge";

impl Progress<'_> {
    /// Announces the contact as it is now, as created or updated (OB-42).
    pub(super) fn announce(&mut self, as_what: fn(ContactData) -> OutboundEvent) {
        let key = self.state.contact_key().to_string();
        self.announced(&as_what(ContactData::new(self.state.public(), key)));
    }

    /// Tells the world of every contact that vanished into this one (MC-45).
    pub(super) fn announce_merges(&mut self, losers: &[Taken]) {
        for loser in losers.iter().map(|loser| loser.state.public()) {
            let (id, external_id, email) = (loser.id, loser.external_id, loser.email);
            if self.turn.policy.announce_all {
                // For receivers that know the documented types only (GD-07).
                let deleted = ContactDeleted {
                    id,
                    external_id: external_id.clone(),
                    email: email.clone(),
                    reason: Some("merged".into()),
                };
                self.announced_about(Some(id), &OutboundEvent::ContactDeleted(deleted));
            }
            self.announced(&OutboundEvent::ContactMerged(ContactMerged {
                survivor: self.state.public(),
                loser: LostContact { id, external_id, email },
                reason: COLLIDE_MERGE.into(),
            }));
        }
    }

    /// What happened to the contact outside of it, told by whoever knows (OB-64: the record is the emission).
    pub(super) fn tell(&mut self, event: OutboundEvent) -> Outcome {
        self.pass_time();
        if self.is_cut {
            return self.put_off(Command::Tell(Box::new(event)));
        }
        self.announced(&event);
        Outcome::Told
    }

    /// Announces an event; its data are frozen here (OB-52).
    pub(super) fn announced(&mut self, event: &OutboundEvent) {
        self.announced_about(None, event);
    }

    fn announced_about(&mut self, about: Option<ContactId>, event: &OutboundEvent) {
        let (outbound_type, data) = (event.outbound_type().into(), event.data());
        self.emit(ContactEvent::Announced(Announced { at: self.turn.now, outbound_type, about, data }));
    }
}
