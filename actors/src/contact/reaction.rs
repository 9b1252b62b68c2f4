//! Reactions: what a bucket does when one of its members enters, leaves or dwells (BK-120..BK-125).
//!
//! They run in the turn of their transition, right after it. What they change can touch other buckets; those are
//! decided when all reactions of one generation are through, and may react in turn. After [`GENERATIONS`] of them
//! nobody reacts any more, so a turn ends whatever the definitions say, and membership is right at its end.

use compact_str::CompactString;
use mainspring_schemas::{
    Properties, RecordId, StayId,
    catalog::BUCKET_REACTION,
    definition::{Action, Reaction, Trigger},
    event::contact::{
        Announced, ContactEvent, EventRecorded, LeaveReason, PropertiesChanged, Reacted, ReactionOutcome,
        Source, TransitionSource,
    },
    identity::KeyKind,
    properties::{self, Change},
};
use serde_json::{Value, json};

use super::{apply::size_after, decide::Progress, state::ContactState};
use crate::rules::Rule;

/// How many generations of reactions may follow from one decision.
const GENERATIONS: usize = 8;

/// What happened to a stay.
#[derive(Clone, Copy, Debug)]
pub(super) enum Transition<'a> {
    /// An announced join.
    Entered,
    /// An announced leave.
    Left(LeaveReason),
    /// A fire of a schedule.
    Dwelled {
        /// Which one.
        label: &'a CompactString,
        /// The ordinal it fired.
        ordinal: u64,
    },
}

impl Transition<'_> {
    /// The word on the wire.
    fn as_str(self) -> &'static str {
        match self {
            Self::Entered => "entered",
            Self::Left(_) => "left",
            Self::Dwelled { .. } => "dwell",
        }
    }
}

/// A transition that reactions wait for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Occasion<'a> {
    /// Its record.
    pub record: RecordId,
    /// The stay.
    pub stay: StayId,
    /// Ordinal of the stay.
    pub epoch: u32,
    /// Who decided it.
    pub source: TransitionSource,
    /// What happened.
    pub transition: Transition<'a>,
}

/// Whether a reaction waits for a transition, and if so, whether its filter lets it through (BK-123).
fn waits_for(trigger: &Trigger, occasion: &Occasion<'_>) -> Option<bool> {
    match (trigger, occasion.transition) {
        (Trigger::Enter { first_entry_only }, Transition::Entered) => {
            Some(!first_entry_only || occasion.epoch == 1)
        }
        (Trigger::Leave { reasons }, Transition::Left(reason)) => {
            Some(reasons.is_empty() || reasons.contains(&reason))
        }
        (Trigger::Dwell(schedule), Transition::Dwelled { label, .. }) => {
            (schedule.label() == *label).then_some(true)
        }
        _ => None,
    }
}

/// Whether all patches of a reaction together fit the limit.
fn fits(actions: &[Action], state: &ContactState, max_properties: usize) -> bool {
    let mut patch = Properties::new();
    for action in actions {
        if let Action::Set(properties) = action {
            patch.extend(properties.clone());
        }
    }
    let change = properties::change(&state.properties, &patch);
    change.set.is_empty() || size_after(state, &change) <= max_properties
}

