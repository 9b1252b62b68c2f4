//! The published schemas are what the code produces, and accept what the loader accepts.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{fs, path::PathBuf};

use mainspring_schemas::{
    definition::{bucket_schema, criteria_schema, load_file},
    destination,
    outbound_event::envelope_schema,
    source,
};
use serde_json::{Value, json};

fn root() -> PathBuf {
    PathBuf::from(".")
}

/// Compares a committed file with what the code produces; `MAINSPRING_BLESS=1` writes it first. Values are compared,
/// because the order of keys depends on features of `serde_json` that other crates of a build may switch on.
fn check(file: &str, produced: &Value) {
    let path = root().join("json").join(file);
    if std::env::var_os("MAINSPRING_BLESS").is_some() {
        fs::write(&path, serde_json::to_string_pretty(produced).unwrap() + "\n").unwrap();
    }
    let committed: Value =
        serde_json::from_str(&fs::read_to_string(&path).unwrap_or_default()).unwrap_or_default();
    assert!(
        committed == *produced,
        "schemas/json/{file} is out of date; regenerate it with\n    \
         MAINSPRING_BLESS=1 cargo nextest run -p mainspring-schemas --test json_schema"
    );
}

#[test]
fn the_bucket_schema_is_up_to_date() {
    check("bucket.schema.json", &bucket_schema());
}

#[test]
fn the_criteria_schema_is_up_to_date() {
    check("criteria.schema.json", &criteria_schema());
}

#[test]
fn the_envelope_schema_is_up_to_date() {
    check("envelope.schema.json", &envelope_schema());
}

#[test]
fn the_source_schema_is_up_to_date() {
    check("source.schema.json", &source::source_schema());
}

#[test]
fn the_destination_schema_is_up_to_date() {
    check("destination.schema.json", &destination::destination_schema());
}

#[test]
fn the_destination_schema_agrees_with_the_reader() {
    let validator = jsonschema::validator_for(&destination::destination_schema()).unwrap();
    for (file, text) in examples("destinations") {
        assert!(validator.is_valid(&as_json(&file, &text)), "{file}");
    }
    let with = |key: &str, value: Value| {
        let mut file =
            json!({"destination": "a", "events": ["email.*"], "request": {"url": "https://a.example/"}});
        file[key] = value;
        file
    };
    for (accepted, document) in [
        (true, with("name", json!("A"))),
        (true, with("skip_if", json!([{"not": {"prop": "data.a", "exists": true}}]))),
        (
            true,
            with(
                "request",
                json!({"url": "http://a.example/{{ data.x }}", "method": "PUT", "json": ["{{ data }}", null, 1]}),
            ),
        ),
        (true, with("success", json!({"status": "200-202", "body_contains": "ok"}))),
        (true, with("success", json!({"status": 204}))),
        (true, with("config", json!({"a": {"type": "url", "default": "https://b.example/"}}))),
        (false, with("destination", json!("A"))),
        (false, with("events", json!([]))),
        (false, with("events", json!(["webhook.test"]))),
        (false, with("request", json!({}))),
        (false, with("request", json!({"url": "{{ config.url }}"}))),
        (false, with("request", json!({"url": "https://a.example/", "method": "GET"}))),
        (false, with("skip_if", json!({"prop": "data.a"}))),
        (false, with("skip_if", json!({"prop": "data.a", "gt": "1"}))),
        (false, with("success", json!({"status": 100}))),
        (false, with("config", json!({"a": {"required": true}}))),
        (false, with("nope", json!(1))),
    ] {
        let (definitions, issues) = destination::assemble([("a.json".to_owned(), document.to_string())]);
        assert_eq!(
            (definitions.len() == 1, issues.is_empty()),
            (accepted, accepted),
            "{document} {issues:?}"
        );
        assert_eq!(validator.is_valid(&document), accepted, "{document}");
    }
}

/// Folders of `examples` whose files describe no buckets.
const OTHER_FOLDERS: [&str; 2] = ["destinations", "sources"];

/// The files of buckets below `examples`, with their text.
fn bucket_examples() -> Vec<(String, String)> {
    let folders = fs::read_dir(root().join("../examples")).unwrap();
    let names = folders.map(|folder| folder.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !OTHER_FOLDERS.contains(&name.as_str())).flat_map(|name| examples(&name)).collect()
}

