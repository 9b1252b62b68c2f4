//! The worked scenarios of buckets.md, section 22, as far as they concern one contact's turns.

use mainspring_actors::contact::Command;
use serde_json::json;

use crate::harness::{DAY, HOUR, Person, T0, definitions};

const F1: &str = "
  - {id: F1, name: Pro, enabled: true, criteria: {all: [{prop: plan, eq: pro}, {prop: converted, neq: true}]}}";
const F2: &str = "
  - {id: F2, name: Signed up, enabled: true, criteria: {event: signup, exists: true}}";
const F3: &str = "
  - {id: F3, name: Pro, enabled: true, entryLimit: once, criteria: {prop: plan, eq: pro}}";
const F4: &str = "
  - {id: F4, name: Pro, enabled: true, entryLimit: once_per_period, entryPeriod: 24h, criteria: {prop: plan, eq: pro}}";
const F5: &str = "
  - {id: F5, name: Pro, enabled: true, entryLimit: once_per_period, criteria: {prop: plan, eq: pro}}";
const F6: &str = "
  - {id: F6, name: Vip, enabled: true, maxDwell: 24h, criteria: {prop: plan, eq: vip}}";
const F7: &str = "
  - {id: F7, name: Dormant, enabled: true, criteria: {all: [{event: app.active, exists: true}, {event: app.active, within: 7d, exists: false}]}}";
const F8: &str = "
  - {id: F8, name: Either, enabled: true, reconcileJoins: true, criteria: {any: [{event: a, within: 7d, exists: false}, {event: b, within: 7d, exists: false}]}}";
const F9: &str = "
  - {id: F9, name: Away, enabled: true, entryLimit: once, criteria: {event: x.active, within: 7d, exists: false}}";
const F10: &str = "
  - {id: F10, name: Power, enabled: true, criteria: {event: key.action, within: 30d, count: {gte: 10}}}";
const F11: &str = "
  - {id: F11, name: Short, enabled: true, maxDwell: 48h, criteria: {event: ttl.action, within: 30d, count: {gte: 3}}}";
const F13: &str = "
  - {id: F13, name: Floor, enabled: true, minDwell: 2h, criteria: {prop: plan, eq: pro}}";

const NONE: [&str; 0] = [];

#[test]
fn sb_01_to_sb_03_a_join_a_stable_stay_and_a_leave() {
    let mut person = Person::new(F1);
    person.put(T0 - HOUR, json!({"plan": "pro", "ok": 1}));
    let mut person = Person::new(F1);
    person.event_with(T0 - HOUR, "hello", json!({}), json!({"ok": 1}));
    assert_eq!(
        person.event_with(T0, "user.updated", json!({"plan": "pro"}), json!({"plan": "pro"})),
        ["0h +F1 #1 event"]
    );
    assert_eq!(person.event(T0 + 60_000, "user.updated", json!({"plan": "pro"})), NONE);
    assert_eq!(
        person.event_with(T0 + 120_000, "user.updated", json!({"plan": "free"}), json!({"plan": "free"})),
        ["0h+120000ms -F1 #1 event criteria"]
    );
}

#[test]
fn sb_04_three_alternations_make_three_stays() {
    let mut person = Person::new(F1);
    let mut lines = Vec::new();
    for hour in 0..6 {
        let plan = if hour % 2 == 0 { "pro" } else { "free" };
        lines.extend(person.put(T0 + hour * HOUR, json!({ "plan": plan })));
    }
    assert_eq!(
        lines,
        [
            "0h +F1 #1 event",
            "1h -F1 #1 event criteria",
            "2h +F1 #2 event",
            "3h -F1 #2 event criteria",
            "4h +F1 #3 event",
            "5h -F1 #3 event criteria"
        ]
    );
}

#[test]
fn sb_05_to_sb_07_event_properties_narrow_and_never_evaluate() {
    // Bound to a contact that became pro while the bucket was switched off: only a touch makes it look.
    let mut person = Person::new(&F1.replace("enabled: true", "enabled: false"));
    person.put(T0 - HOUR, json!({"plan": "pro"}));
    person.redefine(definitions(F1), 1);
    person.state.definitions = 1;
    assert_eq!(person.event(T0, "e", json!({"plan": "free"})), ["0h +F1 #1 event"], "SB-05");
    assert_eq!(person.event(T0 + HOUR, "e", json!({"plan": "free"})), NONE, "SB-06");
    assert_eq!(
        person.event_with(T0 + 2 * HOUR, "e", json!({"plan": "pro"}), json!({"plan": "free"})),
        ["2h -F1 #1 event criteria"],
        "SB-07"
    );
}

