//! The dwell scenarios of buckets.md, section 22, as far as they concern one contact's turns.

use mainspring_actors::contact::{Call, Command, ContactState, Outcome, Taken};
use mainspring_schemas::{
    BucketId, ContactId, Timestamp,
    event::contact::Via,
    identity::{IdentityKey, KeyKind},
};
use serde_json::json;
use uuid::Uuid;

use crate::harness::{DAY, HOUR, Person, T0, definitions, line};

const NONE: [&str; 0] = [];

/// F12 with these schedules, such as `after: 7d`, and further options.
fn f12_with(options: &str, schedules: &[&str]) -> String {
    let reactions: Vec<String> = schedules
        .iter()
        .map(|schedule| format!("{{on: dwell, {schedule}, do: [{{set: {{dwelled: true}}}}]}}"))
        .collect();
    format!(
        "\n  - {{id: F12, name: X, enabled: true, {options} criteria: {{prop: plan, eq: x}}, reactions: [{}]}}",
        reactions.join(", ")
    )
}

fn f12(schedules: &[&str]) -> String {
    f12_with("", schedules)
}

/// A person who entered F12 at an instant, and was not looked at since.
fn member(yaml: &str, since: i64) -> Person {
    let mut person = Person::new(yaml);
    person.now = since;
    person.put(since, json!({"plan": "x"}));
    person
}

/// Only the dwells of some lines.
fn dwells(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().filter(|line| line.contains('~')).collect()
}

fn transitions(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().filter(|line| line.contains(['~', '+', '|']) || line.contains(" -F")).collect()
}

fn bucket() -> BucketId {
    BucketId::new("F12").unwrap()
}

#[test]
fn sb_46_after_fires_once_however_often_anybody_looks() {
    let mut person = member(&f12(&["after: 7d"]), T0 - 10 * DAY);
    assert_eq!(dwells(person.late_wake(T0)), ["-72h ~F12 #1 after-604800000 x1"]);
    assert_eq!(person.late_wake(T0), NONE);
    for from_a_snapshot in [true, false] {
        person.restart(from_a_snapshot);
        assert_eq!(person.late_wake(T0 + DAY), NONE, "BK-133: a restart adds nothing");
    }
    assert_eq!(person.state.wake_at(), None);
}

#[test]
fn sb_47_only_an_uninterrupted_stay_dwells() {
    let mut left = member(&f12(&["after: 7d"]), T0 - 10 * DAY);
    left.now = T0 - DAY;
    let mut again = member(&f12(&["after: 7d"]), T0 - 4 * DAY);
    again.put(T0 - 2 * DAY, json!({"plan": "y"}));
    again.put(T0 - DAY, json!({"plan": "x"}));
    let mut away = member(&f12(&["after: 7d"]), T0 - 5 * DAY);
    away.put(T0 - DAY, json!({"plan": "y"}));
    assert_eq!(dwells(again.late_wake(T0)), NONE, "it began anew");
    assert_eq!(dwells(away.late_wake(T0 + 30 * DAY)), NONE, "it is over");
    assert_eq!(away.state.wake_at(), None);
    assert_eq!(dwells(left.late_wake(T0)), ["-72h ~F12 #1 after-604800000 x1"]);
}

#[test]
fn sb_48_bk_134_a_leave_at_the_same_instant_or_before_wins() {
    let yaml = f12_with("maxDwell: 7d,", &["after: 7d"]);
    let mut person = member(&yaml, T0);
    assert_eq!(transitions(person.pass_until(T0 + 10 * DAY)), ["168h -F12 #1 reconcile maxDwell"]);

    let yaml = f12_with("maxDwell: 8d,", &["after: 7d"]);
    let mut punctual = member(&yaml, T0);
    assert_eq!(
        transitions(punctual.pass_until(T0 + 10 * DAY)),
        ["168h ~F12 #1 after-604800000 x1", "192h -F12 #1 reconcile maxDwell"]
    );
    let mut late = member(&yaml, T0);
    assert_eq!(
        transitions(late.late_wake(T0 + 10 * DAY)),
        ["192h -F12 #1 reconcile maxDwell"],
        "P: past its end when it was looked at"
    );
    let mut member = member(&yaml, T0);
    assert_eq!(dwells(member.late_wake(T0 + 7 * DAY + HOUR)), ["168h ~F12 #1 after-604800000 x1"], "Q");
}

