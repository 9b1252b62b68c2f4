//! Vectors made from the specification: normalization of keys, shapes of addresses and instants, merging properties.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may stop a test")]

use mainspring_schemas::{
    Properties, Timestamp,
    identity::{IdentityKey, KeyKind, is_email_shaped},
    properties::merged,
};
use serde_json::Value;

fn vectors(name: &str) -> Value {
    let path = format!("../tests/vectors/identity/{name}.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn cases<'v>(vectors: &'v Value, path: &str) -> &'v Vec<Value> {
    let cases = vectors.pointer(path).and_then(Value::as_array).unwrap();
    assert!(!cases.is_empty(), "{path} holds no cases");
    cases
}

fn object(value: &Value) -> Properties {
    value.as_object().cloned().unwrap_or_default()
}

#[test]
fn ke_06_normalization_of_keys() {
    let vectors = vectors("identity-normalization");
    for (path, kind) in [("/email", KeyKind::Email), ("/key", KeyKind::External)] {
        for case in cases(&vectors, path) {
            let normalized =
                IdentityKey::new(kind, case["in"].as_str().unwrap()).map(|key| key.value.to_string());
            assert_eq!(normalized.as_deref(), case["out"].as_str(), "{case}");
        }
    }
}

#[test]
fn dp_02_what_the_reference_accepts_is_accepted() {
    for case in cases(&vectors("identity-normalization"), "/request_email/cases") {
        let text = case["in"].as_str().unwrap();
        if case["reference_accepts"] == true {
            assert!(is_email_shaped(text), "{text}");
        }
    }
    for bad in [
        "",
        " a@x.io",
        "a@x.io ",
        "a b@x.io",
        "a@@x.io",
        "a@x",
        "a@localhost",
        ".a@x.io",
        "a@x.io.",
        "a@[1.2.3.4]",
        "\"q\"@x.io",
    ] {
        assert!(!is_email_shaped(bad), "{bad}");
    }
    assert!(
        is_email_shaped("zoe@exämple.com") && is_email_shaped("a/b&c=d@x.io"),
        "wider than the reference"
    );
}

#[test]
fn ht_06_instants() {
    for case in cases(&vectors("identity-normalization"), "/timestamp_accepted/cases") {
        let text = case["in"].as_str().unwrap();
        // HT-06 is wider than the vectors in one respect: offsets are accepted.
        let has_offset = text.len() > 19 && text[19..].contains(['+', '-']);
        let accepted = case["accepted"].as_bool().unwrap() || has_offset;
        assert_eq!(text.parse::<Timestamp>().is_ok(), accepted, "{text}");
    }
}

#[test]
fn rs_50_to_rs_54_merging_a_patch() {
    for case in cases(&vectors("property-merge"), "/cases") {
        let result = merged(&object(&case["existing"]), &object(&case["patch"]));
        assert_eq!(Value::Object(result), case["result"], "{}", case["name"]);
    }
}

#[test]
fn mc_20_folding_losers_survivor_and_patch() {
    for case in cases(&vectors("property-merge"), "/fold/cases") {
        let losers = case["losers"].as_array().unwrap();
        let folded = losers.iter().fold(Properties::new(), |sum, loser| merged(&sum, &object(loser)));
        let result = merged(&merged(&folded, &object(&case["survivor"])), &object(&case["patch"]));
        assert_eq!(Value::Object(result), case["result"], "{}", case["name"]);
    }
}
