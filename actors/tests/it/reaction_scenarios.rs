//! What buckets do at transitions (BK-120..BK-125).

use mainspring_actors::contact::Policy;
use mainspring_schemas::{BucketId, RecordId, Timestamp, event::ContactEvent};
use serde_json::{Value, json};

use crate::harness::{DAY, HOUR, Person, T0, definitions, line};

const NONE: [&str; 0] = [];

/// A bucket of those whose `plan` is the given one, with these reactions.
fn plan(id: &str, plan: &str, options: &str, reactions: &[&str]) -> String {
    format!(
        "\n  - {{id: {id}, name: {id}, enabled: true, {options} criteria: {{prop: plan, eq: {plan}}}, reactions: [{}]}}",
        reactions.join(", ")
    )
}

fn put(yaml: &str, patch: Value) -> Vec<String> {
    Person::new(yaml).put(T0, patch)
}

fn is_member(person: &Person, bucket: &str) -> bool {
    person.state.stay(&BucketId::new(bucket).unwrap()).is_some()
}

const PRO: &str = "\n  - {id: pro, name: Pro, enabled: true, criteria: {prop: plan, eq: pro}, reactions: [
      {on: enter, do: [{set: {lifecycle: customer, trialEndsAt: null}}, {track: {event: became_pro, properties: {via: bucket}}}, {send: {name: welcome, data: {any: [1, null]}}}]},
      {on: leave, do: [{track: {event: gone}}]}]}";

#[test]
fn bk_120_actions_run_in_order_right_after_their_transition() {
    let mut person = Person::new(PRO);
    person.put(T0 - HOUR, json!({"trialEndsAt": "soon"}));
    assert_eq!(
        person.put(T0, json!({"plan": "pro"})),
        [
            "0h +pro #1 event",
            "0h bucket-pro-on-enter ran",
            "0h set {\"lifecycle\":\"customer\"} -trialEndsAt",
            "0h track became_pro",
            "0h send welcome",
        ]
    );
    assert_eq!(
        Value::Object(person.state.properties.clone()),
        json!({"plan": "pro", "lifecycle": "customer"})
    );
    assert_eq!(person.state.occurrences.of("became_pro"), [Timestamp(T0)]);
    assert_eq!(
        person.put(T0 + HOUR, json!({"plan": "free"})),
        ["1h -pro #1 event criteria", "1h bucket-pro-on-leave ran", "1h track gone"]
    );
    assert_eq!(
        person.put(T0 + 2 * HOUR, json!({"plan": "pro"})),
        ["2h +pro #2 event", "2h bucket-pro-on-enter ran", "2h track became_pro", "2h send welcome"],
        "what is so already is no change"
    );
    for from_a_snapshot in [true, false] {
        person.restart(from_a_snapshot);
    }
}

#[test]
fn bk_120_a_reaction_is_not_the_customer_being_seen() {
    let mut person = Person::new(&plan(
        "pro",
        "pro",
        "",
        &["{on: dwell, after: 1d, do: [{set: {a: 1}}, {track: {event: e}}]}"],
    ));
    person.put(T0, json!({"plan": "pro"}));
    person.pass_until(T0 + 2 * DAY);
    assert_eq!(person.state.occurrences.of("e"), [Timestamp(T0 + DAY)]);
    assert_eq!((person.state.last_seen_at, person.state.updated_at), (Timestamp(T0), Timestamp(T0 + DAY)));
}

/// The `data` of the newest announcement.
fn sent(person: &Person) -> Value {
    let data = person.history.iter().rev().find_map(|(event, _)| match event {
        ContactEvent::Announced(announced) if announced.outbound_type == "bucket.reaction" => {
            Some(Value::Object(announced.data.clone()))
        }
        _ => None,
    });
    data.unwrap()
}