#[test]
fn bk_134_criteria_that_end_at_the_instant_of_a_dwell_win() {
    let yaml = "\n  - {id: F12, name: X, enabled: true, criteria: {event: e, within: 1h, exists: true}, reactions: [{on: dwell, after: {seconds: 3600.001}, do: [{set: {a: 1}}]}]}";
    let mut person = Person::new(yaml);
    person.event(T0, "e", json!({}));
    assert_eq!(person.pass_until(T0 + DAY), ["1h+1ms -F12 #1 reconcile criteria"]);
    let mut imported = Person::new(yaml);
    imported.imported_event(T0, "e");
    assert_eq!(imported.imported_event(T0 + DAY, "other"), ["1h+1ms -F12 #1 reconcile criteria"]);
}

#[test]
fn sb_49_every_keeps_to_the_grid_and_catches_up_once() {
    let mut person = member(&f12(&["every: 1h"]), T0);
    assert_eq!(dwells(person.late_wake(T0 + 2 * HOUR)), ["2h ~F12 #1 every-3600000 x2"]);
    assert_eq!(person.late_wake(T0 + 2 * HOUR + HOUR / 2), NONE);
    assert_eq!(dwells(person.late_wake(T0 + 3 * HOUR)), ["3h ~F12 #1 every-3600000 x3"]);
    let late = person.late_wake(T0 + 6 * HOUR + 10 * 60_000);
    assert_eq!(dwells(late), ["6h ~F12 #1 every-3600000 x6"]);
    assert_eq!(person.state.wake_at(), Some(Timestamp(T0 + 7 * HOUR)), "on the grid, not an hour later");
}

#[test]
fn sb_49_on_the_datas_own_clock_every_fire_has_its_instant() {
    let mut person = Person::new(&f12(&["every: 1h"]));
    person.now = T0;
    person.put(T0, json!({"plan": "x"}));
    let expected =
        ["1h ~F12 #1 every-3600000 x1", "2h ~F12 #1 every-3600000 x2", "3h ~F12 #1 every-3600000 x3"];
    assert_eq!(dwells(person.imported_event(T0 + 3 * HOUR + 5, "e")), expected);
}

#[test]
fn sb_50_bk_135_nobody_dwells_before_the_first_back_fill_is_through() {
    let mut person = Person::new(&f12(&["after: 7d"]));
    let mut open = person.rules.clone();
    person.rules.rules[0].dwell.clear();
    person.now = T0 - 10 * DAY;
    person.put(T0 - 10 * DAY, json!({"plan": "x"}));
    assert_eq!(person.state.wake_at(), None, "nothing waits in the past");
    assert_eq!(person.late_wake(T0), NONE, "held");
    open.revision += 1;
    open.rules[0].dwell[0].since = Timestamp(T0);
    person.rules = open;
    assert_eq!(dwells(person.meet()), ["0h ~F12 #1 after-604800000 x1"], "dated when it became possible");
    assert_eq!(person.late_wake(T0 + DAY), NONE);
}

#[test]
fn sb_51_the_historical_anchor_counts() {
    let dormant = "\n  - {id: F12, name: X, enabled: true, criteria: {event: e, within: 60d, exists: true}, reactions: [{on: dwell, after: 7d, do: [{set: {a: 1}}]}]}";
    let mut person = Person::new("\n");
    person.now = T0 - 30 * DAY;
    person.event(T0 - 30 * DAY, "e", json!({}));
    person.now = T0;
    person.redefine(definitions(dormant), 9);
    let lines = person.meet();
    assert_eq!(lines[0], "0h +F12 #1 backfill silent");
    assert_eq!(dwells(lines), ["0h ~F12 #1 after-604800000 x1"], "since T0 - 30 d");
    let mut young = member(&f12(&["after: 7d"]), T0 - DAY);
    assert_eq!(young.late_wake(T0), NONE);
    let mut old = member(&f12(&["after: 7d"]), T0 - 10 * DAY);
    assert_eq!(dwells(old.late_wake(T0)), ["-72h ~F12 #1 after-604800000 x1"]);
}

#[test]
fn sb_52_bk_136_a_dwell_alone_arms_the_timer_and_is_no_expiry() {
    let person = member(&f12(&["after: 7d"]), T0);
    assert_eq!(person.state.wake_at(), Some(Timestamp(T0 + 7 * DAY)));
    assert_eq!(person.state.view().stays[0].expires_at, None, "a dwell ends nothing");
}

#[test]
fn sb_53_bk_130_a_second_stay_dwells_afresh() {
    let mut person = member(&f12(&["after: 7d", "every: 5d"]), T0);
    let mut lines = person.put(T0 + 8 * DAY, json!({"plan": "y"}));
    lines.extend(person.put(T0 + 9 * DAY, json!({"plan": "x"})));
    lines.extend(person.pass_until(T0 + 17 * DAY));
    assert_eq!(
        dwells(lines),
        [
            "120h ~F12 #1 every-432000000 x1",
            "168h ~F12 #1 after-604800000 x1",
            "336h ~F12 #2 every-432000000 x1",
            "384h ~F12 #2 after-604800000 x1",
        ]
    );
}