impl Progress<'_> {
    /// Runs the reactions of a bucket to a transition, in definition order, at the instant the turn has reached.
    pub(super) fn react(&mut self, rule: &Rule, occasion: Occasion<'_>) {
        let cause = self.cause.replace(occasion.record);
        for reaction in &rule.definition.reactions {
            let Some(passes) = waits_for(&reaction.trigger, &occasion) else { continue };
            let outcome = if !passes {
                ReactionOutcome::Filtered
            } else if self.generation >= GENERATIONS {
                ReactionOutcome::Cascade
            } else if !fits(&reaction.actions, self.state, self.turn.policy.max_properties) {
                ReactionOutcome::Refused
            } else {
                ReactionOutcome::Ran
            };
            self.emit(ContactEvent::Reacted(Reacted {
                at: self.reached,
                bucket: rule.bucket().clone(),
                reaction: reaction.id(rule.bucket()),
                stay: occasion.stay,
                epoch: occasion.epoch,
                transition: occasion.record,
                outcome,
            }));
            if outcome == ReactionOutcome::Ran {
                self.run(rule, reaction, &occasion);
            }
        }
        self.cause = cause;
    }

    fn run(&mut self, rule: &Rule, reaction: &Reaction, occasion: &Occasion<'_>) {
        for action in &reaction.actions {
            match action {
                Action::Set(patch) => self.set(patch),
                Action::Track { event, properties } => self.track(event, properties),
                Action::Send { name, data } => self.send(rule, reaction, occasion, name, data),
            }
        }
    }

    fn set(&mut self, patch: &Properties) {
        let change = properties::change(&self.state.properties, patch);
        if change.is_empty() {
            return;
        }
        let mut touched = Vec::new();
        for name in change.keys() {
            self.turn.rules.touched_by_property(name, &mut touched);
        }
        let (at, Change { set, removed }) = (self.reached, change);
        let changed = PropertiesChanged { at, set, removed, by_bucket: true };
        let record = self.emit(ContactEvent::PropertiesChanged(changed));
        self.patched = true;
        self.touched.extend(touched.into_iter().map(|index| (index, record)));
    }

    fn track(&mut self, event: &CompactString, properties: &Properties) {
        let mut touched = Vec::new();
        self.turn.rules.touched_by_event(event, &mut touched);
        for name in properties.keys() {
            self.turn.rules.touched_by_property(name, &mut touched);
        }
        let record = self.emit(ContactEvent::EventRecorded(EventRecorded {
            name: event.clone(),
            occurred_at: self.reached,
            at: self.reached,
            properties: properties.clone(),
            source: Source::Bucket,
            idempotency: None,
        }));
        self.touched.extend(touched.into_iter().map(|index| (index, record)));
    }

    fn send(
        &mut self,
        rule: &Rule,
        reaction: &Reaction,
        occasion: &Occasion<'_>,
        name: &CompactString,
        data: &Properties,
    ) {
        let mut all = Properties::new();
        let mut put = |key: &str, value: Value| drop(all.insert(key.to_owned(), value));
        put("name", json!(name));
        put("reaction", json!(reaction.id(rule.bucket())));
        put("bucketId", json!(rule.bucket()));
        put("bucketName", json!(rule.definition.name));
        put("userId", json!(self.state.contact_key()));
        put("userEmail", json!(self.state.primary(KeyKind::Email)));
        put("transition", json!(occasion.transition.as_str()));
        put("entryCount", json!(occasion.epoch));
        put("source", json!(occasion.source.as_str()));
        match occasion.transition {
            Transition::Entered => put("isFirstEntry", json!(occasion.epoch == 1)),
            Transition::Left(reason) => put("reason", json!(reason.as_str())),
            Transition::Dwelled { ordinal, .. } => put("dwellCount", json!(ordinal)),
        }
        put("data", json!(data));
        let outbound_type = CompactString::const_new(BUCKET_REACTION);
        let announced = Announced { at: self.reached, outbound_type, about: None, data: all };
        self.emit(ContactEvent::Announced(announced));
    }

    /// Decides the buckets that reactions touched, at the instant the turn has reached, one generation after the other
    /// (BK-43).
    pub(super) fn cascade(&mut self) {
        let at = self.reached;
        while !self.touched.is_empty() {
            self.generation += 1;
            for (index, record) in std::mem::take(&mut self.touched) {
                let Some(rule) = self.turn.rules.rule(index).filter(|rule| rule.enabled) else { continue };
                self.cause = Some(record);
                self.decide_bucket(rule, at);
                self.replan(index, at);
            }
        }
        self.generation = 0;
        self.cause = None;
    }
}