#[test]
fn sb_08_to_sb_11_what_makes_a_contact_join() {
    let mut person = Person::new(F1);
    person.put(T0 - HOUR, json!({"plan": "free"}));
    assert_eq!(
        person.event_with(T0, "ping", json!({}), json!({"plan": "pro"})),
        ["0h +F1 #1 event"],
        "SB-08"
    );
    assert_eq!(
        person.event_with(T0 + HOUR, "ping", json!({}), json!({"plan": null})),
        ["1h -F1 #1 event criteria"],
        "SB-09"
    );
    assert_eq!(person.put(T0 + 2 * HOUR, json!({"plan": "pro"})), ["2h +F1 #2 event"], "SB-10");
    let mut person = Person::new(F2);
    assert_eq!(person.event(T0, "signup", json!({})), ["0h +F2 #1 event"], "SB-11");
}

#[test]
fn sb_13_a_repeat_is_decided_once() {
    let mut person = Person::new(F10);
    for hour in 0..9 {
        assert_eq!(person.event(T0 + hour * HOUR, "key.action", json!({})), NONE);
    }
    assert_eq!(person.keyed(T0 + 9 * HOUR, "key.action", "K"), (true, vec!["9h +F10 #1 event".into()]));
    assert_eq!(person.keyed(T0 + 9 * HOUR, "key.action", "K"), (false, vec![]));
}

#[test]
fn sb_14_no_coercion() {
    let mut person =
        Person::new("\n  - {id: five, name: Five, enabled: true, criteria: {prop: plan, eq: 5}}");
    person.put(T0, json!({"plan": "5"}));
    assert_eq!(person.event(T0 + 1, "e", json!({"plan": 5})), NONE);
}

fn rejoin(fixture: &str, again_after: i64) -> Vec<String> {
    let mut person = Person::new(fixture);
    person.put(T0 - HOUR, json!({"plan": "pro"}));
    person.put(T0, json!({"plan": "free"}));
    let mut lines = person.put(T0 + again_after, json!({"plan": "pro"}));
    lines.extend(person.put(T0 + again_after + HOUR, json!({"plan": "free"})));
    lines
}

#[test]
fn sb_15_to_sb_18_entry_limits_throttle_announcements_only() {
    assert_eq!(rejoin(F3, HOUR), ["1h +F3 #2 event silent", "2h -F3 #2 event criteria"], "SB-15");
    assert_eq!(rejoin(F4, HOUR), ["1h +F4 #2 event silent", "2h -F4 #2 event criteria"], "SB-16");
    assert_eq!(rejoin(F4, 24 * HOUR), ["24h +F4 #2 event", "25h -F4 #2 event criteria"], "SB-17");
    assert_eq!(rejoin(F5, 1000), ["0h+1000ms +F5 #2 event", "1h+1000ms -F5 #2 event criteria"], "SB-18");
}

#[test]
fn sb_20_to_sb_22_a_leave_is_deferred_never_dropped() {
    let half = HOUR / 2;
    let mut person = Person::new(F13);
    person.put(T0, json!({"plan": "pro"}));
    assert_eq!(person.put(T0 + half, json!({"plan": "free"})), NONE, "SB-20");
    assert_eq!(person.state.wake_at().map(|at| at.0), Some(T0 + 2 * HOUR));
    assert_eq!(person.pass_until(T0 + 3 * HOUR), ["2h -F13 #1 reconcile criteria"], "SB-20");

    let mut person = Person::new(F13);
    person.put(T0, json!({"plan": "pro"}));
    person.put(T0 + half, json!({"plan": "free"}));
    person.put(T0 + HOUR, json!({"plan": "pro"}));
    assert_eq!(person.state.wake_at(), None, "SB-21");
    assert_eq!(person.pass_until(T0 + 3 * HOUR), NONE, "SB-21");

    let mut person = Person::new(F13);
    person.put(T0, json!({"plan": "pro"}));
    assert_eq!(person.put(T0 + 2 * HOUR, json!({"plan": "free"})), ["2h -F13 #1 event criteria"], "SB-22");
}

#[test]
fn sb_23_and_sb_24_the_longest_stay_ends_without_a_look_at_the_criteria() {
    for (limit, again) in [("unlimited", "25h +F6 #2 event"), ("once", "25h +F6 #2 event silent")] {
        let mut person = Person::new(&F6.replace("maxDwell", &format!("entryLimit: {limit}, maxDwell")));
        person.put(T0, json!({"plan": "vip"}));
        assert_eq!(person.pass_until(T0 + 24 * HOUR), ["24h -F6 #1 reconcile maxDwell"], "SB-23");
        assert_eq!(person.event(T0 + 25 * HOUR, "e", json!({"plan": "vip"})), [again], "SB-24, BK-87");
    }
}