#[test]
fn sb_23_and_sb_24_the_longest_stay_ends_the_dwelling_too() {
    let mut person = member(&f12_with("maxDwell: 24h,", &["every: 10h"]), T0);
    assert_eq!(
        transitions(person.pass_until(T0 + 24 * HOUR)),
        ["10h ~F12 #1 every-36000000 x1", "20h ~F12 #1 every-36000000 x2", "24h -F12 #1 reconcile maxDwell",],
        "SB-23"
    );
    let mut lines = person.event(T0 + 25 * HOUR, "e", json!({"plan": "x"}));
    lines.extend(person.pass_until(T0 + 36 * HOUR));
    assert_eq!(transitions(lines), ["25h +F12 #2 event", "35h ~F12 #2 every-36000000 x1"], "SB-24");
}

#[test]
fn bk_155_the_event_that_proves_otherwise_speaks_before_an_overdue_dwell() {
    let yaml = "\n  - {id: F7, name: Dormant, enabled: true, criteria: {all: [{event: app.active, exists: true}, {event: app.active, within: 7d, exists: false}]}, reactions: [{on: dwell, after: 30d, do: [{send: {name: thirty_days_away}}]}]}";
    let mut person = Person::new(yaml);
    person.event(T0, "app.active", json!({}));
    person.pass_until(T0 + 8 * DAY);
    assert_eq!(
        person.late_event(T0 + 40 * DAY, "app.active", T0 + 40 * DAY),
        ["960h -F7 #1 event criteria"],
        "no dwell for somebody who is back"
    );
    let mut away = Person::new(yaml);
    away.event(T0, "app.active", json!({}));
    away.pass_until(T0 + 8 * DAY);
    assert_eq!(
        away.late_event(T0 + 40 * DAY, "other", T0 + 40 * DAY),
        [
            "888h+1ms ~F7 #1 after-2592000000 x1",
            "960h bucket-F7-on-dwell-after-2592000000 ran",
            "960h send thirty_days_away",
        ],
        "due then; what follows is decided after the event"
    );
}

#[test]
fn bk_133_all_schedules_of_one_instant_fire_in_definition_order() {
    let mut person = member(&f12(&["every: 2h", "after: 4h", "every: 1h"]), T0);
    assert_eq!(
        dwells(person.pass_until(T0 + 4 * HOUR)),
        [
            "1h ~F12 #1 every-3600000 x1",
            "2h ~F12 #1 every-7200000 x1",
            "2h ~F12 #1 every-3600000 x2",
            "3h ~F12 #1 every-3600000 x3",
            "4h ~F12 #1 every-7200000 x2",
            "4h ~F12 #1 after-14400000 x1",
            "4h ~F12 #1 every-3600000 x4",
        ]
    );
}

#[test]
fn bk_138_a_schedule_that_comes_later_fires_once_at_its_activation() {
    let mut person = member(&f12(&["after: 90d"]), T0 - 10 * DAY);
    person.now = T0;
    let mut rules = Person::new(&f12(&["after: 90d", "after: 7d", "every: 1d"])).rules;
    rules.revision = 2;
    rules.rules[0].dwell[1].since = Timestamp(T0);
    rules.rules[0].dwell[2].since = Timestamp(T0);
    person.rules = rules;
    assert_eq!(
        dwells(person.meet()),
        ["0h ~F12 #1 after-604800000 x1", "0h ~F12 #1 every-86400000 x10"],
        "whatever was missed"
    );
    assert_eq!(person.state.wake_at(), Some(Timestamp(T0 + DAY)), "the grid is that of the stay");
}

#[test]
fn bk_201_a_bucket_that_was_switched_off_catches_up_once() {
    let yaml = f12(&["every: 1h"]);
    let mut person = member(&yaml, T0);
    person.rules.rules[0].enabled = false;
    person.rules.revision = 2;
    assert_eq!(person.late_wake(T0 + HOUR), NONE, "off");
    assert_eq!(person.state.wake_at(), None, "nothing waits in the past");
    person.now = T0 + 5 * HOUR + 1;
    person.redefine(definitions(&yaml), 3);
    assert_eq!(dwells(person.meet()), ["5h+1ms ~F12 #1 every-3600000 x5"], "one fire, when it came back");
}

