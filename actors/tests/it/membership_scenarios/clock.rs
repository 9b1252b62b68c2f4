//! What the clock decides: windows, absence, counts (SB-26..SB-30, SB-32..SB-37, SB-75, SB-76).

use mainspring_actors::contact::{Command, Outcome};
use mainspring_schemas::outbound_event::{ContactDeleted, OutboundEvent};
use serde_json::json;

use super::{F7, F8, F9, F10, NONE};
use crate::harness::{DAY, HOUR, Person, T0, line};

const WEEK: &str = "
  - {id: week, name: Week, enabled: true, criteria: {event: e, within: 7d, exists: true}}";

#[test]
fn sb_26_a_window_ends_the_millisecond_after_it() {
    let mut person = Person::new(WEEK);
    assert_eq!(person.event(T0, "e", json!({})), ["0h +week #1 event"]);
    assert_eq!(person.pass_until(T0 + 7 * DAY), NONE, "a member at the boundary");
    assert_eq!(person.pass_until(T0 + 7 * DAY + 1), ["168h+1ms -week #1 reconcile criteria"]);
}

/// Ten actions, one an hour from T0 on.
fn ten_actions() -> Person {
    let mut person = Person::new(F10);
    let mut lines = Vec::new();
    for hour in 0..10 {
        lines.extend(person.event(T0 + hour * HOUR, "key.action", json!({})));
    }
    assert_eq!(lines, ["9h +F10 #1 event"]);
    person
}

#[test]
fn sb_27_the_tenth_newest_action_decides_when_a_count_ends() {
    let mut person = ten_actions();
    assert_eq!(person.pass_until(T0 + 40 * DAY), ["720h+1ms -F10 #1 reconcile criteria"]);
    let mut person = ten_actions();
    person.event(T0 + DAY, "key.action", json!({}));
    assert_eq!(person.pass_until(T0 + 40 * DAY), ["721h+1ms -F10 #1 reconcile criteria"], "an eleventh");
}

#[test]
fn sb_28_absence_is_noticed_at_its_instant_and_ends_with_the_return() {
    let mut person = Person::new(F7);
    person.event(T0, "app.active", json!({}));
    assert_eq!(
        person.event(T0 + 9 * DAY, "app.active", json!({})),
        ["168h+1ms +F7 #1 reconcile", "216h -F7 #1 event criteria"]
    );
}

#[test]
fn sb_29_who_never_fired_is_not_joined_by_the_clock() {
    let mut person = Person::new(F7);
    person.event(T0, "other", json!({}));
    assert_eq!(person.state.wake_at(), None);
    assert_eq!(person.pass_until(T0 + 365 * DAY), NONE);
}

#[test]
fn sb_30_a_recent_event_outweighs_an_old_one() {
    let mut person = Person::new(F7);
    person.dated(T0, "app.active", T0 - DAY);
    assert_eq!(person.dated(T0, "app.active", T0 - 30 * DAY), NONE);
    assert_eq!(person.pass_until(T0 + 6 * DAY), NONE, "only seven days after the newer one");
}

#[test]
fn sb_32_absence_of_either_joins_by_the_leg_that_ran_out() {
    let mut person = Person::new(F8);
    assert_eq!(person.dated(T0, "b", T0 - 30 * DAY), ["0h +F8 #1 event"], "only b, long ago (BK-33)");

    let mut person = Person::new(F8);
    person.dated(T0, "a", T0 - DAY);
    assert_eq!(person.dated(T0, "b", T0 - DAY), ["0h -F8 #1 event criteria"], "present in both windows");
    assert_eq!(person.pass_until(T0 + 6 * DAY), NONE);
    assert_eq!(person.event(T0 + 6 * DAY, "a", json!({})), NONE);
    assert_eq!(person.pass_until(T0 + 30 * DAY), ["144h+1ms +F8 #2 reconcile"], "b ran out, a did not");
}

#[test]
fn sb_33_a_join_by_the_clock_respects_the_entry_limit() {
    let mut person = Person::new(F9);
    person.event(T0, "x.active", json!({}));
    assert_eq!(person.pass_until(T0 + 8 * DAY), ["168h+1ms +F9 #1 reconcile"]);
    assert_eq!(person.event(T0 + 9 * DAY, "x.active", json!({})), ["216h -F9 #1 event criteria"]);
    assert_eq!(person.pass_until(T0 + 20 * DAY), ["384h+1ms +F9 #2 reconcile silent"]);
}

#[test]
fn sb_34_an_event_of_long_ago_joins_an_absence_at_once() {
    let mut person = Person::new(F7);
    assert_eq!(person.dated(T0, "app.active", T0 - 8 * DAY), ["0h +F7 #1 event"]);
}

#[test]
fn sb_35_fewer_than_three_holds_again_when_the_first_runs_out() {
    let few = "
  - {id: few, name: Few, enabled: true, criteria: {event: e, within: 7d, count: {lt: 3}}}";
    let mut person = Person::new(few);
    let mut lines = person.event(T0, "e", json!({}));
    lines.extend(person.event(T0 + HOUR, "e", json!({})));
    lines.extend(person.event(T0 + 2 * HOUR, "e", json!({})));
    lines.extend(person.pass_until(T0 + 8 * DAY));
    assert_eq!(lines, ["0h +few #1 event", "2h -few #1 event criteria", "168h+1ms +few #2 reconcile"]);
}

