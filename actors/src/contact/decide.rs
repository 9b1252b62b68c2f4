//! One turn of a contact: a command, the rules in force and an instant in; events and an answer out.

use std::collections::BTreeMap;

use mainspring_schemas::{
    BucketId, ContactId, Properties, RecordId, Timestamp,
    catalog::PublicContact,
    event::contact::{
        BucketLeft, ContactEvent, EventRecorded, Idempotency, IdentityConflict, LeaveReason, Looked,
        MergedInto, PropertiesChanged, Seen, TransitionSource, Via,
    },
    identity::KeyKind,
    outbound_event::OutboundEvent,
    properties::{self, Change},
};
use serde_json::Value;

use super::{
    analytics::FormerKeys,
    apply::{Meta, apply, size_after},
    command::{Call, Command, Decision, NewEvent, Outcome, Policy, Taken},
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
    /// The newest instant at which the turn, or one before, decided anything.
    pub reached: Timestamp,
    /// Which records brought others about, where that is not the call.
    pub causes: BTreeMap<RecordId, RecordId>,
    /// What brings about the records that come next, if it is not the call.
    pub cause: Option<RecordId>,
    /// Buckets that reactions touched and nobody decided yet, each with the record that touched it.
    pub touched: BTreeMap<u32, RecordId>,
    /// How many reactions in a row led here.
    pub generation: usize,
    /// Whether a reaction changed properties.
    pub patched: bool,
    /// Whether the turn ended before everything was decided that had fallen due.
    pub is_cut: bool,
    /// What must be decided again, because the turn was spent on what had fallen due.
    pub again: Option<Command>,
    /// Under which keys analytics knows who is one person now.
    pub former_keys: FormerKeys,
}

/// Decides a command. The state already contains the events it returns.
pub fn decide(
    state: &mut ContactState,
    turn: Turn<'_>,
    command: Command,
    ids: &mut dyn FnMut() -> RecordId,
) -> Decision {
    let mut progress = Progress::new(state, turn, ids);
    if turn.policy.analytics {
        progress.former_keys = FormerKeys::of(progress.state);
    }
    let elsewhere = match progress.state.fate {
        Fate::MergedInto(survivor) => Some(Outcome::Moved(survivor)),
        Fate::Deleted(_) if !matches!(command, Command::Erase(_) | Command::Restore(_)) => {
            Some(Outcome::Gone)
        }
        Fate::Erased if !matches!(command, Command::Erase(_)) => Some(Outcome::Gone),
        Fate::Absent if !matches!(command, Command::Call(_)) => Some(Outcome::Gone),
        Fate::Live if matches!(command, Command::Restore(_)) => Some(Outcome::Unresolved),
        Fate::Absent | Fate::Live | Fate::Deleted(_) | Fate::Erased => None,
    };
    let (outcome, unused) = match (elsewhere, command) {
        (Some(outcome), Command::Call(call)) => (outcome, Some(call)),
        (Some(outcome), _) => (outcome, None),
        (None, Command::Call(call)) if !progress.knows_keys_of(&call) => (Outcome::Unresolved, Some(call)),
        (None, Command::Call(call)) => match progress.full_kind(&call) {
            Some(kind) => (Outcome::Full(kind), Some(call)),
            None => (progress.call(*call), None),
        },
        (None, Command::Wake) => (progress.look(), None),
        (None, Command::Meet) => {
            progress.look();
            (Outcome::Looked { waiting: progress.waiting() }, None)
        }
        (None, Command::CatchUp(turns)) => {
            progress.meet();
            progress.plan_dwells(turns);
            (progress.look(), None)
        }
        (None, Command::Absorb(taken)) => (progress.absorb_late(*taken), None),
        (None, Command::Tell(event)) => (progress.tell(*event), None),
        (None, Command::Delete) => (progress.delete(), None),
        (None, Command::Erase(erasure)) => (progress.erase(erasure), None),
        (None, Command::Restore(keys)) => (progress.restore_with(&keys), None),
    };
    if progress.turn.policy.analytics && !progress.events.is_empty() {
        progress.tell_analytics();
    }
    progress.finish();
    let Progress { state, events, causes, entered, left, again, .. } = progress;
    if !events.is_empty() {
        state.recorded_wake = state.wake_at();
    }
    Decision { events, causes, outcome, entered, left, unused, again }
}

/// Whether the world sees a contact differently (CT-91): a further key or the time alone is not announced.
fn shows_change(before: PublicContact, after: PublicContact) -> bool {
    let PublicContact { last_seen_at, updated_at, .. } = after;
    PublicContact { last_seen_at, updated_at, ..before } != after
}

/// The loser's half of a merge.
#[derive(Clone, Debug, PartialEq)]
pub struct Half {
    /// What the survivor needs; absent if the turn was spent on what had fallen due, so that it must be asked again.
    pub taken: Option<Taken>,
    /// What belongs into the loser's stream.
    pub events: Vec<(RecordId, ContactEvent)>,
    /// See [`Decision::causes`].
    pub causes: BTreeMap<RecordId, RecordId>,
}

/// Takes the loser's half of a merge: what fell due before is decided, and it answers `Moved` from now on. `None` if it
/// is no live contact, whose half was given to somebody before.
pub fn take(
    state: &mut ContactState,
    turn: Turn<'_>,
    survivor: ContactId,
    ids: &mut dyn FnMut() -> RecordId,
) -> Option<Half> {
    if state.fate != Fate::Live {
        return None;
    }
    let mut progress = Progress::new(state, turn, ids);
    progress.meet();
    progress.settle(turn.continuous);
    let taken = (!progress.is_cut).then(|| {
        let (version, state) = (progress.state.version, Box::new(progress.state.clone()));
        progress.emit(ContactEvent::MergedInto(MergedInto { at: turn.now, survivor }));
        Taken { contact: turn.contact, version, state }
    });
    progress.finish();
    Some(Half { taken, events: progress.events, causes: progress.causes })
}

