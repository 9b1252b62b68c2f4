//! What is true about one bucket, and how each event changes it.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use compact_str::CompactString;
use mainspring_eventlog::Position;
use mainspring_schemas::{
    ContactId, Timestamp,
    definition::BucketDefinition,
    duration::DurationSpec,
    event::{
        BucketEvent,
        bucket::{Defined, Purpose},
    },
};

use crate::rules::{CatchUp, Rule};

/// A pass over all contacts, running or through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// How many contacts there were to look at.
    pub total: u64,
    /// How many are decided.
    pub processed: u64,
    /// The last contact decided.
    pub cursor: Option<ContactId>,
    /// Whether it is through.
    pub completed: bool,
}

/// A pass that somebody asked for, and the record that did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The record.
    pub by: Position,
    /// The pass, once it began.
    pub pass: Option<Pass>,
}

impl Asked {
    fn is_through(&self) -> bool {
        self.pass.as_ref().is_some_and(|pass| pass.completed)
    }
}

/// Whether the shortest stay is shorter than before (BK-92).
pub(super) fn shortens_stays(before: &BucketDefinition, now: &BucketDefinition) -> bool {
    let shortest = |of: &BucketDefinition| of.min_dwell.as_ref().map_or(0, DurationSpec::millis);
    shortest(now) < shortest(before)
}

/// Whether the clock may make contacts join that it might not before (BK-22).
pub(super) fn lets_the_clock_join(before: &BucketDefinition, now: &BucketDefinition) -> bool {
    before.reconcile_joins == Some(false) && now.reconcile_joins != Some(false)
}

/// One bucket, as the replay of its stream gives it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BucketState {
    /// The newest definition.
    pub definition: Option<Arc<BucketDefinition>>,
    /// Digest of its criteria.
    pub criteria_hash: String,
    /// Whether the definition went away.
    pub retired: bool,
    /// The operator's switch; wins over the definition (BK-200).
    pub switch: Option<bool>,
    /// The record and the instant since which members must be decided by the definition: A.
    pub activated: Option<(Position, Timestamp)>,
    /// The newest back-fill.
    pub backfill: Option<Pass>,
    /// When the first back-fill was through. Members do not dwell before; once they do, they always do (BK-135).
    pub opened_at: Option<Timestamp>,
    /// Since when each dwell schedule is there, by its label.
    pub schedules: BTreeMap<CompactString, Timestamp>,
    /// Since when there is a longest stay.
    pub max_dwell_since: Option<Timestamp>,
    /// Since when the shortest stay is no longer than it is.
    pub min_dwell_since: Option<Timestamp>,
    /// Since when the clock may make contacts join that it might not before.
    pub clock_joins_since: Option<Timestamp>,
    /// The newest pass that plans the clocks of members.
    pub replan: Option<Asked>,
    /// The first instant at which no member is to catch up yet (BK-138).
    pub caught_up_at: Timestamp,
    /// When anything last changed.
    pub updated_at: Timestamp,
    /// Position of its newest record that changes the rules.
    pub revision: Position,
    /// Version of its last record.
    pub version: Option<u64>,
}

impl BucketState {
    /// Whether the bucket decides anything.
    pub fn enabled(&self) -> bool {
        let defined = self.definition.as_ref().is_some_and(|definition| definition.enabled);
        !self.retired && self.switch.unwrap_or(defined)
    }

    /// Whether contacts are still being decided by the definition in force.
    pub fn is_building(&self) -> bool {
        self.enabled() && !self.backfill.as_ref().is_some_and(|fill| fill.completed)
    }

    /// The pass that is due, and the record that asks for it. A back-fill plans all clocks too.
    pub fn pass_due(&self) -> Option<(Purpose, Position)> {
        if self.is_building() {
            return self.activated.map(|(by, _)| (Purpose::Membership, by));
        }
        let replan = self.replan.as_ref().filter(|replan| self.enabled() && !replan.is_through())?;
        Some((Purpose::Clocks, replan.by))
    }

    /// The newest pass for a purpose, once it began.
    pub fn pass(&self, purpose: Purpose) -> Option<&Pass> {
        match purpose {
            Purpose::Membership => self.backfill.as_ref(),
            Purpose::Clocks => self.replan.as_ref()?.pass.as_ref(),
        }
    }

    fn pass_mut(&mut self, purpose: Purpose) -> Option<&mut Pass> {
        match purpose {
            Purpose::Membership => self.backfill.as_mut(),
            Purpose::Clocks => self.replan.as_mut()?.pass.as_mut(),
        }
    }

