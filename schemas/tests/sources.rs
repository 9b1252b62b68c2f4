//! Files that describe webhook sources: what they mean, and what is wrong with them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use mainspring_schemas::{
    definition::Issue,
    source::{
        Algorithm, Auth, DetailedScheme, Encoding, OnDelete, Reading, Scheme, Signed, SourceDefinition,
        assemble,
    },
};
use serde_json::{Value, json};

const HEAD: &str = "source: s\nauth: { type: match, env: S, header: X-Secret }\n";

fn load(text: &str) -> Result<SourceDefinition, Vec<Issue>> {
    let (mut definitions, issues) = assemble([("s.yaml".to_owned(), text.to_owned())]);
    if issues.is_empty() { Ok(definitions.remove(0)) } else { Err(issues) }
}

fn read(rest: &str, body: &Value) -> Option<Reading> {
    let definition = load(&format!("{HEAD}{rest}")).unwrap();
    definition.read(&json!({"body": body, "headers": {"x-topic": "t"}}))
}

#[test]
fn ws_140_what_has_no_value_is_left_out_unless_it_clears() {
    let rest = r#"
event: "{{ headers['x-topic'] }}.{{ body.kind }}"
user_id: "{{ body.id }}"
email: "{{ body.email }}"
event_properties: { plan: "{{ body.plan }}", fixed: [1, "{{ body.n }}"], text: "n={{ body.missing }}" }
contact_properties:
  phone: "{{ body.phone }}"
  name: { value: "{{ body.name }}", clear: true }
  kept: { value: "{{ body.name }}", clear: false }
  nested: { a: "{{ body.n }}" }
"#;
    let reading = read(rest, &json!({"kind": "k", "id": 42, "n": 3.5, "email": ""})).unwrap();
    assert_eq!(reading.event, "t.k");
    assert_eq!((reading.user_id.as_deref(), reading.email), (Some("42"), None));
    assert_eq!(json!(reading.event_properties), json!({"fixed": [1, 3.5], "text": "n="}));
    assert_eq!(json!(reading.contact_properties), json!({"name": null, "nested": {"a": 3.5}}));
}

#[test]
fn ws_141_spread_copies_first_and_named_members_win() {
    let rest = "event: e\nuser_id: u\nevent_properties: { a: 1, spread: body.metadata }\n";
    let reading = read(rest, &json!({"metadata": {"a": 2, "b": {"c": 3}}})).unwrap();
    assert_eq!(json!(reading.event_properties), json!({"a": 1, "b": {"c": 3}}));
    for metadata in [json!(null), json!([1]), json!("x")] {
        let reading = read(rest, &json!({ "metadata": metadata })).unwrap();
        assert_eq!(json!(reading.event_properties), json!({"a": 1}));
    }
}

#[test]
fn ws_142_the_first_rule_that_applies_decides() {
    let rest = r#"
rules:
  - { when: { prop: body.type, eq: paid }, event: invoice.paid, user_id: "{{ body.id }}" }
  - { when: { prop: headers.x-topic, eq: t }, event: "other", email: "{{ body.mail }}" }
  - { event: never, user_id: u }
"#;
    assert_eq!(read(rest, &json!({"type": "paid", "id": "1"})).unwrap().event, "invoice.paid");
    assert_eq!(read(rest, &json!({"type": "x"})).unwrap().event, "other");
    let gated = "when: { prop: body.a, eq: 1 }\nevent: e\nuser_id: u\n";
    assert!(read(gated, &json!({"a": 2})).is_none());
    assert!(read("event: \"{{ body.x }}\"\nuser_id: u\n", &json!({})).is_none(), "no name, no event");
}

#[test]
fn ws_51_instants_as_text_seconds_and_milliseconds() {
    let rest = "event: e\nuser_id: u\noccurred_at: \"{{ body.at }}\"\n";
    for (at, expected) in [
        (json!("2026-06-15T12:00:00+02:00"), Some("2026-06-15T10:00:00.000Z")),
        (json!(1_781_524_800), Some("2026-06-15T12:00:00.000Z")),
        (json!(1_781_524_800.25), Some("2026-06-15T12:00:00.250Z")),
        (json!(1_781_524_800_123_i64), Some("2026-06-15T12:00:00.123Z")),
        (json!("yesterday"), None),
        (json!(-5), None),
        (json!(null), None),
    ] {
        let occurred_at = read(rest, &json!({ "at": at })).unwrap().occurred_at;
        assert_eq!(occurred_at.map(|at| at.to_string()).as_deref(), expected, "{at}");
    }
}

