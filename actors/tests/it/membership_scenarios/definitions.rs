//! Definitions: what loads, back-fills and changed criteria (SB-25, SB-38..SB-41, SB-43..SB-45, SB-59, SB-77).

use mainspring_actors::contact::Command;
use mainspring_schemas::definition::assemble;
use serde_json::json;

use super::{F7, F10, F11, NONE, stay};
use crate::harness::{DAY, HOUR, Person, T0, definitions, line, rules};

/// A contact without any bucket that acted so many times, hourly, the last time at `last`; now it is T0.
fn acted(event: &str, times: i64, last: i64) -> Person {
    let mut person = Person::new("\n");
    person.now = last - times * HOUR;
    for number in 1..=times {
        person.event(last - (times - number) * HOUR, event, json!({}));
    }
    person.now = T0;
    person
}

#[test]
fn sb_25_a_longest_stay_below_the_shortest_does_not_load() {
    let errors = |limits: &str| {
        let text = format!("id: b\nname: B\nenabled: true\ncriteria: {{event: e}}\n{limits}\n");
        let (_, issues) = assemble([("b.yaml".to_owned(), text)]);
        issues.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let refused = errors("maxDwell: 1h\nminDwell: 2h");
    assert!(refused.len() == 1 && refused[0].contains("error: maxDwell"), "{refused:?}");
    assert_eq!(errors("maxDwell: 2h\nminDwell: 2h"), NONE);
}

#[test]
fn sb_38_a_first_back_fill_is_silent_and_idempotent() {
    let (mut many, mut few) = (acted("key.action", 12, T0 - DAY), acted("key.action", 3, T0 - DAY));
    for person in [&mut many, &mut few] {
        person.redefine(definitions(F10), 99);
    }
    assert_eq!(many.meet(), ["0h +F10 #1 backfill silent"]);
    assert_eq!(few.meet(), NONE);
    assert_eq!((many.meet(), few.meet()), (vec![], vec![]), "a second run adds nothing");
}

#[test]
fn sb_39_a_back_filled_stay_continues_the_count_of_stays() {
    let mut person = Person::new(F10);
    for hour in 0..12 {
        person.event(T0 + hour * HOUR, "key.action", json!({}));
    }
    assert_eq!(person.pass_until(T0 + 40 * DAY), ["722h+1ms -F10 #1 reconcile criteria"]);
    person.redefine(definitions(&F10.replace("30d", "60d")), 99);
    assert_eq!(person.meet(), ["960h +F10 #2 backfill silent"]);
}

#[test]
fn sb_40_the_longest_stay_of_a_back_filled_one_runs_from_the_back_fill() {
    let mut person = acted("ttl.action", 5, T0 - DAY);
    person.redefine(definitions(F11), 99);
    assert_eq!(person.meet(), ["0h +F11 #1 backfill silent"]);
    assert_eq!(stay(&person.state, "F11").unwrap().max_dwell_at.map(|at| at.0), Some(T0 + 48 * HOUR));
}

#[test]
fn sb_41_a_back_filled_stay_is_anchored_at_the_last_action() {
    let mut person = acted("key.action", 12, T0 - 10 * DAY);
    person.redefine(definitions(F10), 99);
    person.meet();
    let stay = stay(&person.state, "F10").unwrap();
    assert_eq!(stay.dwell_anchor_at.map(|at| at.0), Some(T0 - 10 * DAY));
    assert_eq!(stay.entered_at.0, T0);
}

#[test]
fn sb_43_who_was_dormant_before_the_activation_joins_silently_who_turns_dormant_after_it_does_not() {
    let (mut before, mut after) = (acted("app.active", 1, T0 - 30 * DAY), acted("app.active", 1, T0 - DAY));
    for person in [&mut before, &mut after] {
        person.redefine(definitions(F7), 99);
        person.now = T0 + HOUR;
    }
    // A look by the clock that comes before the back-fill decides as of the activation too.
    let looked = before.decide(Command::Wake, false).events;
    let lines: Vec<String> = looked.iter().filter_map(|(_, event)| line(event)).collect();
    assert_eq!(lines, ["0h +F7 #1 backfill silent"]);
    assert_eq!(before.meet(), NONE);
    assert_eq!(after.meet(), NONE);
    assert_eq!(after.pass_until(T0 + 30 * DAY), ["144h+1ms +F7 #1 reconcile"]);
}

#[test]
fn sb_44_changed_criteria_join_silently_and_leave_aloud() {
    let five = F10.replace("gte: 10", "gte: 5");
    let reordered = F10.replace(
        "{event: key.action, within: 30d, count: {gte: 10}}",
        "{count: {gte: 10}, within: 30d, event: key.action}",
    );
    let (mut seven, mut twelve) = (Person::new(F10), Person::new(F10));
    for hour in 0..12 {
        twelve.event(T0 + hour * HOUR, "key.action", json!({}));
        if hour < 7 {
            seven.event(T0 + hour * HOUR, "key.action", json!({}));
        }
    }
    let hash = |text: &str| definitions(text)[0].criteria_hash();
    for (day, text, lines) in [
        (1, five.as_str(), vec!["24h +F10 #1 backfill silent"]),
        (2, F10, vec!["48h -F10 #1 backfill criteria"]),
    ] {
        for person in [&mut seven, &mut twelve] {
            person.now = T0 + day * DAY;
            person.redefine(definitions(text), 50 + day as u64);
        }
        assert_eq!(seven.meet(), lines);
        assert_eq!(twelve.meet(), NONE, "who matches before and after is untouched");
    }
    assert_eq!(hash(&reordered), hash(F10), "the same criteria in another spelling are no change");
    assert_ne!(hash(&five), hash(F10));
}

#[test]
fn sb_45_a_historical_member_that_acts_first_is_not_announced() {
    let mut person = acted("key.action", 12, T0 - DAY);
    person.redefine(definitions(F10), 50);
    assert_eq!(person.event(T0 + 1000, "key.action", json!({})), ["0h +F10 #1 backfill silent"]);
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

/// A bucket was off until an instant, and the contact was decided by that definition once more after it.
fn switched_on_too_late() -> Person {
    let bucket = |on: bool, revision: u64, at: i64| {
        let yaml = format!("\n  - {{id: b, name: B, enabled: {on}, criteria: {{prop: plan, eq: pro}}}}");
        rules(definitions(&yaml), revision, at)
    };
    let mut person = Person::with(bucket(false, 1, T0 - DAY));
    person.put(T0 - HOUR, json!({}));
    person.now = T0 + 5;
    person.put(T0 + 5, json!({"plan": "pro"}));
    person.rules = bucket(true, 2, T0 + 1);
    person
}

#[test]
fn bk_188_bk_200_whoever_acts_while_a_bucket_is_switched_on_is_decided_by_it() {
    let mut there_before = switched_on_too_late();
    assert_eq!(there_before.meet(), ["0h+5ms +b #1 backfill silent"], "not before it matched");
    let mut came_meanwhile = Person::with(switched_on_too_late().rules);
    let on = std::mem::replace(&mut came_meanwhile.rules, Person::new("\n").rules);
    came_meanwhile.put(T0 + 5, json!({"plan": "pro"}));
    came_meanwhile.rules = on;
    assert_eq!(came_meanwhile.meet(), ["0h+5ms +b #1 backfill silent"]);
    assert_eq!(came_meanwhile.meet(), NONE);
}

#[test]
fn bk_201_what_timed_out_while_a_bucket_was_off_ends_when_it_is_on_again() {
    let bucket = |on: bool| {
        definitions(&format!(
            "\n  - {{id: b, name: B, enabled: {on}, maxDwell: 2h, criteria: {{prop: plan, eq: pro}}}}"
        ))
        .remove(0)
    };
    let mut person = Person::with(rules(vec![bucket(true)], 1, T0 - DAY));
    person.put(T0, json!({"plan": "pro"}));
    person.pass_until(T0 + HOUR);
    assert_eq!(person.change(0, bucket(false)), NONE);
    assert_eq!(person.pass_until(T0 + 5 * HOUR), NONE);
    assert_eq!(person.change(0, bucket(true)), ["5h -b #1 reconcile maxDwell"]);
}

#[test]
fn sb_59_two_buckets_of_one_id_do_not_load() {
    let file = |name: &str| {
        (format!("{name}.yaml"), format!("id: same\nname: {name}\nenabled: true\ncriteria: {{event: e}}\n"))
    };
    let (_, issues) = assemble([file("one"), file("two")]);
    let errors: Vec<String> =
        issues.iter().filter(|issue| issue.is_error()).map(ToString::to_string).collect();
    assert!(errors.len() == 1 && errors[0].contains("same"), "{errors:?}");
}

#[test]
fn sb_77_of_nothing_all_holds_for_everyone_and_any_for_no_one() {
    let composite = |operator: &str| {
        format!(
            "\n  - {{id: {operator}, name: Empty, enabled: true, \
             criteria: {{type: composite, operator: {operator}, conditions: []}}}}"
        )
    };
    let mut person = Person::new(&format!("{}{}", composite("and"), composite("or")));
    assert_eq!(person.event(T0, "whatever", json!({})), ["0h +and #1 event"]);
}
