//! What an explanation says on the wire.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use mainspring_schemas::{
    Timestamp,
    criteria::{Criteria, Facts, explain, read_json},
};
use serde_json::{Value, json};

const DAY: i64 = 86_400_000;

struct Anna {
    plan: Value,
    orders: Vec<Timestamp>,
}

impl Facts for Anna {
    fn property(&self, name: &str) -> Option<&Value> {
        (name == "plan").then_some(&self.plan)
    }

    fn occurrences(&self, event: &str) -> &[Timestamp] {
        if event == "order" { &self.orders } else { &[] }
    }
}

#[test]
fn every_leaf_says_what_it_saw() {
    let anna =
        Anna { plan: json!("free"), orders: vec![Timestamp(0), Timestamp(5 * DAY), Timestamp(6 * DAY)] };
    let criteria =
        json!([{"prop": "plan", "eq": "pro"}, {"event": "order", "count": {"gte": 2}, "within": "3d"}]);
    let criteria = read_json(&criteria).0.unwrap();
    let explained = serde_json::to_value(explain(&criteria, &anna, Timestamp(7 * DAY))).unwrap();
    let expected = json!({
        "type": "composite", "operator": "and", "holds": false,
        "conditions": [
            {"type": "property", "property": "plan", "operator": "eq", "value": "pro", "holds": false, "observed": "free"},
            {"type": "event", "eventName": "order", "check": "count", "operator": "gte", "value": 2,
             "within": {"hours": 72}, "holds": true, "count": 2, "windowStart": "1970-01-05T00:00:00.000Z",
             "newest": ["1970-01-07T00:00:00.000Z", "1970-01-06T00:00:00.000Z"],
             "lastOccurredAt": "1970-01-07T00:00:00.000Z", "changesAt": "1970-01-09T00:00:00.001Z"},
        ],
    });
    assert_eq!(explained, expected);
}

#[test]
fn bk_31_null_and_absent_are_both_shown_as_null() {
    let anna = Anna { plan: Value::Null, orders: Vec::new() };
    for name in ["plan", "age"] {
        let leaf = json!({"type": "property", "property": name, "operator": "not_exists"});
        let criteria: Criteria = serde_json::from_value(leaf).unwrap();
        let explained = serde_json::to_value(explain(&criteria, &anna, Timestamp(0))).unwrap();
        assert_eq!((&explained["holds"], &explained["observed"]), (&json!(true), &Value::Null));
    }
}
