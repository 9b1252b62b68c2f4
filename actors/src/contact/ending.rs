//! How a contact ends: deleted (CT-70) or erased (GD-03); and how a deletion is undone (GD-02).

use mainspring_schemas::{
    BucketId,
    event::contact::{AttachedKey, ContactEvent, Deleted, Erased, LeaveReason, Restored, TransitionSource},
    identity::IdentityKey,
    outbound_event::{ContactDeleted, OutboundEvent},
};

use super::{
    command::{Command, Erasure, Outcome},
    decide::Progress,
    state::{ContactState, Fate, HeldKey},
};

impl Progress<'_> {
    /// Ends the contact after what had fallen due.
    pub(super) fn delete(&mut self) -> Outcome {
        self.meet();
        self.settle(self.turn.continuous);
        if self.is_cut {
            return self.put_off(Command::Delete);
        }
        self.end_all_stays();
        let contact = self.state.public();
        self.announced(&OutboundEvent::ContactDeleted(ContactDeleted {
            id: contact.id,
            external_id: contact.external_id,
            email: contact.email,
            reason: Some("deleted".into()),
        }));
        self.emit(ContactEvent::Deleted(Deleted { at: self.turn.now, reason: "deleted".into() }));
        Outcome::Deleted
    }

    /// What is told of it names the contact by its id alone (GD-07): a mirror knows it by that, and nobody else learns
    /// who it was. Of one who was deleted before the world knows already (CT-73).
    pub(super) fn erase(&mut self, erasure: Erasure) -> Outcome {
        let ends = self.state.fate == Fate::Live;
        self.end_all_stays();
        let at = self.turn.now;
        let Erasure { data_keys, former } = erasure;
        self.emit(ContactEvent::Erased(Erased { at, data_keys, former }));
        if ends {
            self.announced(&OutboundEvent::ContactDeleted(ContactDeleted {
                id: self.turn.contact,
                external_id: None,
                email: None,
                reason: Some("erased".into()),
            }));
        }
        self.emit(ContactEvent::Deleted(Deleted { at, reason: "erased".into() }));
        Outcome::Deleted
    }

    /// Undoes the deletion. Of the keys it had only `free` come back.
    pub(super) fn restore_with(&mut self, free: &[IdentityKey]) -> Outcome {
        let restored = Restored {
            at: self.turn.now,
            keys: keys_again(self.state, free),
            properties: self.state.properties.clone(),
            first_seen_at: self.state.first_seen_at,
            last_seen_at: self.state.last_seen_at,
            created_at: self.state.created_at,
        };
        self.restore(restored);
        Outcome::Restored
    }

    /// The contact goes on as of now. Its stays had ended, so every bucket is decided anew, as if something had touched
    /// it; receivers, who were told of a deletion, are told of a contact that came into being.
    pub(super) fn restore(&mut self, restored: Restored) {
        let rules = self.turn.rules;
        self.emit(ContactEvent::Restored(restored));
        // Whatever came into force meanwhile is decided here and not back-filled.
        self.state.agenda_revision = Some(rules.revision);
        self.candidates((0_u32..).take(rules.rules.len()).collect());
        self.catch_up();
        self.announce(OutboundEvent::ContactCreated);
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

/// The keys that come back, in the order they came. If the primary one of a kind does not, the oldest one does in its
/// place.
fn keys_again(state: &ContactState, free: &[IdentityKey]) -> Vec<AttachedKey> {
    let again: Vec<&HeldKey> = state.keys.iter().filter(|held| free.contains(&held.key)).collect();
    let first_of_kind =
        |index: usize| again[..index].iter().all(|held| held.key.kind != again[index].key.kind);
    let keys = again.iter().enumerate().map(|(index, held)| {
        let has_primary = again.iter().any(|other| other.primary && other.key.kind == held.key.kind);
        let primary = if has_primary { held.primary } else { first_of_kind(index) };
        AttachedKey { kind: held.key.kind, value: held.key.value.clone(), primary, via: held.via }
    });
    keys.collect()
}