#[test]
fn bk_142_a_longest_stay_that_comes_later_gives_members_an_end() {
    let mut old = member(&f12(&[]), T0 - 10 * DAY);
    let mut young = member(&f12(&[]), T0 - DAY);
    for person in [&mut old, &mut young] {
        person.now = T0;
        person.rules = Person::new(&f12_with("maxDwell: 7d,", &[])).rules;
        person.rules.revision = 2;
        person.rules.rules[0].max_dwell_since = Timestamp(T0);
    }
    assert_eq!(
        old.meet(),
        ["0h |F12 #1 0h", "0h -F12 #1 reconcile maxDwell"],
        "max(A, enteredAt + maxDwell)"
    );
    assert_eq!(young.meet(), ["0h |F12 #1 144h"]);
    assert_eq!(young.state.view().stays[0].expires_at, Some(Timestamp(T0 + 6 * DAY)));
    young.restart(false);
    young.rules = Person::new(&f12_with("maxDwell: 30d,", &[])).rules;
    young.rules.revision = 3;
    assert_eq!(young.meet(), NONE, "a changed maxDwell moves nothing");
    assert_eq!(young.pass_until(T0 + 10 * DAY), ["144h -F12 #1 reconcile maxDwell"]);
}

/// `survivor` absorbs `loser` at the survivor's now.
fn absorb(survivor: &mut Person, loser: &Person, loser_key: &str) -> Vec<String> {
    let key = |value: &str| IdentityKey::new(KeyKind::External, value).unwrap();
    let mut state: ContactState = loser.state.clone();
    for held in &mut state.keys {
        held.key = key(loser_key);
    }
    let taken =
        Taken { contact: ContactId(Uuid::from_u128(0xd0)), version: state.version, state: Box::new(state) };
    let call = Call {
        keys: vec![key("u1"), key(loser_key)],
        unowned: vec![],
        designated: false,
        losers: vec![taken],
        conflicts: vec![],
        patch: Default::default(),
        event: None,
        via: Via::Attached,
    };
    let decision = survivor.decide(Command::Call(Box::new(call)), false);
    assert!(matches!(decision.outcome, Outcome::Done { merged: true, .. }), "{decision:?}");
    decision.events.iter().filter_map(|(_, event)| line(event)).collect()
}

#[test]
fn sb_66_bk_240_a_stay_that_moves_keeps_its_clocks_and_what_it_fired() {
    let yaml = f12(&["every: 1h", "after: 2h"]);
    let mut loser = member(&yaml, T0);
    loser.pass_until(T0 + 2 * HOUR);
    let mut survivor = Person::new(&yaml);
    survivor.put(T0, json!({"name": "s"}));
    survivor.now = T0 + 2 * HOUR + 1;
    assert_eq!(absorb(&mut survivor, &loser, "u2"), NONE, "nothing is fired twice");
    survivor.restart(false);
    assert_eq!(dwells(survivor.pass_until(T0 + 3 * HOUR)), ["3h ~F12 #1 every-3600000 x3"]);
    assert_eq!(survivor.state.stay(&bucket()).unwrap().entered_at, Timestamp(T0));
}

#[test]
fn sb_66_what_the_losers_clock_missed_is_decided_with_the_merge() {
    let yaml = f12_with("maxDwell: 5h,", &["every: 1h"]);
    let mut survivor = Person::new(&yaml);
    survivor.put(T0, json!({"name": "s"}));
    survivor.now = T0 + 3 * HOUR + 1;
    let lines = absorb(&mut survivor, &member(&yaml, T0), "u2");
    assert_eq!(dwells(lines), ["3h ~F12 #1 every-3600000 x3"]);
    let mut survivor = Person::new(&yaml);
    survivor.put(T0, json!({"name": "s"}));
    survivor.now = T0 + 6 * HOUR;
    let lines = absorb(&mut survivor, &member(&yaml, T0), "u2");
    assert_eq!(transitions(lines), ["5h -F12 #1 reconcile maxDwell"], "the leave wins");
}

#[test]
fn bk_240_a_deferred_leave_that_the_loser_missed_comes_with_the_merge() {
    let yaml = f12_with("minDwell: 2h,", &["every: 150m"]);
    let mut loser = member(&yaml, T0);
    loser.put(T0 + HOUR, json!({"plan": null}));
    let mut survivor = Person::new(&yaml);
    survivor.put(T0, json!({"name": "s"}));
    survivor.now = T0 + 3 * HOUR;
    assert_eq!(
        absorb(&mut survivor, &loser, "u2"),
        ["3h -F12 #1 event criteria"],
        "though nothing of the merge names a property of the criteria, and no dwell before it"
    );
}
