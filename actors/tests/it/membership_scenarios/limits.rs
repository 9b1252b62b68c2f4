//! Entry limits, shortest and longest stays (SB-15..SB-18, SB-20..SB-24).

use serde_json::json;

use super::{F1, F3, F4, F5, F6, F7, F13, NONE, stay};
use crate::harness::{DAY, HOUR, Person, T0};

/// Transitions of a contact that joined before T0, left at T0, joins again after so long, and leaves an hour later.
fn rejoin(fixture: &str, again_after: i64) -> Vec<String> {
    let mut person = Person::new(fixture);
    person.put(T0 - HOUR, json!({"plan": "pro"}));
    person.put(T0, json!({"plan": "free"}));
    let mut lines = person.put(T0 + again_after, json!({"plan": "pro"}));
    lines.extend(person.put(T0 + again_after + HOUR, json!({"plan": "free"})));
    lines
}

#[test]
fn sb_15_once_announces_the_first_join_and_every_leave() {
    assert_eq!(rejoin(F3, HOUR), ["1h +F3 #2 event silent", "2h -F3 #2 event criteria"]);
}

#[test]
fn sb_16_within_the_period_a_join_is_silent() {
    assert_eq!(rejoin(F4, HOUR), ["1h +F4 #2 event silent", "2h -F4 #2 event criteria"]);
    assert_eq!(rejoin(F4, 24 * HOUR - 1)[0], "23h+3599999ms +F4 #2 event silent");
}

#[test]
fn sb_17_from_the_periods_end_on_a_join_is_announced() {
    assert_eq!(rejoin(F4, 24 * HOUR), ["24h +F4 #2 event", "25h -F4 #2 event criteria"]);
    assert_eq!(rejoin(F4, 25 * HOUR), ["25h +F4 #2 event", "26h -F4 #2 event criteria"]);
}

#[test]
fn sb_18_without_a_period_every_join_is_announced() {
    assert_eq!(rejoin(F5, 1000), ["0h+1000ms +F5 #2 event", "1h+1000ms -F5 #2 event criteria"]);
}

/// Pro since T0, free since half an hour later, in a bucket whose shortest stay is two hours.
fn left_too_early() -> Person {
    let mut person = Person::new(F13);
    person.put(T0, json!({"plan": "pro"}));
    assert_eq!(person.put(T0 + HOUR / 2, json!({"plan": "free"})), NONE);
    person
}

#[test]
fn sb_20_a_leave_before_the_shortest_stay_is_deferred() {
    let mut person = left_too_early();
    assert_eq!(person.state.wake_at().map(|at| at.0), Some(T0 + 2 * HOUR));
    assert_eq!(person.pass_until(T0 + 3 * HOUR), ["2h -F13 #1 reconcile criteria"]);
}

#[test]
fn sb_21_criteria_that_hold_again_cancel_the_deferred_leave() {
    let mut person = left_too_early();
    person.put(T0 + HOUR, json!({"plan": "pro"}));
    assert_eq!(person.state.wake_at(), None);
    assert_eq!(person.pass_until(T0 + 3 * HOUR), NONE);
}

#[test]
fn sb_22_at_the_shortest_stay_exactly_a_leave_is_allowed() {
    let mut person = Person::new(F13);
    person.put(T0, json!({"plan": "pro"}));
    assert_eq!(person.put(T0 + 2 * HOUR, json!({"plan": "free"})), ["2h -F13 #1 event criteria"]);
}

#[test]
fn sb_23_the_longest_stay_ends_without_a_look_at_the_criteria() {
    let mut person = Person::new(F6);
    person.put(T0, json!({"plan": "vip"}));
    assert_eq!(stay(&person.state, "F6").unwrap().max_dwell_at.map(|at| at.0), Some(T0 + 24 * HOUR));
    assert_eq!(person.pass_until(T0 + 24 * HOUR), ["24h -F6 #1 reconcile maxDwell"]);
    let mut unlimited = Person::new(F1);
    unlimited.put(T0, json!({"plan": "pro"}));
    assert_eq!(stay(&unlimited.state, "F1").unwrap().max_dwell_at, None);
}

#[test]
fn sb_24_after_the_longest_stay_a_qualifying_event_joins_again() {
    // With `once` the new stay is silent and exists all the same (BK-87).
    for (limit, again) in [("unlimited", "25h +F6 #2 event"), ("once", "25h +F6 #2 event silent")] {
        let mut person = Person::new(&F6.replace("maxDwell", &format!("entryLimit: {limit}, maxDwell")));
        person.put(T0, json!({"plan": "vip"}));
        assert_eq!(person.pass_until(T0 + 24 * HOUR), ["24h -F6 #1 reconcile maxDwell"]);
        assert_eq!(person.event(T0 + 25 * HOUR, "e", json!({"plan": "vip"})), [again]);
        assert_eq!(person.pass_until(T0 + 49 * HOUR), ["49h -F6 #2 reconcile maxDwell"]);
    }
}

#[test]
fn bk_141_after_the_longest_stay_the_clock_alone_does_not_bring_it_back() {
    let mut person = Person::new(&F7.replace("enabled: true", "enabled: true, maxDwell: 24h"));
    person.event(T0, "app.active", json!({}));
    assert_eq!(
        person.pass_until(T0 + 60 * DAY),
        ["168h+1ms +F7 #1 reconcile", "192h+1ms -F7 #1 reconcile maxDwell"]
    );
}
