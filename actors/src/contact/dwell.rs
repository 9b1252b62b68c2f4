//! Dwelling: a stay that reaches an age fires once, or again and again (BK-130..BK-138).
//!
//! The clock of a stay runs on a grid: the k-th fire of a schedule of length D is due at clock + k * D, however late the
//! one before was. What fell due is decided at its own instant on the data's own clock. A live engine that was late
//! fires once, with the newest k, after all leaves and after the event that woke it (BK-132, BK-155).
//!
//! A stay may be past the threshold of a schedule when that comes. It catches up with one fire: at once, or, if its bucket
//! says `dwellCatchUpPerMinute`, at an instant of its own that the pass over the contacts gives to it. Until then the
//! schedule rests; from then on it keeps to the grid (BK-138).

use mainspring_schemas::{
    Timestamp,
    definition::Pace,
    event::contact::{BucketDeadline, BucketDwelled, ContactEvent, DwellPlanned, TransitionSource},
    identity::KeyKind,
};

use super::{
    agenda::Subject,
    command::Waiting,
    decide::Progress,
    reaction::{Occasion, Transition},
    state::Stay,
};
use crate::rules::{CatchUp, DwellSchedule, Rule};

/// A fire of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fire {
    /// When it fell due.
    at: Timestamp,
    /// How many lengths of the schedule had passed.
    ordinal: u64,
}

/// When the clock of a stay has passed `ordinal` lengths; `None` if that is beyond the end of time.
fn passed(schedule: &DwellSchedule, stay: &Stay, ordinal: u64) -> Option<Timestamp> {
    let passed = i64::try_from(ordinal).ok()?.checked_mul(schedule.length)?;
    Some(Timestamp(stay.dwell_clock().0.checked_add(passed)?))
}

/// The ordinal of the next fire; `None` if there is none any more.
fn next_ordinal(schedule: &DwellSchedule, stay: &Stay) -> Option<u64> {
    let last = stay.last_dwell(&schedule.label);
    if schedule.pace == Pace::After && last > 0 { None } else { last.checked_add(1) }
}

/// Whether the next fire is one that the schedule came too late for.
fn is_behind(schedule: &DwellSchedule, stay: &Stay) -> bool {
    let next = next_ordinal(schedule, stay).and_then(|ordinal| passed(schedule, stay, ordinal));
    next.is_some_and(|at| at < schedule.since)
}

/// Whether a stay must be given an instant before it can catch up.
fn is_waiting(schedule: &DwellSchedule, stay: &Stay) -> bool {
    schedule.catch_up == (CatchUp::InTurn { giving: true })
        && is_behind(schedule, stay)
        && stay.planned_dwell(&schedule.label, schedule.since).is_none()
}

/// The first instant at which a schedule may fire in a stay.
fn floor(schedule: &DwellSchedule, stay: &Stay) -> Timestamp {
    let planned = match schedule.catch_up {
        CatchUp::AtOnce => None,
        CatchUp::InTurn { .. } => stay.planned_dwell(&schedule.label, schedule.since),
    };
    planned.unwrap_or(schedule.since)
}

/// When a schedule fires next in a stay. Never at the end of the stay or later: the leave wins (BK-134).
fn next_fire(schedule: &DwellSchedule, stay: &Stay) -> Option<Timestamp> {
    if is_waiting(schedule, stay) {
        return None;
    }
    let at = passed(schedule, stay, next_ordinal(schedule, stay)?)?.max(floor(schedule, stay));
    stay.max_dwell_at.is_none_or(|end| at < end).then_some(at)
}

/// The fire that is due at `now`: only the newest, whatever was missed (BK-132).
fn due(schedule: &DwellSchedule, stay: &Stay, now: Timestamp) -> Option<Fire> {
    next_fire(schedule, stay).filter(|at| *at <= now)?;
    let ordinal = match schedule.pace {
        Pace::After => 1,
        Pace::Every => u64::try_from(now.since(stay.dwell_clock()) / schedule.length).ok()?,
    };
    Some(Fire { at: passed(schedule, stay, ordinal)?.max(floor(schedule, stay)), ordinal })
}

/// When a stay dwells next by any schedule of its bucket.
fn next_dwell(rule: &Rule, stay: &Stay) -> Option<Timestamp> {
    rule.dwell.iter().filter_map(|schedule| next_fire(schedule, stay)).min()
}