#[test]
fn a_message_says_everything_about_its_transition() {
    let yaml = plan(
        "vip",
        "vip",
        "maxDwell: 3h,",
        &[
            "{on: enter, do: [{send: {name: in, data: {any: {json: true}}}}]}",
            "{on: dwell, every: 1h, do: [{send: {name: stays}}]}",
            "{on: leave, do: [{send: {name: out}}]}",
        ],
    );
    let mut person = Person::new(&yaml);
    person.put(T0, json!({"plan": "vip"}));
    let common = |name: &str, reaction: &str, transition: &str, source: &str| {
        json!({
            "name": name, "reaction": reaction, "bucketId": "vip", "bucketName": "vip", "userId": "u1",
            "userEmail": null, "transition": transition, "entryCount": 1, "source": source,
        })
    };
    let with = |mut common: Value, key: &str, value: Value| {
        common[key] = value;
        common
    };
    let entered = common("in", "bucket-vip-on-enter", "entered", "event");
    let entered = with(entered, "isFirstEntry", json!(true));
    assert_eq!(sent(&person), with(entered, "data", json!({"any": {"json": true}})), "SB-54");
    person.pass_until(T0 + 2 * HOUR);
    let dwelled = common("stays", "bucket-vip-on-dwell-every-3600000", "dwell", "reconcile");
    assert_eq!(sent(&person), with(with(dwelled, "data", json!({})), "dwellCount", json!(2)));
    person.pass_until(T0 + 3 * HOUR);
    let left = common("out", "bucket-vip-on-leave", "left", "reconcile");
    assert_eq!(sent(&person), with(with(left, "data", json!({})), "reason", json!("maxDwell")));
}

#[test]
fn sb_54_first_entry_only_leaves_later_stays_out() {
    let yaml = plan("pro", "pro", "", &["{on: enter, firstEntryOnly: true, do: [{track: {event: e}}]}"]);
    let mut person = Person::new(&yaml);
    assert_eq!(
        person.put(T0, json!({"plan": "pro"})),
        ["0h +pro #1 event", "0h bucket-pro-on-enter ran", "0h track e"]
    );
    person.put(T0 + HOUR, json!({"plan": null}));
    assert_eq!(
        person.put(T0 + 2 * HOUR, json!({"plan": "pro"})),
        ["2h +pro #2 event", "2h bucket-pro-on-enter filtered"]
    );
}

#[test]
fn sb_55_reasons_leave_other_leaves_out() {
    for (reason, outcome) in [("maxDwell", "filtered"), ("[criteria, maxDwell]", "ran"), ("criteria", "ran")]
    {
        let reaction = format!("{{on: leave, reason: {reason}, do: [{{set: {{a: 1}}}}]}}");
        let mut person = Person::new(&plan("pro", "pro", "", &[&reaction]));
        person.put(T0, json!({"plan": "pro"}));
        let lines = person.put(T0 + HOUR, json!({"plan": "free"}));
        assert_eq!(lines[1], format!("1h bucket-pro-on-leave {outcome}"), "{reason}");
    }
}

#[test]
fn bk_86_silent_transitions_set_nothing_off() {
    let reactions = ["{on: enter, do: [{track: {event: e}}]}", "{on: leave, do: [{track: {event: f}}]}"];
    let yaml = plan("pro", "pro", "entryLimit: once,", &reactions);
    let mut person = Person::new(&yaml);
    person.put(T0, json!({"plan": "pro"}));
    person.put(T0 + HOUR, json!({"plan": "free"}));
    assert_eq!(person.put(T0 + 2 * HOUR, json!({"plan": "pro"})), ["2h +pro #2 event silent"]);
    assert_eq!(
        person.put(T0 + 3 * HOUR, json!({"plan": "free"})),
        ["3h -pro #2 event criteria", "3h bucket-pro-on-leave ran", "3h track f"],
        "its leave is announced"
    );
    let mut filled = Person::new("\n");
    filled.put(T0, json!({"plan": "pro"}));
    filled.now = T0 + HOUR;
    filled.redefine(definitions(&yaml), 9);
    assert_eq!(filled.meet(), ["1h +pro #1 backfill silent"], "BK-182");
}

