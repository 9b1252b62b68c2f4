//! One turn of a contact: a command, the rules in force and an instant in; events and an answer out.

use mainspring_eventlog::Position;
use mainspring_schemas::{
    BucketId, ContactId, Properties, RecordId, Timestamp,
    catalog::{CONTACT_CREATED, CONTACT_DELETED, CONTACT_UPDATED},
    event::contact::{
        Announced, AttachedKey, BucketLeft, ContactEvent, Created, Deleted, EventRecorded, Idempotency,
        IdentityConflict, KeysAttached, LeaveReason, Looked, MergedInto, PropertiesChanged, Seen,
        TransitionSource, Via,
    },
    identity::{IdentityKey, KeyKind},
    properties::{self, Change},
};
use serde_json::{Value, json};

use super::{
    apply::{Meta, apply, size_after},
    command::{Call, Command, Decision, NewEvent, Outcome, Policy, Taken},
    merge,
    state::{ContactState, Fate, digest_of},
};
use crate::rules::Rules;

/// Under what a turn is decided.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// The contact.
    pub contact: ContactId,
    /// The definitions in force.
    pub rules: &'a Rules,
    /// Limits and settings.
    pub policy: &'a Policy,
    /// The instant of the decision.
    pub now: Timestamp,
    /// Whether time flowed without a gap up to now, so that what fell due on the way was decided then: true on the
    /// data's own clock. A live engine that is late instead lets the arriving event speak first (BK-155).
    pub continuous: bool,
}

/// A turn on its way.
pub(super) struct Progress<'a> {
    pub state: &'a mut ContactState,
    pub turn: Turn<'a>,
    pub ids: &'a mut dyn FnMut() -> RecordId,
    pub events: Vec<(RecordId, ContactEvent)>,
    pub entered: Vec<BucketId>,
    pub left: Vec<BucketId>,
    pub overdue_joins: Vec<(u32, Timestamp)>,
}

/// Decides a command. The state already contains the events it returns.
pub fn decide(
    state: &mut ContactState,
    turn: Turn<'_>,
    command: Command,
    ids: &mut dyn FnMut() -> RecordId,
) -> Decision {
    let mut progress = Progress {
        state,
        turn,
        ids,
        events: Vec::new(),
        entered: Vec::new(),
        left: Vec::new(),
        overdue_joins: Vec::new(),
    };
    let elsewhere = match progress.state.fate {
        Fate::MergedInto(survivor) => Some(Outcome::Moved(survivor)),
        Fate::Deleted => Some(Outcome::Gone),
        Fate::Absent if !matches!(command, Command::Call(_)) => Some(Outcome::Gone),
        Fate::Absent | Fate::Live => None,
    };
    let (outcome, unused) = match (elsewhere, command) {
        (Some(outcome), Command::Call(call)) => (outcome, Some(call)),
        (Some(outcome), _) => (outcome, None),
        (None, Command::Call(call)) if !progress.knows_keys_of(&call) => (Outcome::Unresolved, Some(call)),
        (None, Command::Call(call)) => (progress.call(*call), None),
        (None, Command::Wake | Command::Meet) => (progress.look(), None),
        (None, Command::Delete) => (progress.delete(), None),
    };
    let Progress { state, events, entered, left, .. } = progress;
    if !events.is_empty() {
        state.recorded_wake = state.wake_at();
    }
    Decision { events, outcome, entered, left, unused }
}

/// Takes the loser's half of a merge: it answers `Moved` from now on. Returns what the survivor needs, and the event
/// that belongs into the loser's stream.
pub fn take(
    state: &mut ContactState,
    contact: ContactId,
    survivor: ContactId,
    now: Timestamp,
    definitions: Position,
    id: RecordId,
) -> (Taken, ContactEvent) {
    let taken = Taken { contact, version: state.version, state: Box::new(state.clone()) };
    let event = ContactEvent::MergedInto(MergedInto { at: now, survivor });
    let version = state.version.map_or(0, |version| version + 1);
    apply(state, &event, Meta { contact, id, version, recorded_at: now, wake_at: None, definitions });
    (taken, event)
}