#[test]
fn ws_143_schemes_by_name_and_in_detail() {
    let scheme = |auth: &str| {
        let loaded =
            load(&format!("source: s\nauth: {auth}\nevent: e\nuser_id: u\non_delete: erase\n")).unwrap();
        assert_eq!(loaded.on_delete, OnDelete::Erase);
        match loaded.auth {
            Auth::Signature { scheme, .. } => scheme,
            Auth::Match { .. } => panic!("{auth}"),
        }
    };
    let hmac = |header: &str, algorithms: &[Algorithm]| Scheme::HmacHex {
        header: header.to_owned(),
        algorithms: algorithms.to_vec(),
    };
    assert_eq!(
        scheme("{ type: signature, scheme: hmac-hex, env: S }"),
        hmac("x-signature", &[Algorithm::Sha256])
    );
    assert_eq!(
        scheme("{ type: signature, scheme: hmac-hex, env: S, header: X-Sig, algorithms: [sha1, sha512] }"),
        hmac("x-sig", &[Algorithm::Sha1, Algorithm::Sha512])
    );
    let detailed = "{ type: signature, env: S, header: X-Slack-Signature, scheme: { algorithm: sha256, encoding: hex, \
                    prefix: v0=, content: \"v0:{{timestamp}}:{{ body }}\", timestamp_header: X-Time, tolerance: 2m } }";
    let expected = DetailedScheme {
        header: "x-slack-signature".to_owned(),
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Hex,
        prefix: "v0=".to_owned(),
        content: vec![
            Signed::Text("v0:".to_owned()),
            Signed::Timestamp,
            Signed::Text(":".to_owned()),
            Signed::Body,
        ],
        timestamp_header: Some("x-time".to_owned()),
        tolerance_seconds: 120,
    };
    assert_eq!(scheme(detailed), Scheme::Detailed(expected));
}

#[test]
fn ws_10_ws_41_every_problem_has_its_place() {
    let rule = "event: e\nuser_id: u\n";
    for (text, line, part) in [
        (format!("source: email\nauth: {{ type: match, env: S, header: x }}\n{rule}"), 1, "reserved"),
        (format!("source: resend\nauth: {{ type: match, env: S, header: x }}\n{rule}"), 1, "reserved"),
        (format!("source: A b\nauth: {{ type: match, env: S, header: x }}\n{rule}"), 1, "source id"),
        (format!("source: s\n{rule}"), 1, "the key `auth` is missing"),
        (format!("{HEAD}{rule}user: u\n"), 5, "unknown key `user`"),
        (format!("{HEAD}event: \"{{{{ boddy.x }}}}\"\nuser_id: u\n"), 3, "not known here"),
        (format!("{HEAD}event: e\n"), 1, "needs at least one of user_id"),
        (format!("{HEAD}{rule}event_properties: {{ spread: x.y }}\n"), 5, "does not begin with"),
        (format!("{HEAD}{rule}require: {{ id: text }}\n"), 5, "must be one of string"),
        (format!("{HEAD}{rule}rules:\n  - {{ event: e, user_id: u }}\n"), 3, "stands in each of the rules"),
        (
            "source: s\nauth: { type: signature, env: S, header: x, scheme: { algorithm: sha1, encoding: hex, \
             content: \"{{timestamp}}.{{body}}\" } }\nevent: e\nuser_id: u\n"
                .to_owned(),
            2,
            "belong together",
        ),
        (
            "source: s\nauth: { type: signature, env: S, header: x, scheme: { algorithm: sha1, encoding: hex, \
             content: \"{{x}}\" } }\nevent: e\nuser_id: u\n"
                .to_owned(),
            2,
            "only {{timestamp}} and {{body}}",
        ),
        ("- a\n".to_owned(), 1, "must be a source"),
        (String::new(), 1, "holds no source"),
    ] {
        let issues = load(&text).unwrap_err();
        let found = issues.iter().any(|issue| issue.line == line && issue.message.contains(part));
        assert!(found, "{text}: {part} at {line}: {issues:?}");
    }
}

#[test]
fn ws_40_two_sources_of_one_id_are_an_error() {
    let text = format!("{HEAD}event: e\nuser_id: u\n");
    let (definitions, issues) = assemble([("b.yaml".to_owned(), text.clone()), ("a.yaml".to_owned(), text)]);
    assert_eq!(definitions.len(), 1);
    assert_eq!(issues.len(), 1);
    assert!(
        issues[0].to_string().starts_with("b.yaml:1:9: error: source: duplicate source `s`"),
        "{}",
        issues[0]
    );
}