#[test]
fn sb_26_and_sb_27_windows_end_at_their_instant() {
    let mut person = Person::new(
        "\n  - {id: week, name: Week, enabled: true, criteria: {event: e, within: 7d, exists: true}}",
    );
    assert_eq!(person.event(T0, "e", json!({})), ["0h +week #1 event"]);
    assert_eq!(person.pass_until(T0 + 7 * DAY), NONE, "a member at the boundary");
    assert_eq!(person.pass_until(T0 + 7 * DAY + 1), ["168h+1ms -week #1 reconcile criteria"], "SB-26");

    let mut person = Person::new(F10);
    let mut lines = Vec::new();
    for hour in 0..10 {
        lines.extend(person.event(T0 + hour * HOUR, "key.action", json!({})));
    }
    assert_eq!(lines, ["9h +F10 #1 event"]);
    assert_eq!(person.state.wake_at().map(|at| at.0), Some(T0 + 30 * DAY + 1), "SB-27");
    person.event(T0 + DAY, "key.action", json!({}));
    assert_eq!(
        person.pass_until(T0 + 40 * DAY),
        ["721h+1ms -F10 #1 reconcile criteria"],
        "SB-27, an eleventh"
    );
}

#[test]
fn sb_28_to_sb_30_absence_is_noticed_at_its_instant() {
    let mut person = Person::new(F7);
    person.event(T0, "app.active", json!({}));
    assert_eq!(
        person.event(T0 + 9 * DAY, "app.active", json!({})),
        ["168h+1ms +F7 #1 reconcile", "216h -F7 #1 event criteria"],
        "SB-28"
    );
    let mut never = Person::new(F7);
    never.event(T0, "other", json!({}));
    assert_eq!(never.state.wake_at(), None, "SB-29");
    let mut active = Person::new(F7);
    active.dated(T0, "app.active", T0 - 30 * DAY);
    let mut lines = active.dated(T0, "app.active", T0 - DAY);
    lines.extend(active.pass_until(T0 + DAY));
    assert_eq!(lines, ["0h -F7 #1 event criteria"], "SB-30: present in the window");
}

#[test]
fn sb_32_and_sb_33_absence_of_either_and_once() {
    let mut person = Person::new(F8);
    person.event(T0, "b", json!({}));
    let joined = person.state.stay(&mainspring_schemas::BucketId::new("F8").unwrap()).is_some();
    assert!(joined, "BK-33: absent from leg A is evaluated literally when an event looks");

    let mut person = Person::new(F9);
    person.event(T0, "x.active", json!({}));
    assert_eq!(person.pass_until(T0 + 8 * DAY), ["168h+1ms +F9 #1 reconcile"]);
    assert_eq!(person.event(T0 + 9 * DAY, "x.active", json!({})), ["216h -F9 #1 event criteria"]);
    assert_eq!(person.pass_until(T0 + 20 * DAY), ["384h+1ms +F9 #2 reconcile silent"], "SB-33");
}

#[test]
fn sb_34_to_sb_36_dates_counts_and_renewals() {
    let mut person = Person::new(F7);
    assert_eq!(person.dated(T0, "app.active", T0 - 8 * DAY), ["0h +F7 #1 event"], "SB-34");

    let mut person = Person::new(
        "\n  - {id: few, name: Few, enabled: true, criteria: {event: e, within: 7d, count: {lt: 3}}}",
    );
    let mut lines = person.event(T0, "e", json!({}));
    lines.extend(person.event(T0 + HOUR, "e", json!({})));
    lines.extend(person.event(T0 + 2 * HOUR, "e", json!({})));
    lines.extend(person.pass_until(T0 + 8 * DAY));
    assert_eq!(
        lines,
        ["0h +few #1 event", "2h -few #1 event criteria", "168h+1ms +few #2 reconcile"],
        "SB-35"
    );

    let mut person = Person::new(
        "\n  - {id: hour, name: Hour, enabled: true, fastExpiry: true, criteria: {event: e, within: 1h, exists: true}}",
    );
    person.event(T0, "e", json!({}));
    person.event(T0 + HOUR / 2, "e", json!({}));
    assert_eq!(person.pass_until(T0 + DAY), ["1h+1800001ms -hour #1 reconcile criteria"], "SB-36");
}

#[test]
fn sb_37_nobody_is_announced_as_dormant_by_the_event_that_proves_otherwise() {
    let mut person = Person::new(F7);
    person.event(T0, "app.active", json!({}));
    assert_eq!(person.late_event(T0 + 7 * DAY + 2 * HOUR, "app.active", T0 + 7 * DAY + HOUR), NONE);
}

