//! Joining and leaving by what arrives (SB-01..SB-14, SB-19).

use mainspring_schemas::event::ContactEvent;
use serde_json::json;

use super::{F1, F2, F10, NONE};
use crate::harness::{HOUR, Person, T0, definitions};

/// A contact that became pro while F1 was switched off: only a touch makes the bucket look.
fn pro_but_no_member() -> Person {
    let mut person = Person::new(&F1.replace("enabled: true", "enabled: false"));
    person.put(T0 - HOUR, json!({"plan": "pro"}));
    person.redefine(definitions(F1), 1);
    person.state.definitions = 1;
    person
}

/// A member of F1 since T0.
fn pro_member() -> Person {
    let mut person = Person::new(F1);
    assert_eq!(person.put(T0, json!({"plan": "pro"})), ["0h +F1 #1 event"]);
    person
}

#[test]
fn sb_01_a_qualifying_event_joins_once() {
    let mut person = pro_but_no_member();
    assert_eq!(person.event(T0, "user.updated", json!({"plan": "pro"})), ["0h +F1 #1 event"]);
}

#[test]
fn sb_02_the_same_event_again_changes_nothing() {
    let mut person = pro_but_no_member();
    person.event(T0, "user.updated", json!({"plan": "pro"}));
    let stay = super::stay(&person.state, "F1");
    assert_eq!(person.event(T0 + 60_000, "user.updated", json!({"plan": "pro"})), NONE);
    assert_eq!(super::stay(&person.state, "F1"), stay);
}

#[test]
fn sb_03_criteria_that_became_false_end_the_stay() {
    let mut person = pro_member();
    let free = json!({"plan": "free"});
    assert_eq!(
        person.event_with(T0 + 120_000, "user.updated", free.clone(), free),
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
fn sb_05_a_value_in_the_event_narrows_and_never_evaluates() {
    let mut person = pro_but_no_member();
    assert_eq!(person.event(T0, "e", json!({"plan": "free"})), ["0h +F1 #1 event"]);
}

#[test]
fn sb_06_a_value_in_the_event_does_not_end_a_stay() {
    let mut person = pro_member();
    assert_eq!(person.event(T0 + HOUR, "e", json!({"plan": "free"})), NONE);
}

#[test]
fn sb_07_a_value_in_the_event_does_not_prolong_a_stay() {
    let mut person = pro_member();
    assert_eq!(
        person.event_with(T0 + HOUR, "e", json!({"plan": "pro"}), json!({"plan": "free"})),
        ["1h -F1 #1 event criteria"]
    );
}

#[test]
fn sb_08_a_property_written_with_the_event_joins_in_the_same_turn() {
    let mut person = Person::new(F1);
    person.put(T0 - HOUR, json!({"plan": "free"}));
    assert_eq!(person.event_with(T0, "ping", json!({}), json!({"plan": "pro"})), ["0h +F1 #1 event"]);
}

#[test]
fn sb_09_a_property_taken_away_ends_the_stay_and_is_absent() {
    let absent = "
  - {id: planless, name: Planless, enabled: true, criteria: {all: [{prop: plan, exists: false}, {event: ping}]}}";
    let mut person = Person::new(&format!("{F1}{absent}"));
    person.put(T0, json!({"plan": "pro"}));
    assert_eq!(
        person.event_with(T0 + HOUR, "ping", json!({}), json!({"plan": null})),
        ["1h -F1 #1 event criteria", "1h +planless #1 event"]
    );
}

#[test]
fn sb_10_a_write_of_the_contact_joins_without_any_event() {
    let mut person = Person::new(F1);
    person.put(T0 - HOUR, json!({"name": "Ada"}));
    assert_eq!(person.put(T0, json!({"plan": "pro"})), ["0h +F1 #1 event"]);
}

#[test]
fn sb_11_the_event_itself_is_already_counted() {
    let mut person = Person::new(F2);
    assert_eq!(person.event(T0, "signup", json!({})), ["0h +F2 #1 event"]);
}

#[test]
fn sb_12_transition_events_touch_no_bucket() {
    let everyone = "
  - {id: everyone, name: Everyone, enabled: true, criteria: {type: composite, operator: and, conditions: []}}";
    let mut person = pro_but_no_member();
    person.redefine(definitions(&format!("{F1}{everyone}")), 1);
    for name in ["bucket:entered:F1", "bucket:left:F1", "bucket:entered"] {
        assert_eq!(person.event(T0, name, json!({"plan": "pro"})), NONE, "{name}");
    }
    assert_eq!(
        person.event(T0, "ping", json!({"plan": "pro"})),
        ["0h +F1 #1 event", "0h +everyone #1 event"]
    );
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
fn sb_14_numbers_and_texts_are_not_equal() {
    let five = "
  - {id: five, name: Five, enabled: true, criteria: {prop: plan, eq: 5}}";
    let mut person = Person::new(five);
    person.put(T0, json!({"plan": "5"}));
    assert_eq!(person.event(T0 + 1, "e", json!({"plan": 5})), NONE);
    assert_eq!(person.put(T0 + HOUR, json!({"plan": 5})), ["1h +five #1 event"]);
}

#[test]
fn sb_19_a_join_is_one_transition_and_no_generic_event() {
    let person = pro_member();
    let announced = |(event, _): &&(ContactEvent, _)| matches!(event, ContactEvent::BucketEntered(entered) if entered.announced);
    assert_eq!(person.history.iter().filter(announced).count(), 1);
    let recorded = |(event, _): &(ContactEvent, _)| matches!(event, ContactEvent::EventRecorded(_));
    assert!(!person.history.iter().any(recorded), "the transition is a fact of its own, not a stored event");
}