    /// The bucket as a rule; `None` if it is not defined now.
    pub fn rule(&self) -> Option<Rule> {
        let definition = self.definition.clone().filter(|_| !self.retired)?;
        let (position, at) = self.activated?;
        let catch_up = match definition.dwell_catch_up_per_minute {
            Some(_) => CatchUp::InTurn { giving: self.pass_due().is_some() },
            None => CatchUp::AtOnce,
        };
        let mut rule = Rule::new(definition, self.enabled(), position, at);
        rule.max_dwell_since = self.max_dwell_since.unwrap_or(at);
        rule.min_dwell_since = self.min_dwell_since.unwrap_or(rule.min_dwell_since);
        rule.clock_joins_since = self.clock_joins_since.unwrap_or(rule.clock_joins_since);
        match self.opened_at {
            None => rule.dwell.clear(),
            Some(opened) => {
                for schedule in &mut rule.dwell {
                    let since = self.schedules.get(&schedule.label).copied();
                    schedule.since = since.unwrap_or_default().max(opened).max(at);
                    schedule.catch_up = catch_up;
                }
            }
        }
        Some(rule)
    }

    /// How many members may catch up within a minute, if that is limited.
    pub fn catch_up_per_minute(&self) -> Option<NonZeroU32> {
        self.definition.as_ref()?.dwell_catch_up_per_minute
    }

    fn activate(&mut self, position: Position, at: Timestamp) {
        self.activated = Some((position, at));
        self.backfill = None;
        self.replan = None;
    }

    fn define(&mut self, defined: &Defined, position: Position) {
        let labels = defined.definition.schedules().map(|schedule| schedule.label());
        self.schedules = labels
            .map(|label| {
                let since = self.schedules.get(&label).copied().unwrap_or(defined.at);
                (label, since)
            })
            .collect();
        let before = self.definition.as_deref();
        if before.is_none_or(|before| before.max_dwell.is_none()) {
            self.max_dwell_since = Some(defined.at);
        }
        if before.is_some_and(|before| shortens_stays(before, &defined.definition)) {
            self.min_dwell_since = Some(defined.at);
        }
        if before.is_some_and(|before| lets_the_clock_join(before, &defined.definition)) {
            self.clock_joins_since = Some(defined.at);
        }
        self.definition = Some(Arc::new(defined.definition.clone()));
        self.criteria_hash.clone_from(&defined.criteria_hash);
        self.retired = false;
        if defined.re_evaluates || self.activated.is_none() {
            self.activate(position, defined.at);
        } else if defined.replans {
            self.replan = Some(Asked { by: position, pass: None });
        }
    }

    /// Brings the state to where it is after an event that stands at `position`.
    pub fn apply(&mut self, event: &BucketEvent, version: u64, position: Position) {
        self.version = Some(version);
        match event {
            BucketEvent::Defined(defined) => {
                self.define(defined, position);
                self.revision = position;
                self.updated_at = defined.at;
            }
            BucketEvent::Retired(retired) => {
                self.retired = true;
                self.revision = position;
                self.updated_at = retired.at;
            }
            BucketEvent::Switched(switched) => {
                let before = self.enabled();
                self.switch = Some(switched.enabled);
                if switched.enabled && !before {
                    self.activate(position, switched.at);
                }
                self.revision = position;
                self.updated_at = switched.at;
            }
            BucketEvent::BackfillStarted(started) => {
                let pass = Pass { total: started.total, ..Pass::default() };
                match (started.purpose, &mut self.replan) {
                    (Purpose::Membership, _) => self.backfill = Some(pass),
                    (Purpose::Clocks, Some(replan)) => replan.pass = Some(pass),
                    (Purpose::Clocks, None) => {}
                }
            }
            BucketEvent::BackfillAdvanced(advanced) => {
                if let Some(pass) = self.pass_mut(advanced.purpose) {
                    pass.processed = advanced.processed;
                    pass.cursor = Some(advanced.cursor);
                }
            }
            BucketEvent::BackfillCompleted(completed) => {
                if let Some(pass) = self.pass_mut(completed.purpose) {
                    pass.processed = completed.processed;
                    pass.completed = true;
                }
                if completed.purpose == Purpose::Membership {
                    self.open(completed.at, position);
                }
                if self.catch_up_per_minute().is_some() {
                    // Who was overlooked waits no longer.
                    self.revision = position;
                }
            }
            BucketEvent::CatchUpPlanned(planned) => {
                self.caught_up_at = self.caught_up_at.max(planned.end());
            }
        }
    }

    /// The first back-fill is through: from now on members dwell, so their clocks must be planned.
    fn open(&mut self, at: Timestamp, position: Position) {
        if self.opened_at.is_some() {
            return;
        }
        self.opened_at = Some(at);
        if !self.schedules.is_empty() {
            self.revision = position;
            self.replan = Some(Asked { by: position, pass: None });
        }
    }
}