#[test]
fn bk_184_a_leave_by_changed_criteria_sets_reactions_off() {
    let yaml = plan("pro", "pro", "", &["{on: leave, do: [{set: {was: pro}}]}"]);
    let watcher = "\n  - {id: was, name: Was, enabled: true, criteria: {prop: was, eq: pro}}";
    let mut person = Person::new(&format!("{yaml}{watcher}"));
    person.put(T0, json!({"plan": "pro"}));
    person.now = T0 + DAY;
    person.redefine(definitions(&format!("{}{watcher}", yaml.replace("eq: pro", "eq: max"))), 9);
    person.rules.rules[1].activated_position = 1;
    assert_eq!(
        person.meet(),
        [
            "24h -pro #1 backfill criteria",
            "24h bucket-pro-on-leave ran",
            "24h set {\"was\":\"pro\"}",
            "24h +was #1 event",
        ]
    );
}

#[test]
fn bk_43_what_a_reaction_changes_is_decided_in_the_same_turn() {
    let first =
        plan("first", "pro", "", &["{on: enter, do: [{set: {tier: 1}}, {track: {event: promoted}}]}"]);
    let yaml = format!(
        "
  - {{id: early, name: Early, enabled: true, criteria: {{prop: tier, eq: 1}}, reactions: [{{on: enter, do: [{{set: {{early: true}}}}]}}]}}{first}
  - {{id: events, name: Events, enabled: true, criteria: {{event: promoted}}}}
  - {{id: chain, name: Chain, enabled: true, criteria: {{prop: early, eq: true}}}}"
    );
    assert_eq!(
        put(&yaml, json!({"plan": "pro"})),
        [
            "0h +first #1 event",
            "0h bucket-first-on-enter ran",
            "0h set {\"tier\":1}",
            "0h track promoted",
            "0h +early #1 event",
            "0h bucket-early-on-enter ran",
            "0h set {\"early\":true}",
            "0h +events #1 event",
            "0h +chain #1 event",
        ]
    );
}

#[test]
fn a_clock_driven_transition_reacts_at_its_due_instant() {
    let yaml = "
  - {id: week, name: Week, enabled: true, criteria: {event: e, within: 7d, exists: true}, reactions: [{on: leave, do: [{track: {event: lapsed}}]}]}
  - {id: lapsed, name: Lapsed, enabled: true, criteria: {event: lapsed, within: 1d, exists: true}}";
    let mut person = Person::new(yaml);
    person.event(T0, "e", json!({}));
    let expected = [
        "168h+1ms -week #1 reconcile criteria",
        "168h+1ms bucket-week-on-leave ran",
        "168h+1ms track lapsed",
        "168h+1ms +lapsed #1 event",
        "192h+2ms -lapsed #1 reconcile criteria",
    ];
    let mut late = Person::new(yaml);
    late.event(T0, "e", json!({}));
    assert_eq!(person.pass_until(T0 + 30 * DAY), expected);
    assert_eq!(late.late_wake(T0 + 30 * DAY), expected, "however late");
}

