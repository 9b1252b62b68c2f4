//! A contact's past decided anew, by rules that need not be those of the time.
//!
//! What came from outside (keys, properties, events, merges, deletions and their undoing) is taken from the contact's
//! records; what was decided then is not. The decisions are made by the same code as in a live turn, on a clock without
//! a gap: what fell due is decided at its due instant, before whatever was recorded later.
//!
//! A patch that changed no value left no record, so here it touches no bucket.

use mainspring_schemas::{
    ContactId, RecordId, Timestamp,
    event::{
        ContactEvent,
        contact::{Absorbed, Restored},
    },
};
use uuid::Uuid;

use super::{
    command::Policy,
    decide::{Progress, Turn},
    merge,
    state::{ContactState, Fate},
};
use crate::rules::Rules;

/// When something was recorded, and in which turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The instant.
    pub at: Timestamp,
    /// The record that stands for the turn: the cause of all others in it.
    pub turn: RecordId,
}

/// A contact on its way through its past. Every step answers the transitions that it made certain, in order.
#[derive(Debug)]
pub struct Replay {
    contact: ContactId,
    state: ContactState,
    /// The turn whose inputs are being taken; its buckets are decided when it is over.
    open: Option<Moment>,
    touched: Vec<u32>,
}

impl Replay {
    /// A contact of which nothing is recorded yet.
    pub fn new(contact: ContactId) -> Self {
        Self { contact, state: ContactState::default(), open: None, touched: Vec::new() }
    }

    /// What is true by now.
    pub fn state(&self) -> &ContactState {
        &self.state
    }

    /// Takes an input: `Created`, `KeysAttached`, `PropertiesChanged` or `EventRecorded`. Other events are none.
    pub fn input(&mut self, rules: &Rules, moment: Moment, event: ContactEvent) -> Vec<ContactEvent> {
        let mut transitions = self.begin(rules, moment);
        let creates = matches!(event, ContactEvent::Created(_));
        if creates == (self.state.fate == Fate::Absent) && touch(rules, &event, &mut self.touched) {
            transitions.extend(self.progress(rules, moment.at, |progress, _| {
                progress.emit(event);
                if creates {
                    progress.meet();
                }
            }));
        }
        transitions
    }

    /// Takes a merge: the recorded one, but with the stays that the loser has here. Time must have passed for the loser
    /// too, and the turn must have begun.
    pub fn absorb(&mut self, rules: &Rules, moment: Moment, mut absorbed: Absorbed, loser: &ContactState) {
        let mut staying =
            self.state.standings.iter().filter(|s| s.stay.is_some()).map(|s| s.bucket.clone()).collect();
        absorbed.standings = merge::standings(loser, &mut staying);
        let history = absorbed.by_reference.then_some(loser);
        for (name, _) in history.iter().flat_map(|loser| loser.occurrences.iter()) {
            rules.touched_by_event(name, &mut self.touched);
        }
        let event = ContactEvent::Absorbed(Box::new(absorbed));
        touch(rules, &event, &mut self.touched);
        self.progress(rules, moment.at, |progress, _| {
            progress.emit(event);
            if let Some(loser) = history {
                progress.state.unite_history(loser);
            }
            for index in (0_u32..).take(rules.rules.len()) {
                progress.replan(index, moment.at);
            }
        });
    }

    /// Takes the deletion: every stay ends.
    pub fn delete(&mut self, rules: &Rules, moment: Moment) -> Vec<ContactEvent> {
        let mut transitions = self.begin(rules, moment);
        transitions.extend(self.progress(rules, moment.at, |progress, _| {
            progress.delete();
        }));
        self.open = None;
        transitions
    }

    /// Takes the undoing of a deletion: every bucket is decided anew.
    pub fn restore(&mut self, rules: &Rules, moment: Moment, restored: Restored) -> Vec<ContactEvent> {
        let mut transitions = self.begin(rules, moment);
        transitions.extend(self.progress(rules, moment.at, |progress, _| progress.restore(restored)));
        self.open = None;
        transitions
    }

    /// Lets time pass up to `until`, at which nothing more of what came before is open.
    pub fn pass(&mut self, rules: &Rules, until: Timestamp) -> Vec<ContactEvent> {
        let mut transitions = self.close(rules);
        if self.state.fate == Fate::Live {
            transitions.extend(self.progress(rules, until, |progress, _| {
                progress.meet();
                progress.settle(true);
            }));
        }
        transitions
    }

    /// Enters a turn: the one before is over, and what fell due up to now is decided.
    pub fn begin(&mut self, rules: &Rules, moment: Moment) -> Vec<ContactEvent> {
        if self.open.is_some_and(|open| open.turn == moment.turn) {
            return Vec::new();
        }
        let transitions = self.pass(rules, moment.at);
        self.open = Some(moment);
        transitions
    }

    /// Decides the buckets that the open turn touched.
    fn close(&mut self, rules: &Rules) -> Vec<ContactEvent> {
        match self.open.take() {
            Some(open) => self.progress(rules, open.at, |progress, touched| {
                progress.candidates(std::mem::take(touched));
            }),
            None => Vec::new(),
        }
    }

    /// Works on the state as a turn at `now` does; returns the transitions.
    fn progress(
        &mut self,
        rules: &Rules,
        now: Timestamp,
        work: impl FnOnce(&mut Progress<'_>, &mut Vec<u32>),
    ) -> Vec<ContactEvent> {
        // The limits matter when calls come in and records are written; what was recorded has passed them.
        let (max_properties, records_per_turn) = (usize::MAX, usize::MAX);
        let policy = Policy { max_properties, records_per_turn, ..Policy::default() };
        let turn = Turn { contact: self.contact, rules, policy: &policy, now, continuous: true };
        // Nobody asks for the ids of records that are never written.
        let ids = &mut || RecordId(Uuid::nil());
        let mut progress = Progress::new(&mut self.state, turn, ids);
        work(&mut progress, &mut self.touched);
        let mut events = progress.events;
        events.retain(|(_, event)| {
            matches!(event, ContactEvent::BucketEntered(_) | ContactEvent::BucketLeft(_))
        });
        events.into_iter().map(|(_, event)| event).collect()
    }
}

/// Adds the rules that an input touches, as a live turn does (BK-40 to BK-43). Says whether it is an input.
fn touch(rules: &Rules, event: &ContactEvent, touched: &mut Vec<u32>) -> bool {
    let properties = |names: &mut dyn Iterator<Item = &String>, touched: &mut Vec<u32>| {
        names.for_each(|name| rules.touched_by_property(name, touched));
    };
    match event {
        ContactEvent::Created(created) => {
            rules.wildcards(touched);
            properties(&mut created.properties.keys(), touched);
        }
        ContactEvent::PropertiesChanged(changed) => {
            properties(&mut changed.set.keys().chain(&changed.removed), touched);
        }
        ContactEvent::EventRecorded(recorded) => {
            rules.touched_by_event(&recorded.name, touched);
            properties(&mut recorded.properties.keys(), touched);
        }
        ContactEvent::Absorbed(absorbed) => {
            absorbed.occurrences.keys().for_each(|name| rules.touched_by_event(name, touched));
            properties(&mut absorbed.properties.keys(), touched);
        }
        ContactEvent::KeysAttached(_) => {}
        _ => return false,
    }
    true
}
