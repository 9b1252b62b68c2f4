//! The criteria language against the tables of its specification.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::HashMap;

use mainspring_schemas::{
    Timestamp,
    criteria::{Criteria, Facts, Severity, Touches, evaluate, next_change, read_json, validate},
};
use serde_json::{Value, json};

const DAY: i64 = 86_400_000;
const WEEK: i64 = 7 * DAY;

/// What is known about a contact of a test.
#[derive(Default)]
struct Contact {
    properties: Value,
    occurrences: HashMap<String, Vec<Timestamp>>,
}

impl Contact {
    fn with_properties(properties: Value) -> Self {
        Self { properties, ..Self::default() }
    }

    fn with_events(events: &[(&str, &[i64])]) -> Self {
        let stamps = |instants: &[i64]| instants.iter().copied().map(Timestamp).collect();
        let occurrences =
            events.iter().map(|(event, instants)| ((*event).to_owned(), stamps(instants))).collect();
        Self { occurrences, ..Self::default() }
    }
}

impl Facts for Contact {
    fn property(&self, name: &str) -> Option<&Value> {
        self.properties.get(name)
    }

    fn occurrences(&self, event: &str) -> &[Timestamp] {
        self.occurrences.get(event).map_or(&[], Vec::as_slice)
    }
}

fn criteria(value: &Value) -> Criteria {
    serde_json::from_value(value.clone()).unwrap()
}

fn holds(value: &Value, contact: &Contact, now: i64) -> bool {
    evaluate(&criteria(value), contact, Timestamp(now))
}

#[test]
fn bk_31_property_leaves() {
    let contact = Contact::with_properties(json!({
        "plan": "pro", "name": "Alice", "score": 42, "active": true, "empty": null, "blank": "", "zero": 0, "none": [],
        "whole": 1.0, "a.b": 1, "a": {"b": 2}, "tags": ["pro"], "day": "2026-01-01",
    }));
    for (property, operator, value, expected) in [
        ("plan", "eq", json!("pro"), true),
        ("plan", "neq", json!("free"), true),
        ("plan", "neq", json!("pro"), false),
        ("score", "gt", json!(41), true),
        ("score", "gt", json!(42), false),
        ("score", "gte", json!(42), true),
        ("score", "lt", json!(42.5), true),
        ("score", "lte", json!(41), false),
        ("score", "lt", json!("43"), false),
        ("score", "eq", json!("42"), false),
        ("score", "eq", json!(42.0), true),
        ("whole", "eq", json!(1), true),
        ("empty", "exists", Value::Null, false),
        ("empty", "not_exists", Value::Null, true),
        ("empty", "neq", json!("x"), true),
        ("empty", "gte", json!(0), false),
        ("nope", "neq", json!(true), true),
        ("nope", "eq", json!(true), false),
        ("nope", "contains", json!(""), false),
        ("blank", "exists", Value::Null, true),
        ("zero", "exists", Value::Null, true),
        ("none", "exists", Value::Null, true),
        ("none", "not_exists", Value::Null, false),
        ("name", "contains", json!("lic"), true),
        ("name", "contains", json!("LIC"), false),
        ("name", "contains", json!(""), true),
        ("score", "contains", json!("42"), false),
        ("tags", "contains", json!("pro"), false),
        ("tags", "neq", json!("pro"), true),
        ("active", "eq", json!(1), false),
        ("active", "eq", json!(true), true),
        ("active", "gte", json!(0), false),
        ("day", "gt", json!("2025-01-01"), false),
        ("a.b", "eq", json!(1), true),
    ] {
        let mut leaf = json!({"type": "property", "property": property, "operator": operator});
        if !value.is_null() {
            leaf["value"] = value;
        }
        assert_eq!(holds(&leaf, &contact, 0), expected, "{leaf}");
    }
}

fn event(check: &str, operator: Option<&str>, value: Option<f64>, within_hours: Option<i64>) -> Value {
    let mut leaf = json!({"type": "event", "eventName": "e", "check": check});
    operator.inspect(|operator| leaf["operator"] = json!(operator));
    value.inspect(|value| leaf["value"] = json!(value));
    within_hours.inspect(|hours| leaf["within"] = json!({"hours": hours}));
    leaf
}