#[test]
fn a_bucket_that_sets_itself_off_ends_after_eight_generations() {
    let reactions = ["{on: enter, do: [{set: {plan: b}}]}", "{on: leave, do: [{set: {plan: a}}]}"];
    let mut person = Person::new(&plan("flips", "a", "", &reactions));
    let lines = person.put(T0, json!({"plan": "a"}));
    let outcomes: Vec<&str> = lines
        .iter()
        .filter(|line| line.contains("bucket-flips"))
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(outcomes, ["ran", "ran", "ran", "ran", "ran", "ran", "ran", "ran", "cascade"], "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "0h bucket-flips-on-enter cascade", "nothing follows");
    assert!(is_member(&person, "flips") && person.state.properties["plan"] == json!("a"));
    person.restart(false);
    assert_eq!(person.late_wake(T0 + DAY), NONE, "it does not go on by itself");
}

#[test]
fn membership_is_right_however_buckets_set_each_other_off() {
    for size in 2..7 {
        // A ring through one property: entering one makes the contact leave it for the next.
        let bucket = |n: usize| {
            let reaction = format!("{{on: enter, do: [{{set: {{plan: p{}}}}}]}}", (n + 1) % size);
            plan(&format!("b{n}"), &format!("p{n}"), "", &[&reaction])
        };
        for yaml in [(0..size).map(bucket).collect::<String>(), (0..size).rev().map(bucket).collect()] {
            let mut person = Person::new(&yaml);
            let lines = person.put(T0, json!({"plan": "p0"}));
            assert!(lines.len() < 100, "{lines:#?}");
            for n in 0..size {
                let holds = person.state.properties["plan"] == json!(format!("p{n}"));
                assert_eq!(is_member(&person, &format!("b{n}")), holds, "b{n} of {size}: {lines:#?}");
            }
        }
    }
}

#[test]
fn properties_beyond_the_limit_are_refused_as_a_whole() {
    let reaction =
        "{on: enter, do: [{track: {event: e}}, {set: {big: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}}]}";
    let mut person = Person::new(&plan("pro", "pro", "", &[reaction]));
    person.policy.max_properties = 40;
    assert_eq!(
        person.put(T0, json!({"plan": "pro"})),
        ["0h +pro #1 event", "0h bucket-pro-on-enter refused"]
    );
    assert!(person.state.occurrences.of("e").is_empty());
    assert_eq!(Value::Object(person.state.properties.clone()), json!({"plan": "pro"}));
}

#[test]
fn what_a_reaction_does_names_its_cause() {
    let watcher = "\n  - {id: late, name: Late, enabled: true, criteria: {prop: lifecycle, eq: customer}}";
    let mut person = Person::new(&format!("{PRO}{watcher}"));
    let key = person.put(T0 - HOUR, json!({"ok": 1}));
    assert_eq!(key, NONE);
    let before = person.history.len();
    let decision = person.call_decision(json!({"plan": "pro"}));
    let named = |text: &str| {
        let found =
            decision.events.iter().find(|(_, event)| line(event).is_some_and(|line| line.contains(text)));
        found.unwrap_or_else(|| panic!("{text}")).0
    };
    let cause = |id: RecordId| decision.causes.get(&id).copied();
    let join = named("+pro");
    assert_eq!(cause(join), None, "the call");
    for effect in ["bucket-pro-on-enter", "set", "track", "send"] {
        assert_eq!(cause(named(effect)), Some(join), "{effect}");
    }
    assert_eq!(cause(named("+late")), Some(named("set")), "what it led to");
    assert!(person.history.len() > before);
}

#[test]
fn ob_41_a_reaction_that_changes_properties_is_announced_if_every_change_is() {
    let reaction = "{on: dwell, after: 1h, do: [{set: {a: 1}}]}";
    let announced = |announce_all: bool| {
        let mut person = Person::new(&plan("pro", "pro", "", &[reaction]));
        person.policy = Policy { announce_all, ..Policy::default() };
        person.put(T0, json!({"plan": "pro"}));
        let before = person.history.len();
        person.pass_until(T0 + HOUR);
        person.history[before..].iter().any(
            |(event, _)| matches!(event, ContactEvent::Announced(event) if event.outbound_type == "contact.updated"),
        )
    };
    assert!(announced(true) && !announced(false));
}

#[test]
fn a_join_that_a_reaction_led_to_is_not_joined_again() {
    // The leave is settled first and its reaction makes the absence bucket look; its overdue join comes after.
    let yaml = "
  - {id: hour, name: Hour, enabled: true, criteria: {event: e, within: 1h, exists: true}, reactions: [{on: leave, do: [{set: {left: true}}]}]}
  - {id: away, name: Away, enabled: true, criteria: {all: [{prop: left, eq: true}, {event: e, within: 30m, exists: false}]}}";
    let mut person = Person::new(yaml);
    person.event(T0, "e", json!({}));
    let lines = person.late_event(T0 + 2 * HOUR, "other", T0 + 2 * HOUR);
    assert_eq!(lines.iter().filter(|line| line.contains("+away")).count(), 1, "{lines:#?}");
}
