//! Rules about buckets, pure: what a definition file that appears, changes or goes means (BK-180, BK-201, BK-203).

use mainspring_schemas::{
    Timestamp,
    definition::BucketDefinition,
    event::{
        BucketEvent,
        bucket::{Defined, Retired, Switched},
    },
};

use super::state::{BucketState, lets_the_clock_join, shortens_stays};

/// Whether contacts must be looked at again because clocks came that they do not know: a dwell schedule, or another pace
/// of catching up with one (BK-138), a longest stay where there was none (BK-142), a shorter shortest stay (BK-92), or
/// joins by the clock (BK-22).
fn adds_clocks(state: &BucketState, definition: &BucketDefinition) -> bool {
    let Some(before) = &state.definition else { return false };
    let is_new = |label| before.schedules().all(|known| known.label() != label);
    let schedule_came = definition.schedules().any(|schedule| is_new(schedule.label()));
    let paced_otherwise = before.dwell_catch_up_per_minute != definition.dwell_catch_up_per_minute
        && definition.schedules().next().is_some();
    let longest_came = before.max_dwell.is_none() && definition.max_dwell.is_some();
    let others_end = longest_came || shortens_stays(before, definition);
    schedule_came || paced_otherwise || others_end || lets_the_clock_join(before, definition)
}

/// The event that brings `state` to what the files say; `None` if it is there already.
pub(super) fn define(
    state: &BucketState,
    now: Timestamp,
    file: Option<&BucketDefinition>,
) -> Option<BucketEvent> {
    let Some(definition) = file else {
        let defined = state.definition.is_some() && !state.retired;
        return defined.then_some(BucketEvent::Retired(Retired { at: now }));
    };
    if !state.retired && state.definition.as_deref() == Some(definition) {
        return None;
    }
    let criteria_hash = definition.criteria_hash();
    let enabled_after = state.switch.unwrap_or(definition.enabled);
    let re_evaluates = state.definition.is_none()
        || state.retired
        || criteria_hash != state.criteria_hash
        || (enabled_after && !state.enabled());
    Some(BucketEvent::Defined(Box::new(Defined {
        at: now,
        definition: definition.clone(),
        criteria_hash,
        re_evaluates,
        replans: !re_evaluates && enabled_after && adds_clocks(state, definition),
    })))
}

/// The event of an operator's switch; `None` if it changes nothing.
pub(super) fn switch(state: &BucketState, now: Timestamp, enabled: bool) -> Option<BucketEvent> {
    (state.switch != Some(enabled)).then_some(BucketEvent::Switched(Switched { at: now, enabled }))
}

#[cfg(test)]
mod tests {
    use mainspring_schemas::{
        BucketId,
        criteria::Criteria,
        duration::DurationSpec,
        event::bucket::{BackfillCompleted, BackfillStarted, Purpose},
    };
    use serde_json::json;

    use super::*;

    fn definition(criteria: &str) -> BucketDefinition {
        let criteria: Criteria = serde_json::from_str(criteria).unwrap();
        BucketDefinition::new(BucketId::new("b").unwrap(), "B", criteria)
    }

    const PRO: &str = r#"{"type":"property","property":"plan","operator":"eq","value":"pro"}"#;
    const VIP: &str = r#"{"type":"property","property":"plan","operator":"eq","value":"vip"}"#;

    fn step(state: &mut BucketState, event: Option<BucketEvent>) -> Option<bool> {
        let event = event?;
        let version = state.version.map_or(0, |version| version + 1);
        state.apply(&event, version, version + 10);
        Some(matches!(&event, BucketEvent::Defined(defined) if defined.re_evaluates))
    }

    #[test]
    fn bk_180_only_criteria_are_decided_anew() {
        let mut state = BucketState::default();
        let first = define(&state, Timestamp(1), Some(&definition(PRO)));
        assert_eq!(step(&mut state, first), Some(true), "first time");
        assert!(define(&state, Timestamp(2), Some(&definition(PRO))).is_none(), "equal = nothing");
        let mut renamed = definition(PRO);
        renamed.name = "Other".into();
        let change = define(&state, Timestamp(3), Some(&renamed));
        assert_eq!(step(&mut state, change), Some(false), "a name is no criteria");
        let change = define(&state, Timestamp(4), Some(&definition(VIP)));
        assert_eq!(step(&mut state, change), Some(true), "changed criteria");
        assert_eq!(state.activated, Some((12, Timestamp(4))));
    }

    #[test]
    fn bk_200_to_bk_203_switches_and_retirement() {
        let mut state = BucketState::default();
        let first = define(&state, Timestamp(1), Some(&definition(PRO)));
        step(&mut state, first);
        let off = switch(&state, Timestamp(2), false);
        step(&mut state, off);
        assert!(!state.enabled() && switch(&state, Timestamp(2), false).is_none());
        let on = switch(&state, Timestamp(3), true);
        step(&mut state, on);
        assert_eq!(state.activated.map(|(_, at)| at), Some(Timestamp(3)), "re-enabling re-evaluates");
        let gone = define(&state, Timestamp(4), None);
        step(&mut state, gone);
        assert!(state.rule().is_none() && define(&state, Timestamp(5), None).is_none());
        let back = define(&state, Timestamp(6), Some(&definition(PRO)));
        assert_eq!(step(&mut state, back), Some(true), "a return re-evaluates");
    }