impl Progress<'_> {
    /// Adds an event and makes it true.
    pub(super) fn emit(&mut self, event: ContactEvent) -> RecordId {
        let id = (self.ids)();
        let meta = Meta {
            contact: self.turn.contact,
            id,
            version: self.state.version.map_or(0, |version| version + 1),
            recorded_at: self.turn.now,
            wake_at: None,
            definitions: self.turn.rules.revision,
        };
        apply(self.state, &event, meta);
        self.events.push((id, event));
        id
    }

    /// Whether every key of the call is this contact's, a loser's, or free; otherwise the call must be resolved anew.
    fn knows_keys_of(&self, call: &Call) -> bool {
        let known = |key: &IdentityKey| {
            self.state.holds(key)
                || call.unowned.contains(key)
                || call.losers.iter().any(|loser| loser.state.holds(key))
        };
        let designated = self.state.fate == Fate::Live || !call.unowned.is_empty();
        designated && call.keys.iter().all(known)
    }

    fn call(&mut self, call: Call) -> Outcome {
        if let Some(duplicate) = self.duplicate(&call) {
            return duplicate;
        }
        let absent = self.state.fate == Fate::Absent;
        if !absent && call.losers.is_empty() {
            let change = properties::change(&self.state.properties, &call.patch);
            if !change.set.is_empty() && size_after(self.state, &change) > self.turn.policy.max_properties {
                return Outcome::Refused("contact properties exceed the limit");
            }
        } else if super::apply::value_size(&Value::Object(call.patch.clone()))
            > self.turn.policy.max_properties
        {
            return Outcome::Refused("contact properties exceed the limit");
        }

        let mut touched = Vec::new();
        if absent {
            self.create(&call);
            self.meet();
        } else {
            self.meet();
            self.settle(self.turn.continuous);
        }
        let observable_before = self.events.len();
        let merged = !call.losers.is_empty();
        if merged {
            self.absorb(&call, &mut touched);
        }
        if !absent {
            self.attach(&call);
            self.patch(&call.patch, &mut touched);
        } else {
            self.turn.rules.wildcards(&mut touched);
        }
        for name in call.patch.keys() {
            self.turn.rules.touched_by_property(name, &mut touched);
        }
        let changed = absent || self.events.len() > observable_before;
        let explicit = call.event.is_none();
        let event = call.event.map(|event| self.record(event, &mut touched));
        for (kind, other) in call.conflicts {
            if !self.state.conflicts.contains(&(kind, other)) {
                self.emit(ContactEvent::IdentityConflict(IdentityConflict {
                    at: self.turn.now,
                    kind,
                    other,
                }));
            }
        }
        if explicit && !changed {
            self.emit(ContactEvent::Seen(Seen { at: self.turn.now }));
        }
        self.candidates(touched);
        if changed && (explicit || self.turn.policy.announce_all) {
            self.announce(if absent { CONTACT_CREATED } else { CONTACT_UPDATED });
        }
        Outcome::Done { created: absent, merged, event }
    }

    /// A repeat is recognized before anything else happens (IG-12, IG-21).
    fn duplicate(&self, call: &Call) -> Option<Outcome> {
        let event = call.event.as_ref()?;
        let digest = digest_of(event.idempotency_key.as_ref()?);
        let known = self
            .state
            .remembered(digest)
            .or_else(|| call.losers.iter().find_map(|loser| loser.state.remembered(digest)))?;
        Some(Outcome::Duplicate { event: known.event, same_request: known.request == event.request })
    }

    fn create(&mut self, call: &Call) {
        let mut keys: Vec<AttachedKey> = Vec::new();
        for key in &call.unowned {
            let primary = !keys.iter().any(|attached| attached.kind == key.kind);
            let via = if call.via == Via::Attached { Via::Created } else { call.via };
            keys.push(AttachedKey { kind: key.kind, value: key.value.clone(), primary, via });
        }
        let properties = properties::merged(&Properties::new(), &call.patch);
        self.emit(ContactEvent::Created(Created { at: self.turn.now, keys, properties }));
        // Nothing is older than the contact itself: every definition in force is met from the start.
        self.state.settled = self.turn.now;
        self.state.definitions = self.turn.rules.revision;
    }

    fn attach(&mut self, call: &Call) {
        let mut keys: Vec<AttachedKey> = Vec::new();
        for key in &call.keys {
            let held = self.state.keys.iter().find(|held| held.key == *key);
            let slot_free =
                self.state.primary(key.kind).is_none() && !keys.iter().any(|k| k.kind == key.kind);
            // An explicit upsert that names the contact by another key changes its address (RS-30).
            let takes_over = key.kind == KeyKind::Email
                && call.event.is_none()
                && call.keys.iter().any(|other| other.kind != KeyKind::Email && self.state.holds(other));
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

    fn patch(&mut self, patch: &Properties, touched: &mut Vec<u32>) {
        if patch.is_empty() {
            return;
        }
        let change = properties::change(&self.state.properties, patch);
        for name in change.keys() {
            self.turn.rules.touched_by_property(name, touched);
        }
        if !change.is_empty() {
            let Change { set, removed } = change;
            self.emit(ContactEvent::PropertiesChanged(PropertiesChanged { at: self.turn.now, set, removed }));
        }
    }

    fn record(&mut self, event: NewEvent, touched: &mut Vec<u32>) -> RecordId {
        // A transition touches no bucket, so that transitions cannot cause each other without end (BK-45).
        if !event.name.starts_with("bucket:") {
            self.turn.rules.touched_by_event(&event.name, touched);
            for name in event.properties.keys() {
                self.turn.rules.touched_by_property(name, touched);
            }
        }
        let request = event.request;
        self.emit(ContactEvent::EventRecorded(EventRecorded {
            name: event.name,
            occurred_at: event.occurred_at.unwrap_or(self.turn.now),
            at: self.turn.now,
            properties: event.properties,
            source: event.source,
            idempotency: event.idempotency_key.map(|key| Idempotency { key, request }),
        }))
    }

    fn absorb(&mut self, call: &Call, touched: &mut Vec<u32>) {
        for event in merge::absorbed(self.state, call, self.turn.now) {
            for name in event.occurrences.keys() {
                self.turn.rules.touched_by_event(name, touched);
            }
            for name in event.properties.keys() {
                self.turn.rules.touched_by_property(name, touched);
            }
            self.emit(ContactEvent::Absorbed(Box::new(event)));
        }
        // Clocks of moved stays run on; everything is planned anew with the united history.
        for index in (0_u32..).take(self.turn.rules.rules.len()) {
            self.replan(index, self.turn.now);
        }
    }

    fn look(&mut self) -> Outcome {
        self.meet();
        self.settle(true);
        if self.events.is_empty() && self.state.wake_at() != self.state.recorded_wake {
            self.emit(ContactEvent::Looked(Looked { at: self.turn.now }));
        }
        Outcome::Looked
    }

    fn delete(&mut self) -> Outcome {
        let now = self.turn.now;
        let active: Vec<BucketId> =
            self.state.standings.iter().filter(|s| s.stay.is_some()).map(|s| s.bucket.clone()).collect();
        for bucket in active {
            let name = self.turn.rules.rules.iter().find(|rule| *rule.bucket() == bucket);
            let name = name.map(|rule| rule.definition.name.clone()).unwrap_or_default();
            self.end_stay(&bucket, &name, TransitionSource::Event, LeaveReason::Deleted, now, false);
        }
        let contact = self.state.public();
        let data = json!({
            "id": contact.id, "externalId": contact.external_id, "email": contact.email, "reason": "deleted",
        });
        self.announced(CONTACT_DELETED, data);
        self.emit(ContactEvent::Deleted(Deleted { at: now, reason: "deleted".into() }));
        Outcome::Deleted
    }

    pub(super) fn end_stay(
        &mut self,
        bucket: &BucketId,
        bucket_name: &str,
        source: TransitionSource,
        reason: LeaveReason,
        at: Timestamp,
        announced: bool,
    ) {
        let Some(stay) = self.state.stay(bucket) else { return };
        let event = BucketLeft {
            at,
            bucket: bucket.clone(),
            bucket_name: bucket_name.to_owned(),
            stay: stay.id,
            epoch: stay.epoch,
            entered_at: stay.entered_at,
            source,
            reason,
            announced,
            user_key: self.state.contact_key(),
            email: self.state.primary(KeyKind::Email).cloned(),
        };
        self.emit(ContactEvent::BucketLeft(event));
        self.left.push(bucket.clone());
    }

    fn announce(&mut self, outbound_type: &'static str) {
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

    fn announced(&mut self, outbound_type: &'static str, data: Value) {
        let Value::Object(data) = data else { return };
        let event = Announced { at: self.turn.now, outbound_type: outbound_type.into(), data };
        self.emit(ContactEvent::Announced(event));
    }
}
