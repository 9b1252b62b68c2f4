//! Joining and leaving: when a stay begins and ends, and who is told (BK-78..BK-93, BK-140, BK-150).

use mainspring_schemas::{
    StayId, Timestamp,
    criteria::{evaluate, next_change},
    definition::EntryLimit,
    event::contact::{BucketEntered, ContactEvent, LeaveReason, TransitionSource},
    identity::KeyKind,
};

use super::{
    agenda::{Look, Subject},
    decide::Progress,
    reaction::{Occasion, Transition},
    state::{ContactState, Standing, Stay},
};
use crate::rules::{Rule, Rules};

/// Whether a join is announced (BK-85). Membership itself is never throttled.
pub(super) fn announces(rule: &Rule, standing: Option<&Standing>, at: Timestamp) -> bool {
    let Some(standing) = standing.filter(|standing| standing.epochs > 0) else { return true };
    match rule.entry_limit() {
        EntryLimit::Unlimited => true,
        EntryLimit::Once => false,
        EntryLimit::OncePerPeriod => match (rule.entry_period, standing.last_left_at) {
            (Some(period), Some(left)) => at.since(left) >= period,
            _ => true,
        },
    }
}

/// Since when a stay may end by its criteria (BK-92). A shortest stay that was longer counts until the definition that
/// made it shorter.
fn floor(rule: &Rule, stay: &Stay) -> Timestamp {
    stay.entered_at.plus(rule.min_dwell).max(rule.min_dwell_since)
}

/// The next instant at which the clock alone can change this contact's standing with the bucket, after `from`. A stay
/// that outlived its criteria and may end is looked at now.
pub(crate) fn next_look(rule: &Rule, state: &ContactState, from: Timestamp) -> Option<Timestamp> {
    let Some(stay) = state.stay(rule.bucket()) else { return next_join(rule, state, from) };
    let floor = floor(rule, stay);
    let by_criteria = if evaluate(&rule.criteria, state, from) {
        next_change(&rule.criteria, state, from).map(|at| at.max(floor))
    } else {
        Some(floor.max(from))
    };
    [by_criteria, stay.max_dwell_at].into_iter().flatten().min()
}

/// When the clock may make a contact join next, after `from`. Who came to match while it might not is looked at once it
/// may, if the clock had changed anything by then (BK-22, BK-157).
fn next_join(rule: &Rule, state: &ContactState, from: Timestamp) -> Option<Timestamp> {
    let since = rule.clock_joins_since;
    if !rule.clock_joins {
        return None;
    }
    let first = |from| next_change(&rule.criteria, state, from);
    let by_then = || first(Timestamp(i64::MIN)).is_some_and(|at| at <= since);
    if from < since && by_then() && evaluate(&rule.criteria, state, since) {
        return Some(since);
    }
    first(from.max(since))
}

/// Plans the looks of a copy of a contact that was read and not decided since, so that it can tell its deadlines.
pub(crate) fn plan_looks(state: &mut ContactState, rules: &Rules) {
    if state.agenda_revision == Some(rules.revision) {
        return;
    }
    state.agenda.clear();
    for (index, rule) in (0_u32..).zip(&rules.rules).filter(|(_, rule)| rule.enabled) {
        let at = next_look(rule, state, state.settled);
        state.agenda.plan(index, rule.bucket(), Subject::Membership, at);
    }
}