    fn with(more: serde_json::Value) -> BucketDefinition {
        let mut whole = serde_json::to_value(definition(PRO)).unwrap();
        whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    fn dwelling(hours: u32) -> BucketDefinition {
        with(json!({"reactions": [{"on": "dwell", "after": {"hours": hours}, "do": [{"set": {"a": 1}}]}]}))
    }

    /// A step of the pass that is due.
    fn pass(state: &mut BucketState, at: i64) {
        let at = Timestamp(at);
        let (purpose, _) = state.pass_due().unwrap();
        let criteria_hash = state.criteria_hash.clone();
        let started = BackfillStarted { at, criteria_hash: criteria_hash.clone(), total: 0, purpose };
        step(state, Some(BucketEvent::BackfillStarted(started)));
        let completed = BackfillCompleted { at, criteria_hash, processed: 0, purpose };
        step(state, Some(BucketEvent::BackfillCompleted(completed)));
    }

    fn since(state: &BucketState) -> Vec<i64> {
        state.rule().unwrap().dwell.iter().map(|schedule| schedule.since.0).collect()
    }

    #[test]
    fn bk_135_schedules_are_held_until_the_first_back_fill_is_through() {
        let mut state = BucketState::default();
        let first = define(&state, Timestamp(1), Some(&dwelling(1)));
        step(&mut state, first);
        assert_eq!(since(&state), [0; 0], "held");
        let revision = state.revision;
        pass(&mut state, 5);
        assert_eq!(since(&state), [5]);
        assert!(state.revision > revision, "the rules are others now");
        assert_eq!(state.pass_due().map(|(purpose, _)| purpose), Some(Purpose::Clocks));
        pass(&mut state, 6);
        assert_eq!(state.pass_due(), None);
        let mut changed = dwelling(1);
        changed.criteria = serde_json::from_str(VIP).unwrap();
        let change = define(&state, Timestamp(9), Some(&changed));
        assert_eq!(step(&mut state, change), Some(true));
        assert_eq!(since(&state), [9], "once open it stays open");
        pass(&mut state, 10);
        assert_eq!(state.pass_due(), None, "the back-fill planned everything");
    }

    #[test]
    fn bk_138_bk_142_clocks_that_come_later_ask_for_a_pass() {
        let mut state = BucketState::default();
        let first = define(&state, Timestamp(1), Some(&dwelling(1)));
        step(&mut state, first);
        pass(&mut state, 2);
        pass(&mut state, 3);
        let change = define(&state, Timestamp(4), Some(&dwelling(2)));
        step(&mut state, change);
        assert_eq!(since(&state), [4]);
        assert_eq!(state.pass_due().map(|(purpose, _)| purpose), Some(Purpose::Clocks));
        pass(&mut state, 5);
        for (at, longest, asks, since) in [(6, 3, true, 6), (7, 4, false, 6), (8, 2, false, 6)] {
            let mut longer = dwelling(2);
            longer.max_dwell = Some(DurationSpec::of_hours(longest));
            let change = define(&state, Timestamp(at), Some(&longer));
            step(&mut state, change);
            assert_eq!(state.pass_due().is_some(), asks, "only where there was none");
            assert_eq!(state.rule().unwrap().max_dwell_since, Timestamp(since));
            if asks {
                pass(&mut state, at);
            }
        }
        let change = define(&state, Timestamp(9), Some(&definition(PRO)));
        step(&mut state, change);
        assert_eq!(state.pass_due(), None, "what goes needs nobody to look");
        let change = define(&state, Timestamp(10), Some(&dwelling(2)));
        step(&mut state, change);
        assert_eq!(since(&state), [10], "a schedule that comes back is a new one");
    }

    #[test]
    fn bk_22_bk_92_what_the_clock_may_do_earlier_asks_for_a_pass() {
        let mut state = BucketState::default();
        let steps = [
            (json!({"minDwell": {"hours": 2}}), false),
            (json!({"minDwell": {"hours": 3}}), false),
            (json!({"minDwell": {"hours": 1}, "reconcileJoins": false}), true),
            (json!({"reconcileJoins": false}), true),
            (json!({"reconcileJoins": true}), true),
            (json!({}), false),
        ];
        for (at, (more, asks)) in (1_i64..).zip(steps) {
            let change = define(&state, Timestamp(at), Some(&with(more.clone())));
            step(&mut state, change);
            let due = state.pass_due().map(|(purpose, _)| purpose);
            assert_eq!(due == Some(Purpose::Clocks), asks, "{more}");
            if due.is_some() {
                pass(&mut state, at);
            }
        }
        let rule = state.rule().unwrap();
        assert_eq!((rule.min_dwell_since, rule.clock_joins_since), (Timestamp(4), Timestamp(5)));
    }

    #[test]
    fn bk_201_a_bucket_that_is_off_asks_for_nothing_until_it_is_on_again() {
        let mut state = BucketState::default();
        let first = define(&state, Timestamp(1), Some(&definition(PRO)));
        step(&mut state, first);
        pass(&mut state, 2);
        let off = switch(&state, Timestamp(3), false);
        step(&mut state, off);
        let change = define(&state, Timestamp(4), Some(&dwelling(1)));
        step(&mut state, change);
        assert_eq!(state.pass_due(), None);
        let on = switch(&state, Timestamp(5), true);
        step(&mut state, on);
        assert_eq!(state.pass_due().map(|(purpose, _)| purpose), Some(Purpose::Membership));
        assert_eq!(since(&state), [5], "nothing fell due while it was off");
    }
}
