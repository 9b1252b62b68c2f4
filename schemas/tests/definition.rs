//! Definition files against section 2 of the buckets specification.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use mainspring_schemas::definition::{BucketDefinition, EntryLimit, Issue, assemble, load_file};
use serde_json::{Value, json};

/// A definition file whose required fields are fine, with more lines below.
fn with(lines: &str) -> String {
    format!("id: b\nname: B\nenabled: true\ncriteria: {{event: e}}\n{lines}")
}

/// A definition file of these criteria.
fn of(criteria: &str) -> String {
    format!("id: b\nname: B\nenabled: true\ncriteria: {criteria}\n")
}

/// The issues of a file, as lines without its name.
fn issues(text: &str) -> Vec<String> {
    let (definitions, issues) = load_file("b.yaml", text);
    assert_eq!(
        definitions.is_empty(),
        issues.iter().any(Issue::is_error) || !text.contains("id:"),
        "{issues:?}"
    );
    issues.iter().map(|issue| issue.to_string().strip_prefix("b.yaml:").unwrap().to_owned()).collect()
}

/// Each text has exactly one issue, which begins like this.
fn check(table: &[(&str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (id, text, expected) in table {
        let found = issues(text);
        if !matches!(found.as_slice(), [only] if only.starts_with(expected)) {
            wrong.push(format!("{id}: expected {expected}, found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn loaded(text: &str) -> BucketDefinition {
    let (mut definitions, issues) = load_file("b.yaml", text);
    assert!(issues.is_empty(), "{issues:?}");
    definitions.remove(0)
}

#[test]
fn bk_10_to_bk_13_identity() {
    check(&[
        ("BK-10", "name: B\nenabled: true\ncriteria: {event: e}", "1:1: error: id: the key `id` is missing"),
        ("BK-10", &with("").replace("id: b", "id: a:b"), "1:5: error: id: a bucket id must match"),
        ("BK-10", &with("").replace("id: b", "id: ''"), "1:5: error: id: must not be empty"),
        (
            "BK-10",
            &with("").replace("id: b", "id: 42"),
            "1:5: error: id: must be a string, is a number (put it in quotes)",
        ),
        ("BK-11", &with("").replace("name: B\n", ""), "1:1: error: name: the key `name` is missing"),
        ("BK-11", &with("").replace("name: B", "name: ''"), "2:7: error: name: must not be empty"),
        ("BK-11", &with("").replace("name: B", "name: [B]"), "2:7: error: name: must be a string, is a list"),
        ("BK-12", &with("description: 3\n"), "5:14: error: description: must be a string"),
        ("BK-12", &with("description:\n"), "5:12: error: description: must be a string, is empty"),
        (
            "BK-13",
            &with("").replace("enabled: true\n", ""),
            "1:1: error: enabled: the key `enabled` is missing",
        ),
        (
            "BK-13",
            &with("").replace("enabled: true", "enabled: yes"),
            "3:10: error: enabled: must be true or false, is a string (in YAML 1.2 `yes` is a string)",
        ),
    ]);
}

#[test]
fn bk_14_bk_15_kind_and_criteria() {
    check(&[
        ("BK-14", &with("kind: manual\n"), "5:7: error: kind: manual buckets are not implemented in v1"),
        (
            "BK-14",
            "id: b\nname: B\nenabled: true\nkind: manual",
            "4:7: error: kind: manual buckets are not implemented in v1",
        ),
        (
            "BK-14",
            &with("kind: dynamc\n"),
            "5:7: error: kind: must be one of dynamic, manual, is `dynamc` (did you mean `dynamic`?)",
        ),
        ("BK-15", "id: b\nname: B\nenabled: true", "1:1: error: criteria: the key `criteria` is missing"),
        ("BK-15", &of("pro"), "4:11: error: criteria: must be a condition, is a string"),
    ]);
    assert_eq!(loaded(&with("kind: dynamic\n")).criteria, loaded(&with("")).criteria);
}

#[test]
fn bk_16_to_bk_25_options() {
    check(&[
        (
            "BK-16",
            &with("entryLimit: often\n"),
            "5:13: error: entryLimit: must be one of once, once_per_period, unlimited",
        ),
        (
            "BK-17",
            &with("entryLimit: once_per_period\nentryPeriod: 0s\n"),
            "6:14: error: entryPeriod: must be more than zero",
        ),
        ("BK-17", &with("entryPeriod: 1d\n"), "5:14: warning: entryPeriod: has no effect without"),
        (
            "BK-18",
            &with("minDwell: 5\n"),
            "5:11: error: minDwell: must be a duration, is a number (write for example 7d",
        ),
        ("BK-18", &with("minDwell: {hours: -1}\n"), "5:11: error: minDwell: a duration must not be negative"),
        ("BK-18", &with("minDwell: {}\n"), "5:11: error: minDwell: a duration needs at least one of"),
        ("BK-18", &with("minDwell: 7 days\n"), "5:11: error: minDwell: `7 days` is no duration"),
        (
            "BK-18",
            &with("minDwell: {days: 7, hours: 1}\n"),
            "5:12: error: minDwell.days: unknown key `days` (7 days are `7d`",
        ),
        ("BK-19", &with("maxDwell: 0s\n"), "5:11: error: maxDwell: must be more than zero"),
        (
            "BK-19",
            &with("minDwell: 2h\nmaxDwell: 1h\n"),
            "6:11: error: maxDwell: must not be shorter than `minDwell`",
        ),
        (
            "BK-20",
            &(of("{event: e, within: 7d}") + "timeBased: false\n"),
            "5:12: warning: timeBased: has no effect, because a condition has a window",
        ),
        ("BK-22", &with("reconcileJoins: on\n"), "5:17: error: reconcileJoins: must be true or false"),
        ("BK-25", &with("postHogPropertyKey: ''\n"), "5:21: error: postHogPropertyKey: must not be empty"),
    ]);
}

#[test]
fn bk_16_to_bk_25_defaults_and_canonical_form() {
    let bare = loaded(&with(""));
    assert_eq!(
        serde_json::to_value(&bare).unwrap(),
        json!({"id": "b", "name": "B", "enabled": true,
               "criteria": {"type": "event", "eventName": "e", "check": "exists"}})
    );
    assert_eq!(bare.effective_entry_limit(), EntryLimit::Unlimited);
    assert_eq!(
        (bare.effective_time_based(), bare.joins_by_clock(), bare.mirrored_property()),
        (false, true, None)
    );

    let text = with(
        "description: d\nkind: dynamic\nentryLimit: once_per_period\nentryPeriod: 1d12h\nminDwell: {minutes: 90}\n\
         maxDwell: 2w\ntimeBased: true\nreconcileEvery: 5m\nreconcileJoins: false\nfastExpiry: true\n\
         syncToPostHog: true\npostHogPropertyKey: k\n",
    );
    let full = loaded(&text);
    let long = json!({
        "id": "b", "name": "B", "description": "d", "enabled": true, "kind": "dynamic",
        "criteria": {"type": "event", "eventName": "e", "check": "exists"},
        "entryLimit": "once_per_period", "entryPeriod": {"hours": 36}, "minDwell": {"minutes": 90},
        "maxDwell": {"hours": 336}, "timeBased": true, "reconcileEvery": {"minutes": 5}, "reconcileJoins": false,
        "fastExpiry": true, "syncToPostHog": true, "postHogPropertyKey": "k",
    });
    assert_eq!(serde_json::to_value(&full).unwrap(), long);
    assert_eq!(serde_json::from_value::<BucketDefinition>(long.clone()).unwrap(), full);
    assert_eq!(
        rmp_serde::from_slice::<BucketDefinition>(&rmp_serde::to_vec_named(&full).unwrap()).unwrap(),
        full
    );
    assert_eq!(load_file("b.json", &long.to_string()).0, std::slice::from_ref(&full));
    assert_eq!((full.effective_time_based(), full.joins_by_clock()), (true, false));
    assert_eq!(full.mirrored_property().as_deref(), Some("k"));
    assert_eq!(full.criteria_hash(), bare.criteria_hash(), "BK-180: only criteria are hashed");
    let mirrored = loaded(&with("syncToPostHog: true\n"));
    assert_eq!(mirrored.mirrored_property().as_deref(), Some("hogsend_bucket_b"), "BK-25");
    assert!(loaded(&of("{event: e, within: 7d}")).effective_time_based(), "BK-20");
}

#[test]
fn bk_26_to_bk_29_criteria() {
    check(&[
        (
            "BK-26",
            &of("{prop: plan, neq: free}"),
            "4:11: error: criteria: needs at least one positive condition",
        ),
        (
            "BK-26",
            &of("{event: e, count: {lt: 3}}"),
            "4:11: warning: criteria: holds for everybody who never fired",
        ),
        (
            "BK-27",
            &of("{event: 'bucket:x'}"),
            "4:19: error: criteria.event: `bucket:x` is an event of a bucket",
        ),
        (
            "BK-28",
            &of("{type: email_engagement, templateKey: t, check: opened}"),
            "4:11: error: criteria: email engagement",
        ),
        (
            "BK-28",
            &of("{email: t, check: opened}"),
            "4:11: error: criteria: this is no condition (use event conditions",
        ),
        (
            "BK-29",
            &of("{event: e, within: {days: 7}}"),
            "4:31: error: criteria.within.days: unknown key `days`",
        ),
        (
            "BK-29",
            &of("{event: e, within: {hours: 0}}"),
            "4:30: error: criteria.within: must be more than zero",
        ),
        ("BK-29", &of("{event: e, within: 0s}"), "4:30: error: criteria.within: must be more than zero"),
        (
            "BK-29",
            &of("{event: e, withn: 7d}"),
            "4:22: error: criteria.withn: unknown key `withn` (did you mean `within`?)",
        ),
        ("BK-29", &of("{prop: p, gt: '5'}"), "4:25: error: criteria.gt: the operator needs a number"),
        (
            "BK-29",
            &of("{prop: p, contains: 5}"),
            "4:31: error: criteria.contains: the operator needs a string",
        ),
        (
            "BK-29",
            &of("{prop: p, eq: null}"),
            "4:25: error: criteria.eq: must be a string, a number, true or false",
        ),
        ("BK-29", &of("{prop: p}"), "4:11: error: criteria: needs one of the operators"),
        (
            "BK-29",
            &of("{prop: p, gt: 1, lt: 3}"),
            "4:28: error: criteria.lt: a condition has exactly one operator",
        ),
        ("BK-29", &of("{event: e, count: 3}"), "4:29: error: criteria.count: must be a comparison"),
        ("BK-29", &of("{event: e, count: {gte: many}}"), "4:35: error: criteria.count.gte: must be a number"),
        (
            "BK-29",
            &of("{event: e, count: {gte: 1}, exists: true}"),
            "4:11: error: criteria: has `exists` and `count`",
        ),
        ("BK-29", &of("{all: []}"), "4:11: warning: criteria: there are no conditions"),
        ("BK-29", &of("{any: {event: e}}"), "4:17: error: criteria.any: must be a list of conditions"),
        (
            "BK-29",
            &of("{not: {event: e}}"),
            "4:11: error: criteria: this is no condition (there is no negation",
        ),
        ("BK-29", &of("{type: propety, property: p}"), "4:18: error: criteria.type: must be one of property"),
        (
            "BK-29",
            &of("{type: property, property: p}"),
            "4:11: error: criteria.operator: the key `operator` is missing",
        ),
        (
            "BK-29",
            &of("{type: composite, operator: and, conditions: [{prop: p, eq: 1}, {event: e, within: 0s}]}"),
            "4:94: error: criteria.conditions[1].within: must be more than zero",
        ),
    ]);
}

#[test]
fn sb_25_dwell_limits() {
    assert!(issues(&with("maxDwell: 1h\nminDwell: 2h\n"))[0].starts_with("5:11: error: maxDwell: "));
    assert!(issues(&with("maxDwell: 2h\nminDwell: 120m\n")).is_empty());
}

#[test]
fn sb_74_what_loads() {
    for (criteria, error) in [
        ("{prop: plan, neq: free}", Some("positive condition")),
        ("{event: signup, exists: false}", Some("positive condition")),
        ("{event: e, within: 7d, exists: false}", None),
        ("{event: 'bucket:entered:x'}", Some("is an event of a bucket")),
        ("{type: email_engagement, templateKey: t, check: clicked}", Some("email engagement")),
    ] {
        let found = issues(&of(criteria));
        assert_eq!(found.len(), usize::from(error.is_some()), "{criteria}: {found:?}");
        assert!(error.is_none_or(|error| found[0].contains(error)), "{criteria}: {found:?}");
    }
    assert!(issues(&with("kind: manual\n"))[0].contains("not implemented in v1"));
}

#[test]
fn sb_77_empty_composites_load_with_a_warning() {
    for (operator, who) in [("and", "everyone"), ("or", "no one")] {
        let text = of(&format!("{{type: composite, operator: {operator}, conditions: []}}"));
        let found = issues(&text);
        assert!(found[0].contains("warning: criteria: ") && found[0].contains(who), "{found:?}");
    }
}

#[test]
fn sb_78_a_short_window_is_returned_in_long_form() {
    let criteria = serde_json::to_value(loaded(&of("{event: e, within: 7d}")).criteria).unwrap();
    assert_eq!(criteria["within"], json!({"hours": 168}));
}

#[test]
fn every_problem_of_every_file_is_reported() {
    let one = "nam: B\nenabled: on\ncriteria:\n  all:\n    - {event: 'bucket:x'}\n    - {prop: p, eqq: 1}\n    - foo\nmaxDwell: 7x\n";
    let two = "buckets:\n  - id: ok\n    name: Fine\n    enabled: true\n    criteria: {event: e}\n  - id: bad\n    name: Bad\n    enabled: true\n    criteria: {event: e, within: {}}\n  - 7\n";
    let files = [("two.yaml", two), ("one.yaml", one), ("three.json", "{\n  \"id\": ]\n}")];
    let (definitions, issues) = assemble(files.map(|(name, text)| (name.to_owned(), text.to_owned())));
    let lines: Vec<_> = issues.iter().map(ToString::to_string).collect();
    let expected = [
        "one.yaml:1:1: error: nam: unknown key `nam` (did you mean `name`?)",
        "one.yaml:1:1: error: id: the key `id` is missing",
        "one.yaml:1:1: error: name: the key `name` is missing",
        "one.yaml:2:10: error: enabled: must be true or false, is a string (in YAML 1.2 `on` is a string)",
        "one.yaml:5:15: error: criteria.all[0].event: `bucket:x` is an event of a bucket",
        "one.yaml:6:7: error: criteria.all[1]: needs one of the operators",
        "one.yaml:6:17: error: criteria.all[1].eqq: unknown key `eqq`",
        "one.yaml:7:7: error: criteria.all[2]: must be a condition, is a string",
        "one.yaml:8:11: error: maxDwell: `7x` is no duration",
        "three.json:2:9: error: not JSON: expected value",
        "two.yaml:9:34: error: buckets[1].criteria.within: a duration needs at least one of",
        "two.yaml:10:5: error: buckets[2]: must be a definition, is a number",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "expected {expected}, found {line}");
    }
    assert_eq!(definitions.iter().map(|definition| definition.id.as_str()).collect::<Vec<_>>(), ["ok"]);
}

#[test]
fn bk_10_duplicate_ids_and_order() {
    let bucket = |id: &str| with("").replace("id: b", &format!("id: {id}"));
    let list = "buckets:\n  - {id: z, name: Z, enabled: true, criteria: {event: e}}\n  - {id: a, name: A, enabled: true, criteria: {event: e}}\n  - {id: z, name: Z, enabled: true, criteria: {event: e}}\n";
    let files = [("c.yaml", bucket("b")), ("a.yaml", list.to_owned()), ("d.yaml", bucket("a"))];
    let (definitions, issues) = assemble(files.map(|(name, text)| (name.to_owned(), text)));
    assert_eq!(
        definitions.iter().map(|definition| definition.id.as_str()).collect::<Vec<_>>(),
        ["z", "a", "b"]
    );
    assert_eq!(
        issues.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "a.yaml:4:10: error: buckets[2].id: duplicate bucket id `z` (also at a.yaml:2:10)",
            "d.yaml:1:5: error: id: duplicate bucket id `a` (also at a.yaml:3:10)",
        ]
    );
}

#[test]
fn texts_that_are_no_definitions() {
    check(&[
        ("yaml", "id: [1, 2\nname: x", "2:5: error: not YAML: "),
        ("twice", "id: a\nid: b", "2:1: error: not YAML: duplicated key"),
        (
            "tag",
            &with("description: !secret x\n"),
            "5:14: error: description: the tag `!secret` means nothing here",
        ),
        ("key", &with("1: x\n"), "5:1: error: a key must be a string"),
        ("infinite", &of("{prop: p, gt: .inf}"), "4:25: error: criteria.gt: must be a finite number"),
        ("documents", &(with("") + "---\nid: c\n"), "6:1: error: a file holds one YAML document"),
        ("list", "- id: a", "1:1: error: must be a definition, is a list (put the list under `buckets:`)"),
        (
            "misspelt",
            "bucket:\n  - id: a",
            "1:1: error: bucket: unknown key `bucket` (did you mean `buckets`?)",
        ),
        ("no list", "buckets: {id: a}", "1:10: error: buckets: must be a list of definitions, is a map"),
        ("more", "buckets: []\nid: a", "2:1: error: id: unknown key `id`"),
        ("empty", "", "1:1: warning: the file holds no definition"),
        ("comment", "# nothing yet\n", "1:1: warning: the file holds no definition"),
        ("deep", &"- ".repeat(20_000), "1:1: error: not YAML: nested too deeply"),
        ("deep", &"[".repeat(20_000), "1:256: error: not YAML: recursion limit exceeded"),
    ]);
    assert!(issues("buckets: []").is_empty());
}

#[test]
fn json_files_are_read_with_their_lines() {
    let text = "\u{feff}{\n\t\"id\": \"b\", \"name\": \"Gr\\u00fc\\u00dfe \\ud83d\\ude00 \\\"B\\\"\\\\\",\n\t\"enabled\": true,\n\t\"criteria\": {\n\t\t\"prop\": \"ü\", \"gte\": 1e1 }\n}\n";
    let (definitions, issues) = load_file("b.JSON", text);
    assert!(issues.is_empty(), "{issues:?}");
    assert_eq!(definitions[0].name, "Grüße 😀 \"B\"\\");
    assert_eq!(
        serde_json::to_value(&definitions[0].criteria).unwrap(),
        json!({"type": "property", "property": "ü", "operator": "gte", "value": 10})
    );
    for (text, expected) in [
        ("{\"id\": \"b\",}", "b.json:1:12: error: not JSON: trailing comma"),
        ("{\"id\": \"b\"", "b.json:1:10: error: not JSON: EOF while parsing an object"),
        ("", "b.json:1:1: error: not JSON: EOF while parsing a value"),
        ("[]", "b.json:1:1: error: must be a definition, is a list"),
        ("{\"buckets\": [1]}", "b.json:1:14: error: buckets[0]: must be a definition, is a number"),
        ("null", "b.json:1:1: warning: the file holds no definition"),
    ] {
        let (_, issues) = load_file("b.json", text);
        assert_eq!(issues.len(), 1, "{text}: {issues:?}");
        assert!(issues[0].to_string().starts_with(expected), "{text}: {}", issues[0]);
    }
    let twice = "{\"id\": \"b\", \"name\": \"B\", \"enabled\": true,\n \"name\": \"C\", \"criteria\": {\"event\": \"e\"}}";
    let (_, issues) = load_file("b.json", twice);
    assert_eq!(issues[0].to_string(), "b.json:2:2: error: name: the key `name` is there twice");
}

#[test]
fn anchors_and_the_core_schema() {
    let text = "buckets:\n  - {id: a, name: A, enabled: true, criteria: &c {prop: state, eq: on}}\n  - {id: b, name: no, enabled: false, criteria: *c}\n";
    let (definitions, issues) = load_file("b.yaml", text);
    assert!(issues.is_empty(), "{issues:?}");
    assert_eq!(definitions[0].criteria, definitions[1].criteria);
    let criteria: Value = serde_json::to_value(&definitions[0].criteria).unwrap();
    assert_eq!((criteria["value"].clone(), definitions[1].name.as_str()), (json!("on"), "no"));
}