#[test]
fn bk_155_an_overdue_leave_is_decided_at_its_due_instant_before_the_event() {
    let mut person = Person::new(
        "\n  - {id: week, name: Week, enabled: true, criteria: {event: e, within: 7d, exists: true}}",
    );
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

#[test]
fn sb_38_to_sb_41_a_first_back_fill_is_silent_and_idempotent() {
    let mut person = Person::new("\n");
    person.now = T0 - 20 * DAY;
    for hour in 0..12 {
        person.event(T0 - 10 * DAY - (11 - hour) * HOUR, "key.action", json!({}));
    }
    person.now = T0;
    person.redefine(definitions(F10), 99);
    assert_eq!(person.meet(), ["0h +F10 #1 backfill silent"], "SB-38");
    assert_eq!(person.meet(), NONE, "SB-38: a second run adds nothing");
    let stay = person.state.stay(&mainspring_schemas::BucketId::new("F10").unwrap()).cloned().unwrap();
    assert_eq!(stay.dwell_anchor_at.map(|at| at.0), Some(T0 - 10 * DAY), "SB-41");

    let mut person = Person::new("\n");
    for hour in 0..5 {
        person.event(T0 - 5 * HOUR + hour * HOUR, "ttl.action", json!({}));
    }
    person.now = T0;
    person.redefine(definitions(F11), 99);
    person.meet();
    let stay = person.state.stay(&mainspring_schemas::BucketId::new("F11").unwrap()).cloned().unwrap();
    assert_eq!(stay.max_dwell_at.map(|at| at.0), Some(T0 + 48 * HOUR), "SB-40");
}

#[test]
fn sb_44_changed_criteria_join_silently_and_leave_aloud() {
    let five = F10.replace("gte: 10", "gte: 5");
    let mut person = Person::new(F10);
    for hour in 0..7 {
        person.event(T0 + hour * HOUR, "key.action", json!({}));
    }
    person.now = T0 + DAY;
    person.redefine(definitions(&five), 50);
    assert_eq!(person.meet(), ["24h +F10 #1 backfill silent"]);
    person.now = T0 + 2 * DAY;
    person.redefine(definitions(F10), 60);
    assert_eq!(person.meet(), ["48h -F10 #1 backfill criteria"]);
}

#[test]
fn sb_45_a_historical_member_that_acts_first_is_not_announced() {
    let mut person = Person::new("\n");
    for hour in 0..12 {
        person.event(T0 + hour * HOUR, "key.action", json!({}));
    }
    person.now = T0 + DAY;
    person.redefine(definitions(F10), 50);
    assert_eq!(person.event(T0 + DAY + 1000, "key.action", json!({})), ["24h +F10 #1 backfill silent"]);
}

#[test]
fn bk_188_who_starts_to_match_after_the_activation_is_announced() {
    let mut person = Person::new("\n");
    for hour in 0..9 {
        person.event(T0 + hour * HOUR, "key.action", json!({}));
    }
    person.now = T0 + DAY;
    person.redefine(definitions(F10), 50);
    assert_eq!(person.event(T0 + DAY + 1000, "key.action", json!({})), ["24h+1000ms +F10 #1 event"]);
}

#[test]
fn sb_72_a_deleted_contact_ends_its_stays_silently_and_never_speaks_again() {
    let mut person = Person::new(F7);
    person.event(T0, "app.active", json!({}));
    person.pass_until(T0 + 8 * DAY);
    let decision = person.decide(Command::Delete, false);
    let lines: Vec<String> =
        decision.events.iter().filter_map(|(_, event)| crate::harness::line(event)).collect();
    assert_eq!(lines, ["192h -F7 #1 event deleted silent"]);
    assert_eq!(person.state.wake_at(), None);
    assert!(person.decide(Command::Wake, false).events.is_empty());
}

#[test]
fn sb_75_a_window_shorter_than_the_shortest_stay() {
    let mut person = Person::new(
        "\n  - {id: hour, name: Hour, enabled: true, minDwell: 2h, criteria: {event: e, within: 1h, exists: true}}",
    );
    person.event(T0, "e", json!({}));
    assert_eq!(person.pass_until(T0 + DAY), ["2h -hour #1 reconcile criteria"]);
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
fn bk_141_after_the_longest_stay_the_clock_alone_does_not_bring_it_back() {
    let mut person = Person::new(&F7.replace("enabled: true", "enabled: true, maxDwell: 24h"));
    person.event(T0, "app.active", json!({}));
    assert_eq!(
        person.pass_until(T0 + 60 * DAY),
        ["168h+1ms +F7 #1 reconcile", "192h+1ms -F7 #1 reconcile maxDwell"]
    );
}