/// All files below a folder of `examples`, with their text.
fn examples(folder: &str) -> Vec<(String, String)> {
    let mut folders = vec![root().join("../examples").join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_owned);
            match extension.as_deref() {
                _ if path.is_dir() => folders.push(path),
                Some("yaml" | "json") => {
                    files.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
                }
                _ => {}
            }
        }
    }
    files
}

/// A document as a validator sees it: YAML as JSON.
fn as_json(file: &str, text: &str) -> Value {
    fn convert(node: &saphyr::Yaml<'_>) -> Value {
        if let Some(map) = node.as_mapping() {
            let member =
                |(key, value): (&saphyr::Yaml<'_>, _)| (key.as_str().unwrap().to_owned(), convert(value));
            return Value::Object(map.iter().map(member).collect());
        }
        if let Some(list) = node.as_sequence() {
            return Value::Array(list.iter().map(convert).collect());
        }
        if let Some(value) = node.as_bool() {
            return json!(value);
        }
        if let Some(value) = node.as_integer() {
            return json!(value);
        }
        if let Some(value) = node.as_floating_point() {
            return json!(value);
        }
        node.as_str().map_or(Value::Null, |value| json!(value))
    }
    if file.ends_with(".json") {
        return serde_json::from_str(text).unwrap();
    }
    use saphyr::LoadableYamlNode;
    convert(&saphyr::Yaml::load_from_str(text).unwrap()[0])
}

#[test]
fn the_examples_load_and_fit_the_schema() {
    let validator = jsonschema::validator_for(&bucket_schema()).unwrap();
    let examples = bucket_examples();
    assert!(examples.len() >= 8, "examples are missing");
    for (file, text) in examples {
        let (definitions, issues) = load_file(&file, &text);
        assert!(issues.is_empty(), "{issues:?}");
        assert!(!definitions.is_empty(), "{file}");
        if let Err(error) = validator.validate(&as_json(&file, &text)) {
            panic!("{file}: {error}");
        }
        // The canonical form fits as well.
        for definition in definitions {
            assert!(validator.is_valid(&serde_json::to_value(definition).unwrap()), "{file}");
        }
    }
}

#[test]
fn ws_140_the_example_sources_load_and_fit_the_schema() {
    let validator = jsonschema::validator_for(&source::source_schema()).unwrap();
    let files = examples("sources");
    assert!(!files.is_empty());
    for (file, text) in files {
        let (definitions, issues) = source::assemble([(file.clone(), text.clone())]);
        assert!(issues.is_empty() && definitions.len() == 1, "{issues:?}");
        if let Err(error) = validator.validate(&as_json(&file, &text)) {
            panic!("{file}: {error}");
        }
    }
}

#[test]
fn ws_143_the_source_schema_agrees_with_the_reader() {
    let validator = jsonschema::validator_for(&source::source_schema()).unwrap();
    let source = |change: Value| {
        let mut source = json!({
            "source": "s", "auth": {"type": "match", "env": "S", "header": "x-s"}, "event": "e", "user_id": "u",
        });
        for (key, value) in change.as_object().unwrap() {
            match value {
                Value::Null => drop(source.as_object_mut().unwrap().remove(key)),
                value => source[key] = value.clone(),
            }
        }
        source
    };
    let signature =
        |scheme: Value| json!({"auth": {"type": "signature", "env": "S", "header": "x", "scheme": scheme}});
    let rules = |rules: Value| json!({"rules": rules, "event": null, "user_id": null});
    for (change, good) in [
        (json!({}), true),
        (signature(json!("hmac-hex")), true),
        (signature(json!("stripe")), true),
        (signature(json!("svix")), false),
        (signature(json!("rsa")), false),
        (signature(json!({"algorithm": "sha512", "encoding": "base64", "prefix": "p="})), true),
        (signature(json!({"algorithm": "md5", "encoding": "hex"})), false),
        (
            json!({"auth": {"type": "signature", "env": "S", "scheme": "svix", "fallback_header": "x-f"}}),
            true,
        ),
        (json!({"auth": {"type": "match", "env": "a secret!", "header": "x"}}), false),
        (json!({"source": "email"}), false),
        (json!({"source": "Billing"}), false),
        (json!({"require": {"id": "string", "n": "number?", "o": {"l": "list"}}}), true),
        (json!({"require": {"id": "text"}}), false),
        (json!({"on_delete": "erase"}), true),
        (json!({"on_delete": "delete"}), false),
        (json!({"event": null}), false),
        (json!({"user_id": null}), false),
        (json!({"userId": "u"}), false),
        (
            json!({"when": {"all": [{"prop": "body.a", "eq": 1}, {"not": {"prop": "headers.b", "exists": true}}]}}),
            true,
        ),
        (json!({"when": {"prop": "body.a", "is": 1}}), false),
        (json!({"event_properties": {"spread": "body.x", "a": [1, {"b": "{{ body.c }}"}]}}), true),
        (json!({"contact_properties": {"a": {"value": "{{ body.c }}", "clear": true}}}), true),
        (rules(json!([{"event": "a", "email": "b"}])), true),
        (rules(json!([{"event": "a", "email": "b", "rules": []}])), false),
        (rules(json!([{"event": "a"}])), false),
        (rules(json!([])), false),
        (json!({"rules": [{"event": "a", "email": "b"}]}), false),
    ] {
        let source = source(change);
        let (definitions, issues) = source::assemble([("s.json".to_owned(), source.to_string())]);
        assert_eq!(issues.is_empty(), good, "{source}: {issues:?}");
        assert_eq!(definitions.len(), usize::from(good), "{source}");
        assert_eq!(validator.is_valid(&source), good, "{source}");
    }
}

#[test]
fn the_criteria_schema_agrees_with_the_reader() {
    let validator = jsonschema::validator_for(&criteria_schema()).unwrap();
    for criteria in [
        json!({"type": "property", "property": "plan", "operator": "eq", "value": "pro"}),
        json!({"type": "property", "property": "plan", "operator": "exists"}),
        json!({"type": "event", "eventName": "e", "check": "count", "operator": "gte", "value": 2.5, "within": "7d"}),
        json!({"type": "composite", "operator": "or", "conditions": [{"prop": "a", "eq": 1}, {"all": []}]}),
        json!({"prop": "a", "exists": false}),
        json!([{"event": "e"}, {"event": "e", "within": {"hours": 1.5}, "count": {"lt": 3}}]),
        json!({"any": [{"event": "e", "within": "1d12h", "exists": false}, [{"prop": "b", "contains": "x"}]]}),
        json!([]),
    ] {
        let (_, problems) = mainspring_schemas::criteria::read_json(&criteria);
        let refused = problems.iter().any(|p| p.severity == mainspring_schemas::criteria::Severity::Error);
        let negative = problems.iter().any(|p| p.message.contains("positive condition"));
        assert!(!refused || negative, "{criteria}: {problems:?}");
        assert!(validator.is_valid(&criteria), "{criteria}");
    }
    for criteria in [
        json!({"type": "property", "property": "plan", "operator": "is", "value": "pro"}),
        json!({"type": "property", "property": "plan", "operator": "eq", "value": null}),
        json!({"type": "property", "property": "plan", "operator": "exists", "nope": 1}),
        json!({"type": "event", "eventName": "e", "check": "exists", "within": {"days": 7}}),
        json!({"type": "event", "eventName": "e", "check": "exists", "within": {}}),
        json!({"type": "event", "eventName": "e", "check": "exists", "within": "7 days"}),
        json!({"type": "event", "check": "exists"}),
        json!({"prop": "a"}),
        json!({"prop": "a", "gt": 1, "lt": 3}),
        json!({"event": "e", "count": {}}),
        json!({"event": "e", "count": {"gte": 1}, "exists": true}),
        json!({"all": {"prop": "a", "eq": 1}}),
        json!({"not": {"event": "e"}}),
        json!("pro"),
    ] {
        assert!(mainspring_schemas::criteria::read_json(&criteria).0.is_none(), "{criteria}");
        assert!(!validator.is_valid(&criteria), "{criteria}");
    }
}
