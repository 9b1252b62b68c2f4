//! Dwelling: a stay that reaches an age fires once, or again and again (BK-130..BK-138).
//!
//! The clock of a stay runs on a grid: the k-th fire of a schedule of length D is due at clock + k * D, however late the
//! one before was. What fell due is decided at its own instant on the data's own clock. A live engine that was late
//! fires once, with the newest k, after all leaves and after the event that woke it (BK-132, BK-155).

use mainspring_schemas::{
    Timestamp,
    definition::Pace,
    event::contact::{BucketDeadline, BucketDwelled, ContactEvent, TransitionSource},
    identity::KeyKind,
};

use super::{
    agenda::Subject,
    decide::Progress,
    reaction::{Occasion, Transition},
    state::Stay,
};
use crate::rules::{DwellSchedule, Rule};

/// A fire of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fire {
    /// When it fell due.
    at: Timestamp,
    /// How many lengths of the schedule had passed.
    ordinal: u64,
}

/// When the clock of a stay has passed `ordinal` lengths; `None` if that is beyond the end of time.
fn instant(schedule: &DwellSchedule, stay: &Stay, ordinal: u64) -> Option<Timestamp> {
    let passed = i64::try_from(ordinal).ok()?.checked_mul(schedule.length)?;
    Some(Timestamp(stay.dwell_clock().0.checked_add(passed)?).max(schedule.since))
}

/// When a schedule fires next in a stay. Never at the end of the stay or later: the leave wins (BK-134).
fn next_fire(schedule: &DwellSchedule, stay: &Stay) -> Option<Timestamp> {
    let last = stay.last_dwell(&schedule.label);
    if schedule.pace == Pace::After && last > 0 {
        return None;
    }
    let at = instant(schedule, stay, last.checked_add(1)?)?;
    stay.max_dwell_at.is_none_or(|end| at < end).then_some(at)
}

/// The fire that is due at `now`: only the newest, whatever was missed (BK-132).
fn due(schedule: &DwellSchedule, stay: &Stay, now: Timestamp) -> Option<Fire> {
    next_fire(schedule, stay).filter(|at| *at <= now)?;
    let ordinal = match schedule.pace {
        Pace::After => 1,
        Pace::Every => u64::try_from(now.since(stay.dwell_clock()) / schedule.length).ok()?,
    };
    Some(Fire { at: instant(schedule, stay, ordinal)?, ordinal })
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
    use mainspring_schemas::{BucketId, ContactId, StayId, event::contact::Dwelled};
    use uuid::Uuid;

    use super::*;

    fn schedule(pace: Pace, length: i64, since: i64) -> DwellSchedule {
        DwellSchedule { label: "l".into(), pace, length, since: Timestamp(since) }
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
    fn the_end_of_time_is_no_fire() {
        let every = schedule(Pace::Every, i64::MAX / 2, 0);
        assert_eq!(next_fire(&every, &stay(100, 2)), None);
        assert_eq!(next_fire(&every, &stay(100, u64::MAX)), None);
    }
}