#[test]
fn bk_32_event_leaves_without_a_window() {
    let contact = |n: i64| Contact::with_events(&[("e", &(0..n).collect::<Vec<_>>()), ("E", &[0])]);
    for (check, operator, value, expected) in [
        ("exists", None, None, [false, true, true, true]),
        ("not_exists", None, None, [true, false, false, false]),
        ("count", Some("gte"), Some(2.0), [false, false, true, true]),
        ("count", Some("gt"), Some(2.0), [false, false, false, true]),
        ("count", Some("lt"), Some(2.0), [true, true, false, false]),
        ("count", Some("lte"), Some(2.0), [true, true, true, false]),
        ("count", Some("eq"), Some(2.0), [false, false, true, false]),
        ("count", Some("gte"), Some(1.5), [false, false, true, true]),
        ("count", Some("gt"), Some(1.5), [false, false, true, true]),
        ("count", Some("lt"), Some(1.5), [true, true, false, false]),
        ("count", Some("lte"), Some(1.5), [true, true, false, false]),
        ("count", Some("eq"), Some(1.5), [false, false, false, false]),
        ("count", Some("gt"), Some(-1.0), [true, true, true, true]),
        ("count", Some("lt"), Some(-0.5), [false, false, false, false]),
        ("count", None, Some(2.0), [false, true, true, true]),
        ("count", Some("gte"), None, [false, true, true, true]),
        ("count", None, None, [false, true, true, true]),
    ] {
        let leaf = event(check, operator, value, None);
        for (n, expected) in expected.into_iter().enumerate() {
            assert_eq!(holds(&leaf, &contact(n as i64), 0), expected, "{leaf} of {n}");
        }
        assert_eq!(next_change(&criteria(&leaf), &contact(3), Timestamp(0)), None);
    }
}

#[test]
fn bk_32_the_lower_bound_is_inclusive_and_there_is_no_upper_bound() {
    let leaf = event("exists", None, None, Some(168));
    for (occurred, now, expected) in
        [(0, WEEK, true), (0, WEEK + 1, false), (0, 0, true), (10 * DAY, 0, true), (-WEEK, 0, true)]
    {
        assert_eq!(
            holds(&leaf, &Contact::with_events(&[("e", &[occurred])]), now),
            expected,
            "{occurred} {now}"
        );
    }
    let never = Contact::default();
    assert!(holds(&event("not_exists", None, None, Some(168)), &never, 0), "BK-33");
    assert!(holds(&event("not_exists", None, None, None), &never, 0), "BK-33");
}

#[test]
fn bk_150_when_the_clock_changes_an_answer() {
    // Newest first: o1 = 300, o2 = 200, o3 = o4 = 100.
    let occurrences = [100, 100, 200, 300];
    let ages = |occurred: i64| Some(Timestamp(occurred + WEEK + 1));
    for (check, operator, value, expected) in [
        ("exists", None, None, ages(300)),
        ("not_exists", None, None, ages(300)),
        ("count", Some("gte"), Some(1.0), ages(300)),
        ("count", Some("gte"), Some(2.0), ages(200)),
        ("count", Some("gte"), Some(4.0), ages(100)),
        ("count", Some("gte"), Some(5.0), None),
        ("count", Some("gt"), Some(1.0), ages(200)),
        ("count", Some("gt"), Some(4.0), None),
        ("count", Some("lt"), Some(2.0), ages(200)),
        ("count", Some("lt"), Some(2.5), ages(100)),
        ("count", Some("lte"), Some(1.0), ages(200)),
        ("count", Some("lte"), Some(4.0), None),
        ("count", Some("eq"), Some(4.0), ages(100)),
        // n falls from 4 to 2 at once: it never is 3.
        ("count", Some("eq"), Some(3.0), None),
        ("count", Some("eq"), Some(2.0), ages(100)),
        ("count", Some("eq"), Some(0.0), ages(300)),
        ("count", Some("eq"), Some(1.5), None),
        ("count", Some("gte"), Some(0.0), None),
        ("count", Some("gte"), Some(-3.0), None),
        ("count", Some("lt"), Some(1e300), None),
    ] {
        let leaf = event(check, operator, value, Some(168));
        let contact = Contact::with_events(&[("e", &occurrences)]);
        assert_eq!(next_change(&criteria(&leaf), &contact, Timestamp(400)), expected, "{leaf}");
    }
}