impl Progress<'_> {
    /// Fires the schedules of a bucket that are due at `at`, in definition order.
    pub(super) fn dwell(&mut self, rule: &Rule, at: Timestamp) {
        for schedule in &rule.dwell {
            self.fire(rule, schedule, at);
        }
    }

    /// Fires what a late engine finds due, the longest due first. Returns whether there was anything.
    pub(super) fn overdue_dwells(&mut self) -> bool {
        let now = self.turn.now;
        let mut rules = Vec::new();
        let mut fires = Vec::new();
        while let Some(look) = self.state.agenda.take_due(now, Some(Subject::Dwell)) {
            let Some(rule) = self.turn.rules.rule(look.rule) else { continue };
            rules.push(look.rule);
            let Some(stay) = self.state.stay(rule.bucket()) else { continue };
            fires.extend(rule.dwell.iter().enumerate().filter_map(|(place, schedule)| {
                due(schedule, stay, now).map(|fire| (fire.at, look.rule, place))
            }));
        }
        fires.sort_unstable();
        for (_, index, place) in fires {
            let Some(rule) = self.turn.rules.rule(index) else { continue };
            if let Some(schedule) = rule.dwell.get(place) {
                self.fire(rule, schedule, now);
            }
        }
        for index in &rules {
            if let Some(rule) = self.turn.rules.rule(*index) {
                self.replan_dwell(*index, rule);
            }
        }
        !rules.is_empty()
    }

    /// Plans when the stay in a bucket dwells next.
    pub(super) fn replan_dwell(&mut self, index: u32, rule: &Rule) {
        let stay = self.state.stay(rule.bucket()).filter(|_| rule.enabled);
        let at = stay.and_then(|stay| next_dwell(rule, stay));
        self.state.agenda.plan(index, rule.bucket(), Subject::Dwell, at);
    }

    /// What the stays wait for, in definition order.
    pub(super) fn waiting(&self) -> Vec<Waiting> {
        let enabled = self.turn.rules.rules.iter().filter(|rule| rule.enabled);
        let staying = enabled.filter_map(|rule| Some((rule, self.state.stay(rule.bucket())?)));
        let waiting = staying.flat_map(|(rule, stay)| {
            let schedules = rule.dwell.iter().filter(|schedule| is_waiting(schedule, stay));
            schedules.map(|schedule| Waiting { bucket: rule.bucket().clone(), label: schedule.label.clone() })
        });
        waiting.collect()
    }

    /// Notes when stays catch up that still wait for it.
    pub(super) fn plan_dwells(&mut self, turns: Vec<(Waiting, Timestamp)>) {
        for (Waiting { bucket, label }, due) in turns {
            let mut rules = (0_u32..).zip(&self.turn.rules.rules);
            let rule = rules.find(|(_, rule)| rule.enabled && *rule.bucket() == bucket);
            let Some((index, rule)) = rule else { continue };
            let schedule = rule.dwell.iter().find(|schedule| schedule.label == label);
            let Some((schedule, stay)) = schedule.zip(self.state.stay(&bucket)) else { continue };
            if !is_waiting(schedule, stay) {
                continue;
            }
            let (at, since) = (self.turn.now, schedule.since);
            let (stay, epoch) = (stay.id, stay.epoch);
            self.emit(ContactEvent::DwellPlanned(DwellPlanned {
                at,
                bucket,
                stay,
                epoch,
                label,
                since,
                due,
            }));
            self.replan_dwell(index, rule);
        }
    }

    fn fire(&mut self, rule: &Rule, schedule: &DwellSchedule, now: Timestamp) {
        // A reaction to an earlier fire may have ended the stay.
        let Some(stay) = self.state.stay(rule.bucket()) else { return };
        let Some(Fire { at, ordinal }) = due(schedule, stay, now) else { return };
        let (id, epoch) = (stay.id, stay.epoch);
        self.reach(at);
        let record = self.emit(ContactEvent::BucketDwelled(BucketDwelled {
            at,
            bucket: rule.bucket().clone(),
            bucket_name: rule.definition.name.clone(),
            stay: id,
            epoch,
            label: schedule.label.clone(),
            ordinal,
            source: TransitionSource::Reconcile,
            user_key: self.state.contact_key(),
            email: self.state.primary(KeyKind::Email).cloned(),
        }));
        let transition = Transition::Dwelled { label: &schedule.label, ordinal };
        self.react(
            rule,
            Occasion { record, stay: id, epoch, source: TransitionSource::Reconcile, transition },
        );
        self.cascade();
    }

    /// Gives a stay the end that its bucket did not have when it began (BK-142).
    pub(super) fn stamp_deadline(&mut self, rule: &Rule) {
        let Some(longest) = rule.max_dwell else { return };
        let Some(stay) = self.state.stay(rule.bucket()).filter(|stay| stay.max_dwell_at.is_none()) else {
            return;
        };
        let at = rule.max_dwell_since.max(stay.entered_at);
        self.emit(ContactEvent::BucketDeadline(BucketDeadline {
            at,
            bucket: rule.bucket().clone(),
            stay: stay.id,
            epoch: stay.epoch,
            max_dwell_at: stay.entered_at.plus(longest).max(at),
        }));
    }
}

