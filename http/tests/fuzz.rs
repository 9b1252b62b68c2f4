//! Fuzz targets of inbound webhooks: every check of a header and every mapping of a payload must take anything. Each runs
//! as an ordinary test on random inputs; `cargo bolero test -p mainspring-http --test fuzz <target>` searches with coverage.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may stop a test")]

use std::{convert::Infallible, panic::AssertUnwindSafe, path::PathBuf};

use bolero::check;
use mainspring_http::sources::{
    headers::Headers,
    registry::{Registry, RegistrySettings},
    source::{Meaning, Source},
    verify::{Request, Secrets, Verified, verify},
};
use mainspring_schemas::{
    Timestamp,
    source::{Auth, assemble},
};
use serde_json::{Value, json};

/// 2026-06-15T12:00:00Z.
const NOW: Timestamp = Timestamp(1_781_524_800_000);

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn root() -> PathBuf {
    PathBuf::from("..")
}

/// All presets, the example, and one with everything that a file can say.
fn registry() -> AssertUnwindSafe<Registry> {
    let example = std::fs::read_to_string(root().join("examples/sources/billing.yaml")).unwrap();
    let other = json!({
        "source": "other",
        "auth": {"type": "signature", "env": "O", "header": "x-sig", "scheme": {
            "algorithm": "sha512", "encoding": "base64", "prefix": "v=", "content": "{{timestamp}}.{{body}}",
            "timestamp_header": "x-time", "tolerance": "5m",
        }},
        "rules": [
            {"when": {"prop": "body.kind", "eq": "a"}, "event": "{{ body.name | lower }}", "user_id": "{{ body.user | string }}",
             "event_properties": {"spread": "body.data", "n": "{{ body.n | int | max(3) }}"}},
            {"event": "other", "anonymous_id": "{{ headers['x-visitor'] }}", "occurred_at": "{{ body.at | date }}",
             "contact_properties": {"plan": {"value": "{{ body.plan }}", "clear": true}}},
        ],
    });
    let files = [("billing.yaml".to_owned(), example), ("other.json".to_owned(), other.to_string())];
    let (definitions, issues) = assemble(files);
    assert!(issues.is_empty(), "{issues:?}");
    let secret = |_: &str| Ok::<_, Infallible>(Some(SECRET.to_owned()));
    AssertUnwindSafe(Registry::assemble(definitions, &RegistrySettings::default(), secret).unwrap().0)
}

/// Every payload of the vectors.
fn payloads() -> Vec<Value> {
    let mut payloads = Vec::new();
    for preset in ["clerk", "supabase", "stripe", "segment", "posthog"] {
        let path = root().join(format!("tests/vectors/webhook-sources/{preset}.json"));
        let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for case in vectors["cases"].as_array().unwrap() {
            let body = case["request"]["body"].as_str().unwrap();
            payloads.extend(serde_json::from_str(body).ok());
        }
    }
    assert!(payloads.len() > 60, "{}", payloads.len());
    payloads
}

/// Puts something else into one place of a document, chosen by the input.
fn mutate(value: &mut Value, input: &[u8]) {
    const STRANGE: [fn(&[u8]) -> Value; 9] = [
        |_| Value::Null,
        |_| json!({}),
        |_| json!([[[]]]),
        |_| json!(-1),
        |_| json!(1e300),
        |_| json!(true),
        |_| json!(""),
        |rest| Value::from(String::from_utf8_lossy(rest)),
        |_| json!("9999-12-31T23:59:59.999Z"),
    ];
    let Some((&choice, rest)) = input.split_first() else { return };
    let nth = usize::from(choice);
    match value {
        Value::Object(members) if !members.is_empty() && choice < 230 => {
            let key = members.keys().nth(nth % members.len()).unwrap().clone();
            mutate(&mut members[&key], rest);
        }
        Value::Array(elements) if !elements.is_empty() && choice < 230 => {
            let place = nth % elements.len();
            mutate(&mut elements[place], rest);
        }
        other => *other = STRANGE[nth % STRANGE.len()](rest),
    }
}

/// What is ingested is complete: it has a name and says whose it is, and is never of the future (WS-51).
fn interpret(source: &Source, headers: &Headers, body: &[u8]) {
    let request = Request { headers, body, now: NOW };
    if let Ok(Meaning::Event(event)) = source.interpret(request, &Verified::default()) {
        assert!(!event.event.is_empty(), "{event:?}");
        assert!(
            event.user_id.is_some() || event.anonymous_id.is_some() || event.email.is_some(),
            "{event:?}"
        );
        assert!(event.occurred_at.is_none_or(|at| at.0 >= 0 && at <= NOW), "{event:?}");
    }
}

/// WS-26: no header makes a check fail in another way than by "no", and nothing random is taken for a signature.
#[test]
fn signature_headers() {
    let registry = registry();
    let auths: Vec<&Auth> = registry.iter().map(|source| &source.auth).collect();
    let names = [
        "svix-id",
        "svix-timestamp",
        "svix-signature",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "stripe-signature",
        "x-signature",
        "x-sig",
        "x-time",
        "x-supabase-webhook-secret",
        "x-posthog-webhook-secret",
        "authorization",
    ];
    let secrets = Secrets::read(SECRET).unwrap();
    check!().for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        let mut values = text.split('\n');
        let mut headers: Vec<(&str, String)> =
            names.iter().map(|name| (*name, values.next().unwrap_or_default().to_owned())).collect();
        // Close to what is right: the time is now, the versions are there.
        let close = [
            ("svix-timestamp", (NOW.0 / 1000).to_string()),
            ("x-time", (NOW.0 / 1000).to_string()),
            ("svix-signature", format!("v1,{text} v1,{text}")),
            ("stripe-signature", format!("t={},v1={text},v1={text}", NOW.0 / 1000)),
        ];
        for round in 0..2 {
            let given: Headers = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            for auth in &auths {
                let request = Request { headers: &given, body: input, now: NOW };
                assert!(text.contains(SECRET) || verify(auth, &secrets, request).is_err());
            }
            if round == 0 {
                headers.extend(close.iter().cloned());
            }
        }
    });
}

/// WS-02: any bytes at all, mapped by every source.
#[test]
fn any_payload() {
    let registry = registry();
    check!().for_each(|input: &[u8]| {
        for source in registry.iter() {
            interpret(source, &Headers::default(), input);
        }
    });
}

/// Payloads of the vectors with something strange in one place.
#[test]
fn almost_a_payload() {
    let registry = registry();
    let payloads = payloads();
    check!().for_each(|input: &[u8]| {
        let Some((&choice, rest)) = input.split_first() else { return };
        let mut payload = payloads[usize::from(choice) % payloads.len()].clone();
        mutate(&mut payload, rest);
        let body = payload.to_string();
        let visitor = String::from_utf8_lossy(rest).replace('\0', "");
        let headers: Headers = [("x-visitor", &*visitor)].into_iter().collect();
        for source in registry.iter() {
            interpret(source, &headers, body.as_bytes());
        }
    });
}

/// WS-140: files of sources are read, or refused with their problems named.
#[test]
fn source_file() {
    let example = std::fs::read_to_string(root().join("examples/sources/billing.yaml")).unwrap();
    check!().for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        let place = usize::from(input.first().copied().unwrap_or_default()) * example.len() / 256;
        let place = example.floor_char_boundary(place);
        let spliced = format!("{}{text}{}", &example[..place], &example[place..]);
        for text in [text.into_owned(), spliced] {
            let (definitions, issues) = assemble([("s.yaml".to_owned(), text)]);
            assert!(!definitions.is_empty() || !issues.is_empty());
        }
    });
}