#[test]
fn sb_36_a_further_event_moves_the_end_of_the_stay() {
    let hour = "
  - {id: hour, name: Hour, enabled: true, fastExpiry: true, criteria: {event: e, within: 1h, exists: true}}";
    let mut person = Person::new(hour);
    person.event(T0, "e", json!({}));
    person.event(T0 + HOUR / 2, "e", json!({}));
    assert_eq!(person.pass_until(T0 + DAY), ["1h+1800001ms -hour #1 reconcile criteria"]);
}

#[test]
fn sb_37_nobody_is_announced_as_dormant_by_the_event_that_proves_otherwise() {
    let mut person = Person::new(F7);
    person.event(T0, "app.active", json!({}));
    assert_eq!(person.late_event(T0 + 7 * DAY + 2 * HOUR, "app.active", T0 + 7 * DAY + HOUR), NONE);
}

#[test]
fn sb_75_a_window_shorter_than_the_shortest_stay() {
    let hour = "
  - {id: hour, name: Hour, enabled: true, minDwell: 2h, criteria: {event: e, within: 1h, exists: true}}";
    let mut person = Person::new(hour);
    person.event(T0, "e", json!({}));
    assert_eq!(person.pass_until(T0 + HOUR + 1), NONE, "false, and deferred");
    assert_eq!(person.state.wake_at().map(|at| at.0), Some(T0 + 2 * HOUR));
    assert_eq!(person.pass_until(T0 + DAY), ["2h -hour #1 reconcile criteria"]);
}

#[test]
fn bk_60_a_stay_expires_when_the_clock_may_end_it_not_when_its_criteria_turn_false() {
    let hour = "
  - {id: hour, name: Hour, enabled: true, minDwell: 2h, criteria: {event: e, within: 1h, exists: true}}";
    let mut person = Person::new(hour);
    person.event(T0, "e", json!({}));
    let expires = |person: &Person| person.state.view().stays[0].expires_at.map(|at| at.0 - T0);
    assert_eq!(expires(&person), Some(2 * HOUR));
    person.event(T0 + HOUR + HOUR / 2, "e", json!({}));
    assert_eq!(expires(&person), Some(2 * HOUR + HOUR / 2 + 1), "the criteria hold for longer");
}

#[test]
fn bk_150_what_is_told_of_a_contact_does_not_outrun_what_fell_due() {
    let mut person = Person::new(F7);
    person.event(T0, "app.active", json!({}));
    person.now = T0 + 8 * DAY;
    let deleted = ContactDeleted { id: person.id, external_id: None, email: None, reason: None };
    let told = person.decide(Command::Tell(Box::new(OutboundEvent::ContactDeleted(deleted))), false);
    let lines: Vec<String> = told.events.iter().filter_map(|(_, event)| line(event)).collect();
    assert_eq!((told.outcome, lines), (Outcome::Told, vec!["168h+1ms +F7 #1 reconcile".to_owned()]));
}

#[test]
fn sb_76_joins_by_the_clock_can_be_switched_off() {
    let f7 = F7.replace("enabled: true", "enabled: true, reconcileJoins: false");
    let mut person = Person::new(&f7);
    person.event(T0, "app.active", json!({}));
    assert_eq!(person.pass_until(T0 + 30 * DAY), NONE);
    let mut lapsed = Person::new(&f7);
    assert_eq!(lapsed.dated(T0, "app.active", T0 - 8 * DAY), ["0h +F7 #1 event"]);
    assert_eq!(lapsed.event(T0 + HOUR, "app.active", json!({})), ["1h -F7 #1 event criteria"]);
}

#[test]
fn bk_155_an_overdue_leave_is_decided_at_its_due_instant_before_the_event() {
    let mut person = Person::new(WEEK);
    person.event(T0, "e", json!({}));
    assert_eq!(
        person.late_event(T0 + 8 * DAY, "e", T0 + 8 * DAY),
        ["168h+1ms -week #1 reconcile criteria", "192h +week #2 event"]
    );
}

#[test]
fn an_unrelated_late_event_does_not_swallow_an_overdue_join() {
    let mut person = Person::new(F7);
    person.event(T0, "app.active", json!({}));
    assert_eq!(
        person.late_event(T0 + 8 * DAY, "other", T0 + 8 * DAY),
        ["168h+1ms +F7 #1 reconcile"],
        "decided late, with the due instant recorded"
    );
}

#[test]
fn on_the_datas_own_clock_timers_fire_between_the_events() {
    let mut person = Person::new(F7);
    person.imported_event(T0, "app.active");
    assert_eq!(
        person.imported_event(T0 + 9 * DAY, "app.active"),
        ["168h+1ms +F7 #1 reconcile", "216h -F7 #1 event criteria"]
    );
}
