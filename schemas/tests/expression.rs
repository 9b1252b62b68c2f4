//! Expressions in files (JD-03).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may stop a test")]

use mainspring_schemas::expression::{InvalidExpression, Scope, Template};
use proptest::prelude::*;
use serde_json::{Value, json};

const ROOTS: [&str; 2] = ["data", "config"];

fn value(text: &str, json: &Value) -> Value {
    Template::parse(text, &ROOTS).unwrap().value(&Scope::new(json))
}

fn sample() -> Value {
    json!({
        "data": {
            "name": "Ada", "n": 3, "ratio": 0.5, "yes": true, "nothing": null, "list": [1, {"a": "b"}],
            "at": "2026-06-01T00:00:00.000Z", "seconds": 1_780_272_000, "millis": 1_780_272_000_000_i64,
            "text": "42", "big": 9_007_199_254_740_993_i64, "mixed": "x{{y}}",
        },
        "config": {"token": "t", "a-b": 1},
    })
}

#[test]
fn jd_03_one_expression_keeps_its_type_and_within_text_it_is_text() {
    for (text, expected) in [
        ("{{ data.n }}", json!(3)),
        ("{{data.n}}", json!(3)),
        (" {{ data.n }}", json!(" 3")),
        ("{{ data.ratio }}", json!(0.5)),
        ("{{ data.big }}", json!(9_007_199_254_740_993_i64)),
        ("{{ data.yes }}", json!(true)),
        ("{{ data.list }}", json!([1, {"a": "b"}])),
        ("{{ data.list[1].a }}", json!("b")),
        ("{{ config['a-b'] }}", json!(1)),
        ("{{ data.nothing }}", json!(null)),
        ("{{ data.missing }}", json!(null)),
        ("{{ data.missing.deeper.still }}", json!(null)),
        ("{{ data.nothing.deeper }}", json!(null)),
        ("{{ data.name.deeper }}", json!(null)),
        ("<{{ data.missing }}>", json!("<>")),
        ("<{{ data.list }}>", json!("<[1,{\"a\":\"b\"}]>")),
        ("{{ data.name }}-{{ data.n }}", json!("Ada-3")),
        ("plain", json!("plain")),
        ("", json!("")),
        ("a } b }} c", json!("a } b }} c")),
        ("{{ \"}}\" }}", json!("}}")),
        ("{{ {\"a\": {\"b\": data.n}} }}", json!({"a": {"b": 3}})),
        ("{{ data.mixed }}", json!("x{{y}}")),
    ] {
        assert_eq!(value(text, &sample()), expected, "{text}");
    }
}

#[test]
fn jd_03_filters() {
    for (text, expected) in [
        ("{{ data.missing | default('x') }}", json!("x")),
        ("{{ data.nothing | default(data.name) }}", json!("Ada")),
        ("{{ data.name | default('x') }}", json!("Ada")),
        ("{{ data.text | int }}", json!(42)),
        ("{{ data.ratio | int }}", json!(0)),
        ("{{ data.name | int }}", json!(null)),
        ("{{ data.text | float }}", json!(42.0)),
        ("{{ data.n | string }}", json!("3")),
        ("{{ data.missing | string }}", json!(null)),
        ("{{ data.text | bool }}", json!(null)),
        ("{{ 'yes' | bool }}", json!(true)),
        ("{{ data.n | min(2) }}", json!(2)),
        ("{{ data.n | min(5) }}", json!(3)),
        ("{{ data.n | max(5) }}", json!(5)),
        ("{{ data.name | lower }}", json!("ada")),
        ("{{ data.name | upper }}", json!("ADA")),
        ("{{ data.at | date('%Y-%m-%d') }}", json!("2026-06-01")),
        ("{{ data.seconds | date }}", json!("2026-06-01T00:00:00.000Z")),
        ("{{ data.millis | date }}", json!("2026-06-01T00:00:00.000Z")),
        ("{{ data.name | date('%Y') }}", json!(null)),
        ("{{ data.at | add('1d12h') }}", json!("2026-06-02T12:00:00.000Z")),
        ("{{ data.at | add('-1h') }}", json!("2026-05-31T23:00:00.000Z")),
        ("{{ data.list | json }}", json!("[1,{\"a\":\"b\"}]")),
        ("{{ data.n | lower | default('none') }}", json!("3")),
    ] {
        assert_eq!(value(text, &sample()), expected, "{text}");
    }
}

#[test]
fn jd_03_what_is_not_known_is_refused_when_it_is_read() {
    let refused = |text: &str| Template::parse(text, &ROOTS).unwrap_err();
    assert!(matches!(refused("a {{ data.x"), InvalidExpression::Open));
    for text in ["{{ dat.x }}", "{{ data.x | default(other) }}", "{{ x }}", "{{ env.SECRET }}"] {
        assert!(matches!(refused(text), InvalidExpression::UnknownName { .. }), "{text}");
    }
    for text in [
        "{{ data.x | nothing }}",
        "{{ data.x | lower | shout }}",
        "{{ data.x | add }}",
        "{{ data. }}",
        "{{ }}",
        "{{ 1 is mad }}",
        "{% for x in data %}{{ x | }}{% endfor %}",
    ] {
        assert!(matches!(refused(text), InvalidExpression::Unreadable { .. }), "{text}: {:?}", refused(text));
    }
    let hint = refused("{{ dta.x }}").to_string();
    assert!(hint.contains("data, config") && hint.contains("did you mean"), "{hint}");
    assert!(Template::parse(&"x".repeat(20_000), &ROOTS).is_err());
}

proptest! {
    #[test]
    fn jd_03_no_text_and_no_data_makes_reading_or_evaluating_panic(
        text in "(\\{\\{|\\}\\}|data|config|\\.|\\||default|int|date|add|min|json|[ '\"()a-z0-9\\[\\]+*~-]){0,12}",
        number in any::<f64>(),
        other in "\\PC{0,8}",
    ) {
        if let Ok(template) = Template::parse(&text, &ROOTS) {
            let json = json!({"data": number, "config": {"a": other}});
            let scope = Scope::new(&json);
            let _ = (template.value(&scope), template.text(&scope));
        }
    }

    #[test]
    fn jd_03_text_without_braces_is_itself(text in "[^{]{0,40}") {
        let template = Template::parse(&text, &ROOTS).unwrap();
        prop_assert!(template.is_literal());
        prop_assert_eq!(template.text(&Scope::new(&json!({}))), text);
    }
}