#[test]
fn sb_26_a_member_stays_until_the_millisecond_after_the_window() {
    let leaf = event("exists", None, None, Some(168));
    let contact = Contact::with_events(&[("e", &[0])]);
    assert_eq!(next_change(&criteria(&leaf), &contact, Timestamp(0)), Some(Timestamp(WEEK + 1)));
    assert!(holds(&leaf, &contact, WEEK));
    assert!(!holds(&leaf, &contact, WEEK + 1));
    assert_eq!(next_change(&criteria(&leaf), &contact, Timestamp(WEEK + 1)), None);
}

#[test]
fn sb_27_the_tenth_newest_action_decides() {
    let hours: Vec<i64> = (0..10).map(|hour| hour * 3_600_000).collect();
    let leaf = event("count", Some("gte"), Some(10.0), Some(720));
    let contact = Contact::with_events(&[("e", &hours)]);
    let due = |contact: &Contact, now| next_change(&criteria(&leaf), contact, Timestamp(now));
    assert_eq!(due(&contact, hours[9]), Some(Timestamp(30 * DAY + 1)));
    let eleven = Contact::with_events(&[("e", &[hours.as_slice(), &[DAY]].concat())]);
    assert_eq!(due(&eleven, DAY), Some(Timestamp(30 * DAY + 3_600_000 + 1)));
}

#[test]
fn sb_28_and_sb_32_absence() {
    let dormant = json!({"type": "composite", "operator": "and", "conditions": [
        event("exists", None, None, None), event("not_exists", None, None, Some(168)),
    ]});
    let contact = Contact::with_events(&[("e", &[0])]);
    assert!(!holds(&dormant, &contact, WEEK));
    assert!(holds(&dormant, &contact, WEEK + 1));
    assert_eq!(next_change(&criteria(&dormant), &contact, Timestamp(0)), Some(Timestamp(WEEK + 1)));
    // SB-29, BK-157: who never fired has no timer.
    assert!(!holds(&dormant, &Contact::default(), 0));
    assert_eq!(next_change(&criteria(&dormant), &Contact::default(), Timestamp(0)), None);
}

#[test]
fn the_ends_of_time_do_not_overflow() {
    for occurred in [i64::MIN, i64::MAX - 1, i64::MAX] {
        for now in [i64::MIN, 0, i64::MAX] {
            let contact = Contact::with_events(&[("e", &[occurred])]);
            let leaf = criteria(&event("exists", None, None, Some(2_000_000_000)));
            evaluate(&leaf, &contact, Timestamp(now));
            let next = next_change(&leaf, &contact, Timestamp(now));
            assert!(next.is_none_or(|next| next > Timestamp(now)));
        }
    }
}

#[test]
fn bk_35_composites() {
    let (yes, no) = (
        json!({"type": "property", "property": "a", "operator": "exists"}),
        event("exists", None, None, None),
    );
    let contact = Contact::with_properties(json!({"a": 1}));
    for (operator, conditions, expected) in [
        ("and", vec![], true),
        ("or", vec![], false),
        ("and", vec![&yes, &yes], true),
        ("and", vec![&yes, &no], false),
        ("or", vec![&no, &yes], true),
        ("or", vec![&no, &no], false),
    ] {
        let tree = json!({"type": "composite", "operator": operator, "conditions": conditions});
        assert_eq!(holds(&tree, &contact, 0), expected, "{tree}");
    }
}