impl Progress<'_> {
    /// Plans the next looks at a bucket, as of `from`.
    pub(super) fn replan(&mut self, index: u32, from: Timestamp) {
        let Some(rule) = self.turn.rules.rule(index) else { return };
        let at = if rule.enabled { next_look(rule, self.state, from) } else { None };
        self.state.agenda.plan(index, rule.bucket(), Subject::Membership, at);
        self.replan_dwell(index, rule);
    }

    /// Moves the instant that the turn has reached: what follows from a decision carries it, though the decision may
    /// have fallen due before.
    pub(super) fn reach(&mut self, at: Timestamp) {
        self.reached = self.reached.max(at);
    }

    /// Meets definitions that this contact has not been decided by: silently, as of their activation (BK-188), and
    /// plans every look anew.
    pub(super) fn meet(&mut self) {
        let rules = self.turn.rules;
        if self.state.agenda_revision == Some(rules.revision) {
            return;
        }
        self.state.agenda.clear();
        self.state.agenda_revision = Some(rules.revision);
        let (met, settled) = (self.state.definitions, self.state.settled);
        for (index, rule) in (0_u32..).zip(&rules.rules) {
            if !rule.enabled {
                continue;
            }
            // What the clock changed since the last decision is settled next, each at its own instant.
            let mut from = settled;
            if rule.activated_position > met {
                // Decided once more by the rules before, it is known only as it was then.
                from = settled.max(rule.activated_at);
                self.backfill(rule, from);
            }
            self.stamp_deadline(rule);
            // Decided at the very instant from which the clock may make it join, it was decided without that (BK-22).
            let came_now = rules.revision > met && rule.clock_joins_since == from;
            let joins_now = came_now && self.state.stay(rule.bucket()).is_none();
            self.replan(index, if joins_now { from.plus(-1) } else { from });
        }
        self.state.definitions = self.state.definitions.max(rules.revision);
        self.cascade();
    }

    /// Decides one bucket as of the activation of its definition (BK-182, BK-184, BK-186).
    fn backfill(&mut self, rule: &Rule, at: Timestamp) {
        let ever_fired =
            rule.floor_event.as_ref().is_none_or(|event| !self.state.occurrences.of(event).is_empty());
        let holds = ever_fired && evaluate(&rule.criteria, self.state, at);
        match self.state.stay(rule.bucket()) {
            None if holds => self.join(rule, TransitionSource::Backfill, at, false),
            Some(stay) if !holds && at >= floor(rule, stay) => {
                self.leave(rule, TransitionSource::Backfill, LeaveReason::Criteria, at);
            }
            // It may have ended while the bucket was off, and decided nothing (BK-201).
            Some(stay) if stay.max_dwell_at.is_some_and(|end| end <= at) => {
                self.leave(rule, TransitionSource::Reconcile, LeaveReason::MaxDwell, at);
            }
            _ => {}
        }
    }

    /// Decides what fell due by the clock up to now, each at its due instant, soonest first. Unless time flowed without
    /// a gap, joins may be held back for [`Progress::candidates`], and dwells are left for
    /// [`Progress::overdue_dwells`] (BK-155). A turn that got long ends instead, see [`Progress::cut`].
    pub(super) fn settle(&mut self, joins: bool) {
        let subject = (!self.turn.continuous).then_some(Subject::Membership);
        while let Some(look) = self.state.agenda.take_due(self.turn.now, subject) {
            if self.is_long() && look.at > self.reached {
                self.state.agenda.plan(look.rule, &look.bucket, look.subject, Some(look.at));
                return self.cut();
            }
            let Some(rule) = self.turn.rules.rule(look.rule) else { continue };
            let stays = self.state.stay(rule.bucket()).is_some();
            if !stays && look.subject == Subject::Membership && !joins {
                self.overdue_joins.push((look.rule, look.at));
                continue;
            }
            match look.subject {
                Subject::Membership if stays => self.clock_leave(rule, &look),
                Subject::Membership => self.clock_join(rule, look.at, look.at),
                Subject::Dwell => self.dwell(rule, look.at),
            }
            self.replan(look.rule, look.at);
            self.cascade();
        }
    }

    fn is_long(&self) -> bool {
        self.events.len() >= self.turn.policy.records_per_turn
    }

    /// Ends the turn where it is. Up to the newest decision all is decided, so that the next turn goes on as this one
    /// would. Only joins that were held back for a call are decided now: they fell due before that.
    fn cut(&mut self) {
        self.is_cut = true;
        for (index, due) in std::mem::take(&mut self.overdue_joins) {
            let Some(rule) = self.turn.rules.rule(index) else { continue };
            self.clock_join(rule, due, self.reached.max(due));
            self.replan(index, self.reached.max(due));
            self.cascade();
        }
    }

    /// Decides everything that the clock asks for up to now.
    pub(super) fn catch_up(&mut self) {
        loop {
            self.settle(true);
            if self.is_cut {
                return;
            }
            if !self.overdue_dwells() {
                break;
            }
            if self.is_long() && self.reached < self.turn.now {
                return self.cut();
            }
        }
        // Also without a record that says so: what comes next must not go back before a definition that was met.
        self.state.settled = self.state.settled.max(self.turn.now);
    }

    fn clock_leave(&mut self, rule: &Rule, look: &Look) {
        let Some(stay) = self.state.stay(rule.bucket()) else { return };
        if stay.max_dwell_at.is_some_and(|end| end <= look.at) {
            self.leave(rule, TransitionSource::Reconcile, LeaveReason::MaxDwell, look.at);
        } else if look.at >= floor(rule, stay) && !evaluate(&rule.criteria, self.state, look.at) {
            self.leave(rule, TransitionSource::Reconcile, LeaveReason::Criteria, look.at);
        }
    }

    /// A join that fell due at `due`, decided with what is known at `at`.
    fn clock_join(&mut self, rule: &Rule, due: Timestamp, at: Timestamp) {
        // A reaction may have led to the join already.
        let stays = self.state.stay(rule.bucket()).is_some();
        if stays || !rule.clock_joins || !evaluate(&rule.criteria, self.state, at) {
            return;
        }
        // After a leave by maximum stay the criteria must have been false in between (BK-141).
        let standing = self.state.standing(rule.bucket());
        let after_time_out = standing.is_some_and(|s| s.last_reason == Some(LeaveReason::MaxDwell));
        if after_time_out && evaluate(&rule.criteria, self.state, due.plus(-1)) {
            return;
        }
        let at = if evaluate(&rule.criteria, self.state, due) { due } else { at };
        self.join(rule, TransitionSource::Reconcile, at, true);
    }

    /// Decides the candidates of a call at its instant, in definition order (BK-79, BK-93), and the joins that were
    /// overdue when it came.
    pub(super) fn candidates(&mut self, mut touched: Vec<u32>) {
        touched.sort_unstable();
        touched.dedup();
        let overdue = std::mem::take(&mut self.overdue_joins);
        let mut all = touched.clone();
        all.extend(overdue.iter().map(|(index, _)| *index));
        all.sort_unstable();
        all.dedup();
        let now = self.turn.now;
        self.reach(now);
        for index in all {
            let Some(rule) = self.turn.rules.rule(index).filter(|rule| rule.enabled) else { continue };
            if touched.binary_search(&index).is_ok() {
                self.decide_bucket(rule, now);
            } else if let Some((_, due)) = overdue.iter().find(|(overdue, _)| *overdue == index) {
                self.clock_join(rule, *due, now);
            }
            self.replan(index, now);
        }
        self.cascade();
    }

    /// Decides a bucket that something touched at `at`.
    pub(super) fn decide_bucket(&mut self, rule: &Rule, at: Timestamp) {
        let holds = evaluate(&rule.criteria, self.state, at);
        match self.state.stay(rule.bucket()) {
            None if holds => self.join(rule, TransitionSource::Event, at, true),
            Some(stay) if !holds && at >= floor(rule, stay) => {
                self.leave(rule, TransitionSource::Event, LeaveReason::Criteria, at);
            }
            _ => {}
        }
    }

    fn join(&mut self, rule: &Rule, source: TransitionSource, at: Timestamp, audible: bool) {
        let bucket = rule.bucket();
        let standing = self.state.standing(bucket);
        let epoch = 1 + standing.map_or(0, |standing| standing.epochs);
        let announced = audible && announces(rule, standing, at);
        let anchor = (source == TransitionSource::Backfill)
            .then(|| {
                rule.anchor_event.as_ref().and_then(|event| self.state.occurrences.of(event).last().copied())
            })
            .flatten();
        let stay = StayId::of(self.turn.contact, bucket, epoch);
        self.reach(at);
        let record = self.emit(ContactEvent::BucketEntered(BucketEntered {
            at,
            bucket: bucket.clone(),
            bucket_name: rule.definition.name.clone(),
            stay,
            epoch,
            source,
            announced,
            max_dwell_at: rule.max_dwell.map(|longest| at.plus(longest)),
            dwell_anchor_at: anchor,
            user_key: self.state.contact_key(),
            email: self.state.primary(KeyKind::Email).cloned(),
        }));
        self.entered.push(bucket.clone());
        if announced {
            self.react(rule, Occasion { record, stay, epoch, source, transition: Transition::Entered });
        }
    }

    fn leave(&mut self, rule: &Rule, source: TransitionSource, reason: LeaveReason, at: Timestamp) {
        let Some(ended) = self.state.stay(rule.bucket()) else { return };
        let (stay, epoch) = (ended.id, ended.epoch);
        self.reach(at);
        let left = self.end_stay(rule.bucket(), &rule.definition.name, source, reason, at, true);
        let Some(record) = left else { return };
        self.react(rule, Occasion { record, stay, epoch, source, transition: Transition::Left(reason) });
    }
}
