//! How a contact ends: deleted (CT-70) or erased (GD-03).

use mainspring_schemas::{
    BucketId,
    catalog::CONTACT_DELETED,
    event::contact::{ContactEvent, Deleted, Erased, LeaveReason, TransitionSource},
};
use serde_json::json;

use super::{
    command::{Erasure, Outcome},
    decide::Progress,
};

impl Progress<'_> {
    /// Ends the contact after what had fallen due.
    pub(super) fn delete(&mut self) -> Outcome {
        self.meet();
        self.settle(self.turn.continuous);
        self.end_all_stays();
        let contact = self.state.public();
        let data = json!({
            "id": contact.id, "externalId": contact.external_id, "email": contact.email, "reason": "deleted",
        });
        self.announced(CONTACT_DELETED, data);
        self.emit(ContactEvent::Deleted(Deleted { at: self.turn.now, reason: "deleted".into() }));
        Outcome::Deleted
    }

    /// What is told of it names the contact by its id alone (GD-07): a mirror knows it by that, and nobody else learns
    /// who it was.
    pub(super) fn erase(&mut self, erasure: Erasure) -> Outcome {
        self.end_all_stays();
        let at = self.turn.now;
        let Erasure { data_keys, former } = erasure;
        self.emit(ContactEvent::Erased(Erased { at, data_keys, former }));
        let data = json!({
            "id": self.turn.contact, "externalId": null, "email": null, "reason": "erased",
        });
        self.announced(CONTACT_DELETED, data);
        self.emit(ContactEvent::Deleted(Deleted { at, reason: "erased".into() }));
        Outcome::Deleted
    }

    /// Silently (BK-244).
    fn end_all_stays(&mut self) {
        let now = self.turn.now;
        let active: Vec<BucketId> =
            self.state.standings.iter().filter(|s| s.stay.is_some()).map(|s| s.bucket.clone()).collect();
        for bucket in active {
            let name = self.turn.rules.rules.iter().find(|rule| *rule.bucket() == bucket);
            let name = name.map(|rule| rule.definition.name.clone()).unwrap_or_default();
            self.end_stay(&bucket, &name, TransitionSource::Event, LeaveReason::Deleted, now, false);
        }
    }
}