#[test]
fn bk_30_unknown_and_null_keys_are_refused() {
    for bad in [
        json!({"type": "property", "property": "a", "operator": "exists", "nope": 1}),
        json!({"type": "property", "property": "a", "operator": "eq", "value": null}),
        json!({"type": "property", "property": "a", "operator": "eq", "value": [1]}),
        json!({"type": "property", "operator": "exists"}),
        json!({"type": "event", "eventName": "e", "check": "exists", "within": {"days": 7}}),
        json!({"type": "event", "eventName": "e", "check": "exists", "where": []}),
        json!({"type": "event", "eventName": "e", "check": "exists", "within": null}),
        json!({"type": "composite", "operator": "and", "conditions": [], "x": 1}),
        json!({"type": "composite", "operator": "xor", "conditions": []}),
        json!({"type": "nope"}),
        json!({"prop": "a", "eq": 1}),
        json!([]),
    ] {
        assert!(serde_json::from_value::<Criteria>(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn bk_36_bk_37_short_forms_mean_the_long_ones() {
    for (short, long) in [
        (
            json!({"prop": "plan", "eq": "pro"}),
            json!({"type": "property", "property": "plan", "operator": "eq", "value": "pro"}),
        ),
        (
            json!({"prop": "a", "exists": true}),
            json!({"type": "property", "property": "a", "operator": "exists"}),
        ),
        (
            json!([{"event": "e"}, {"prop": "a", "exists": false}]),
            json!({"type": "composite", "operator": "and", "conditions": [
                {"type": "event", "eventName": "e", "check": "exists"},
                {"type": "property", "property": "a", "operator": "not_exists"},
            ]}),
        ),
        (
            json!({"event": "key.action", "within": "30d", "count": {"gte": 10}}),
            json!({"type": "event", "eventName": "key.action", "check": "count", "operator": "gte", "value": 10,
                   "within": {"hours": 720}}),
        ),
        (
            json!({"all": [{"event": "app.active", "exists": true},
                           {"event": "app.active", "within": {"hours": 168}, "exists": false}]}),
            json!({"type": "composite", "operator": "and", "conditions": [
                {"type": "event", "eventName": "app.active", "check": "exists"},
                {"type": "event", "eventName": "app.active", "check": "not_exists", "within": {"hours": 168}},
            ]}),
        ),
        (
            json!({"any": [{"prop": "n", "gt": 1.0}, {"type": "event", "eventName": "e", "check": "exists"}]}),
            json!({"type": "composite", "operator": "or", "conditions": [
                {"type": "property", "property": "n", "operator": "gt", "value": 1},
                {"type": "event", "eventName": "e", "check": "exists"},
            ]}),
        ),
    ] {
        let (read, problems) = read_json(&short);
        assert_eq!(problems, [], "{short}");
        assert_eq!(serde_json::to_value(read.unwrap()).unwrap(), long, "{short}");
        assert_eq!(read_json(&long).0, Some(criteria(&long)));
    }
}

/// The problems of criteria in long form as lines; the reader finds the same.
fn problems(value: &Value) -> Vec<String> {
    let found: Vec<_> = validate(&criteria(value)).iter().map(ToString::to_string).collect();
    assert_eq!(read_json(value).1.iter().map(ToString::to_string).collect::<Vec<_>>(), found, "{value}");
    found
}

#[test]
fn bk_26_to_bk_29_validation() {
    let property = |operator: &str, value: Value| {
        let mut leaf = json!({"type": "property", "property": "p", "operator": operator});
        if !value.is_null() {
            leaf["value"] = value;
        }
        leaf
    };
    let both = |one: Value, other: Value| json!({"type": "composite", "operator": "and", "conditions": [one, other]});
    let named = |name: &str| json!({"type": "event", "eventName": name, "check": "exists"});
    for (id, value, expected) in [
        ("BK-26", property("neq", json!("free")), &["error: needs at least one positive condition"][..]),
        ("BK-26", property("not_exists", Value::Null), &["error: needs at least one positive condition"]),
        ("BK-26", event("not_exists", None, None, None), &["error: needs at least one positive condition"]),
        ("BK-26", event("not_exists", None, None, Some(168)), &[]),
        (
            "BK-26",
            both(property("neq", json!(1)), event("not_exists", None, None, None)),
            &["error: needs at least"],
        ),
        ("BK-26", both(property("neq", json!(1)), event("exists", None, None, None)), &[]),
        (
            "BK-26",
            event("count", Some("lt"), Some(3.0), None),
            &["warning: holds for everybody who never fired"],
        ),
        ("BK-26", event("count", Some("lte"), Some(0.0), None), &["warning: holds for everybody"]),
        ("BK-26", event("count", Some("eq"), Some(0.0), None), &["warning: holds for everybody"]),
        ("BK-26", event("count", Some("eq"), Some(1.0), None), &[]),
        ("BK-26", event("count", Some("lt"), Some(3.0), Some(1)), &[]),
        (
            "BK-27",
            named("bucket:entered:x"),
            &["error: eventName: `bucket:entered:x` is an event of a bucket"],
        ),
        ("BK-27", both(named("e"), named("bucket:")), &["error: conditions[1].eventName: `bucket:`"]),
        (
            "BK-28",
            json!({"type": "email_engagement", "templateKey": "t", "check": "opened"}),
            &["error: email engagement"],
        ),
        (
            "BK-29",
            json!({"type": "composite", "operator": "and", "conditions": []}),
            &["warning: there are no conditions, so everyone"],
        ),
        (
            "BK-29",
            json!({"type": "composite", "operator": "or", "conditions": []}),
            &["warning: there are no conditions, so no one"],
        ),
        ("BK-29", event("exists", None, None, Some(0)), &["error: within: must be more than zero"]),
        ("BK-29", property("eq", Value::Null), &["error: value: the operator needs a value"]),
        ("BK-29", property("gt", json!("5")), &["error: value: the operator needs a number"]),
        ("BK-29", property("lte", Value::Null), &["error: value: the operator needs a number"]),
        ("BK-29", property("contains", json!(5)), &["error: value: the operator needs a string"]),
        ("BK-29", property("exists", json!(5)), &["warning: value: the operator takes no value"]),
        (
            "BK-29",
            event("exists", Some("gte"), Some(2.0), None),
            &["warning: operator: only `count` compares"],
        ),
        ("BK-29", event("count", None, Some(2.0), None), &["warning: value: without an operator"]),
        ("BK-29", named(""), &["error: eventName: must not be empty"]),
    ] {
        // An empty name is refused by the reader before there is a leaf to validate.
        let found = if value["eventName"] == "" {
            validate(&criteria(&value)).iter().map(ToString::to_string).collect()
        } else {
            problems(&value)
        };
        assert_eq!(found.len(), expected.len(), "{id}: {value}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{id}: {value}: {found}");
        }
    }
}

#[test]
fn bk_35_limits() {
    let nested = |depth: usize| {
        (1..depth).fold(
            event("exists", None, None, None),
            |inner, _| json!({"type": "composite", "operator": "and", "conditions": [inner]}),
        )
    };
    let wide = |leaves: usize| {
        json!({"type": "composite", "operator": "or",
        "conditions": vec![event("exists", None, None, None); leaves]})
    };
    for (value, accepted) in [(nested(32), true), (nested(33), false), (wide(256), true), (wide(257), false)]
    {
        let errors =
            validate(&criteria(&value)).into_iter().filter(|p| p.severity == Severity::Error).count();
        assert_eq!(errors, usize::from(!accepted));
        assert_eq!(read_json(&value).0.is_some(), accepted);
    }
}

#[test]
fn bk_40_what_criteria_touch() {
    let tree = json!({"type": "composite", "operator": "and", "conditions": [
        event("exists", None, None, None),
        event("not_exists", None, None, Some(1)),
        {"type": "composite", "operator": "or", "conditions": [
            {"type": "property", "property": "plan", "operator": "exists"},
            {"type": "event", "eventName": "other", "check": "exists"},
        ]},
    ]});
    let touches = Touches::of(&criteria(&tree));
    assert_eq!(touches.events.iter().collect::<Vec<_>>(), ["e", "other"]);
    assert_eq!(touches.properties.iter().collect::<Vec<_>>(), ["plan"]);
    assert!(!touches.wildcard);
    let empty = json!({"type": "composite", "operator": "or", "conditions": [
        {"type": "composite", "operator": "and", "conditions": []}]});
    assert!(Touches::of(&criteria(&empty)).wildcard);
}