impl<'a> Progress<'a> {
    /// A turn that has decided nothing yet.
    pub(super) fn new(
        state: &'a mut ContactState,
        turn: Turn<'a>,
        ids: &'a mut dyn FnMut() -> RecordId,
    ) -> Self {
        Self {
            reached: state.settled,
            state,
            turn,
            ids,
            events: Vec::new(),
            entered: Vec::new(),
            left: Vec::new(),
            overdue_joins: Vec::new(),
            causes: BTreeMap::new(),
            cause: None,
            touched: BTreeMap::new(),
            generation: 0,
            patched: false,
            is_cut: false,
            again: None,
            former_keys: FormerKeys::default(),
        }
    }
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
        self.causes.extend(self.cause.map(|cause| (id, cause)));
        self.events.push((id, event));
        id
    }

    /// Says up to when all is decided.
    fn finish(&mut self) {
        self.state.unfinished = self.is_cut;
        if self.is_cut {
            self.state.settled = self.reached;
        }
    }

    /// The turn is spent on what had fallen due; the command comes next.
    pub(super) fn put_off(&mut self, command: Command) -> Outcome {
        self.again = Some(command);
        Outcome::Looked { waiting: Vec::new() }
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
            if self.is_cut {
                return self.put_off(Command::Call(Box::new(call)));
            }
        }
        let explicit = call.event.is_none();
        let announces = explicit || self.turn.policy.announce_all;
        let public_before = (announces && !absent).then(|| self.state.public());
        let events_before = self.events.len();
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
        let changed = absent || self.events.len() > events_before;
        let observable =
            absent || public_before.is_some_and(|before| shows_change(before, self.state.public()));
        let imported = call.via == Via::Import;
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
        self.catch_up();
        // Imports are silent (OB-41).
        if imported {
            return Outcome::Done { created: absent, merged, event };
        }
        self.announce_merges(&call.losers);
        let announce_all = self.turn.policy.announce_all;
        if observable && announces || self.patched && announce_all {
            self.announce(if absent { OutboundEvent::ContactCreated } else { OutboundEvent::ContactUpdated });
        }
        Outcome::Done { created: absent, merged, event }
    }

    /// A repeat is recognized before anything else happens (IG-12, IG-21).
    fn duplicate(&self, call: &Call) -> Option<Outcome> {
        let event = call.event.as_ref()?;
        let digest = digest_of(event.idempotency_key.as_ref()?, event.source.origin());
        let known = self
            .state
            .remembered
            .get(digest)
            .or_else(|| call.losers.iter().find_map(|loser| loser.state.remembered.get(digest)))?;
        Some(Outcome::Duplicate { event: known.event, same_request: known.request == event.request })
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
            self.emit(ContactEvent::PropertiesChanged(PropertiesChanged {
                at: self.turn.now,
                set,
                removed,
                by_bucket: false,
            }));
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
        let (request, now) = (event.request, self.turn.now);
        let occurred_at = event.occurred_at.unwrap_or(now);
        // A provider's clock that is ahead moves nothing into the future (WS-51); an application may mean it (IG-25).
        let occurred_at = if event.source.origin().is_some() { occurred_at.min(now) } else { occurred_at };
        self.emit(ContactEvent::EventRecorded(EventRecorded {
            name: event.name,
            occurred_at,
            at: now,
            properties: event.properties,
            source: event.source,
            idempotency: event.idempotency_key.map(|key| Idempotency { key, request }),
        }))
    }

    /// Decides everything that fell due up to now, without a caller.
    pub(super) fn pass_time(&mut self) {
        self.meet();
        self.catch_up();
        if self.patched && self.turn.policy.announce_all {
            self.announce(OutboundEvent::ContactUpdated);
        }
    }

    fn look(&mut self) -> Outcome {
        self.pass_time();
        if self.events.is_empty() && self.state.wake_at() != self.state.recorded_wake {
            self.emit(ContactEvent::Looked(Looked { at: self.turn.now }));
        }
        Outcome::Looked { waiting: Vec::new() }
    }

    pub(super) fn end_stay(
        &mut self,
        bucket: &BucketId,
        bucket_name: &str,
        source: TransitionSource,
        reason: LeaveReason,
        at: Timestamp,
        announced: bool,
    ) -> Option<RecordId> {
        let stay = self.state.stay(bucket)?;
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
        let record = self.emit(ContactEvent::BucketLeft(event));
        self.left.push(bucket.clone());
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn rs_85_a_contact_is_taken_once() {
        let [first, second, loser] = [1, 2, 3].map(|n| ContactId(Uuid::from_u128(n)));
        let mut state = ContactState { fate: Fate::Live, version: Some(4), ..ContactState::default() };
        let (rules, policy) = (Rules::default(), Policy::default());
        let turn =
            Turn { contact: loser, rules: &rules, policy: &policy, now: Timestamp(0), continuous: false };
        let mut take = |survivor| take(&mut state, turn, survivor, &mut || RecordId(Uuid::nil()));
        let taken = take(first).unwrap().taken.unwrap();
        assert_eq!((taken.contact, taken.version), (loser, Some(4)));
        assert!(take(second).is_none() && take(first).is_none(), "its history would be counted twice");
    }
}