#[cfg(test)]
mod tests {
    use mainspring_schemas::{
        BucketId, ContactId, StayId,
        event::contact::{DwellPlan, Dwelled},
    };
    use uuid::Uuid;

    use super::*;

    fn schedule(pace: Pace, length: i64, since: i64) -> DwellSchedule {
        let catch_up = CatchUp::AtOnce;
        DwellSchedule { label: "l".into(), pace, length, since: Timestamp(since), catch_up }
    }

    fn stay(entered: i64, fired: u64) -> Stay {
        Stay {
            id: StayId::of(ContactId(Uuid::nil()), &BucketId::new("b").unwrap(), 1),
            epoch: 1,
            entered_at: Timestamp(entered),
            source: TransitionSource::Event,
            max_dwell_at: None,
            dwell_anchor_at: None,
            dwelled: vec![Dwelled { label: "l".into(), ordinal: fired }],
            dwell_plans: Vec::new(),
        }
    }

    fn fire(at: i64, ordinal: u64) -> Option<Fire> {
        Some(Fire { at: Timestamp(at), ordinal })
    }

    #[test]
    fn bk_131_after_fires_once_per_stay() {
        let after = schedule(Pace::After, 10, 0);
        assert_eq!(due(&after, &stay(100, 0), Timestamp(109)), None);
        assert_eq!(due(&after, &stay(100, 0), Timestamp(110)), fire(110, 1));
        assert_eq!(due(&after, &stay(100, 0), Timestamp(999)), fire(110, 1), "late, but due then");
        assert_eq!(next_fire(&after, &stay(100, 1)), None);
    }

    #[test]
    fn bk_132_every_keeps_to_the_grid_and_catches_up_once() {
        let every = schedule(Pace::Every, 10, 0);
        assert_eq!(due(&every, &stay(100, 0), Timestamp(125)), fire(120, 2));
        assert_eq!(next_fire(&every, &stay(100, 2)), Some(Timestamp(130)));
        assert_eq!(due(&every, &stay(100, 2), Timestamp(129)), None);
        assert_eq!(due(&every, &stay(100, 2), Timestamp(161)), fire(160, 6));
    }

    #[test]
    fn bk_134_a_leave_at_the_same_instant_wins() {
        let mut ends = stay(100, 0);
        ends.max_dwell_at = Some(Timestamp(110));
        assert_eq!(next_fire(&schedule(Pace::After, 10, 0), &ends), None);
        assert_eq!(next_fire(&schedule(Pace::After, 9, 0), &ends), Some(Timestamp(109)));
    }

    #[test]
    fn bk_138_what_is_older_than_the_schedule_falls_due_with_it() {
        let every = schedule(Pace::Every, 10, 135);
        assert_eq!(next_fire(&every, &stay(100, 0)), Some(Timestamp(135)));
        assert_eq!(due(&every, &stay(100, 0), Timestamp(135)), fire(135, 3));
        assert_eq!(next_fire(&every, &stay(100, 3)), Some(Timestamp(140)));
    }

    #[test]
    fn bk_138_who_is_behind_waits_for_an_instant_and_keeps_the_grid_after_it() {
        let giving =
            |giving| DwellSchedule { catch_up: CatchUp::InTurn { giving }, ..schedule(Pace::Every, 10, 135) };
        let mut behind = stay(100, 0);
        assert!(is_waiting(&giving(true), &behind));
        assert_eq!(
            (next_fire(&giving(true), &behind), due(&giving(true), &behind, Timestamp(999))),
            (None, None)
        );
        assert_eq!(next_fire(&giving(false), &behind), Some(Timestamp(135)), "overlooked");
        behind.plan_dwell(DwellPlan { label: "l".into(), since: Timestamp(135), due: Timestamp(157) });
        for giving in [giving(true), giving(false)] {
            assert!(!is_waiting(&giving, &behind));
            assert_eq!(next_fire(&giving, &behind), Some(Timestamp(157)));
            assert_eq!(due(&giving, &behind, Timestamp(157)), fire(157, 5));
        }
        assert_eq!(
            next_fire(&schedule(Pace::Every, 10, 135), &behind),
            Some(Timestamp(135)),
            "no limit any more"
        );
        let later = DwellSchedule { since: Timestamp(140), ..giving(true) };
        assert!(is_waiting(&later, &behind), "a plan for another beginning is void");
        behind.dwell(&"l".into(), 5);
        assert_eq!(next_fire(&giving(true), &behind), Some(Timestamp(160)));
        assert!(!is_waiting(&giving(true), &stay(130, 0)), "not past the threshold");
    }

    #[test]
    fn the_end_of_time_is_no_fire() {
        let every = schedule(Pace::Every, i64::MAX / 2, 0);
        assert_eq!(next_fire(&every, &stay(100, 2)), None);
        assert_eq!(next_fire(&every, &stay(100, u64::MAX)), None);
    }
}
