//! Keys of a call: whether they are this contact's, and how they come to it.

use mainspring_schemas::{
    Properties,
    event::contact::{AttachedKey, ContactEvent, Created, KeysAttached, Via},
    identity::{IdentityKey, KeyKind},
    properties,
};

use super::{
    command::{Call, EmailUpdate},
    decide::Progress,
    state::{ContactState, Fate},
};

impl Progress<'_> {
    /// Whether every key of the call is this contact's, a loser's, or free; otherwise the call must be resolved anew.
    pub(super) fn knows_keys_of(&self, call: &Call) -> bool {
        let known = |key: &IdentityKey| {
            self.state.holds(key)
                || call.unowned.contains(key)
                || call.losers.iter().any(|loser| loser.state.holds(key))
        };
        let designated = self.state.fate == Fate::Live || !call.unowned.is_empty();
        designated && call.keys.iter().all(known)
    }

    /// Brings the contact into being.
    pub(super) fn create(&mut self, call: &Call) {
        let mut keys: Vec<AttachedKey> = Vec::new();
        for key in &call.unowned {
            let primary = key.kind.has_primary() && !keys.iter().any(|attached| attached.kind == key.kind);
            let via = if call.via == Via::Attached { Via::Created } else { call.via };
            keys.push(AttachedKey { kind: key.kind, value: key.value.clone(), primary, via });
        }
        let properties = properties::merged(&Properties::new(), &call.patch);
        self.emit(ContactEvent::Created(Created { at: self.turn.now, keys, properties }));
        // Nothing is older than the contact itself: every definition in force is met from the start.
        self.state.settled = self.turn.now;
        self.state.definitions = self.turn.rules.revision;
    }

    /// The kind of which the call would attach one key too many (KE-12).
    pub(super) fn full_kind(&self, call: &Call) -> Option<KeyKind> {
        let limit = self.turn.policy.max_keys_per_kind;
        call.unowned.iter().map(|key| key.kind).find(|kind| {
            let held = |state: &ContactState| state.keys.iter().filter(|held| held.key.kind == *kind).count();
            held(self.state) + call.losers.iter().map(|loser| held(&loser.state)).sum::<usize>() >= limit
        })
    }

    /// Attaches the keys of the call that are new, and makes primary what the call may (RS-30).
    pub(super) fn attach(&mut self, call: &Call) {
        let mut keys: Vec<AttachedKey> = Vec::new();
        for key in &call.keys {
            let held = self.state.keys.iter().find(|held| held.key == *key);
            let slot_free = key.kind.has_primary()
                && self.state.primary(key.kind).is_none()
                && !keys.iter().any(|k| k.kind == key.kind);
            let takes_over = key.kind == KeyKind::Email && self.replaces_address(call);
            let primary = slot_free || takes_over;
            if held.is_some_and(|held| held.primary || !primary) {
                continue;
            }
            keys.push(AttachedKey { kind: key.kind, value: key.value.clone(), primary, via: call.via });
        }
        if !keys.is_empty() {
            self.emit(ContactEvent::KeysAttached(KeysAttached { at: self.turn.now, keys }));
        }
    }

    /// Whether an address of the call becomes primary: the call names the contact by something else (RS-30), and is of
    /// a kind that may (RS-32).
    fn replaces_address(&self, call: &Call) -> bool {
        let may = match self.turn.policy.email_update {
            EmailUpdate::Upsert => call.event.is_none(),
            EmailUpdate::Any => true,
            EmailUpdate::Never => false,
        };
        let by_another = |key: &IdentityKey| key.kind != KeyKind::Email && self.state.holds(key);
        may && (call.designated || call.keys.iter().any(by_another))
    }
}
