//! What requests mean, and which sources are mounted: the pure part of the edge.

use std::convert::Infallible;

use mainspring_http::sources::{
    event::{ProviderKey, SourceEvent},
    headers::Headers,
    preset::PresetOptions,
    registry::{AssemblyError, Notice, Registry, RegistrySettings},
    source::{Meaning, Refusal},
    verify::Request,
};
use mainspring_schemas::{
    Timestamp,
    source::{OnDelete, assemble},
};
use serde_json::{Value, json};

use crate::cases;

fn registry(environment: &Value, settings: &RegistrySettings) -> (Registry, Vec<Notice>) {
    let variable = |name: &str| {
        environment.get(name).and_then(Value::as_str).filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let presets = variable("ENABLED_WEBHOOK_PRESETS");
    let settings = RegistrySettings { presets, ..settings.clone() };
    Registry::assemble(Vec::new(), &settings, |name| Ok::<_, Infallible>(variable(name))).unwrap()
}

/// Runs the request of a case up to ingest.
fn run(case: &Value, settings: &RegistrySettings) -> Result<Option<SourceEvent>, Refusal> {
    let (registry, _) = registry(&case["env"], settings);
    let request = &case["request"];
    let id = request["path"].as_str().unwrap().rsplit('/').next().unwrap();
    let source = registry.get(id).unwrap();
    let headers: Headers = request["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    let body = request["body"].as_str().unwrap().as_bytes();
    let now = Timestamp(case["now"].as_i64().unwrap() * 1000);
    let request = Request { headers: &headers, body, now };
    let verified = source.authenticate(source.secrets(), request)?;
    Ok(match source.interpret(request, &verified)? {
        Meaning::Event(event) => Some(*event),
        Meaning::Skipped(_) => None,
    })
}

/// An event as the vectors write it: an unknown address is empty, and what is absent is not there.
fn shown(event: &SourceEvent, expected: &Value) -> Value {
    let mut shown = serde_json::to_value(event).unwrap();
    let members = shown.as_object_mut().unwrap();
    members.remove("providerKey");
    if expected.get("userEmail") == Some(&json!("")) {
        members.entry("userEmail").or_insert(json!(""));
    }
    shown
}

/// Compares the events of all requests of a file; answers are compared with the edge itself.
fn vectors(file: &str, count: usize) {
    let mut wrong = Vec::new();
    for case in cases(file, count) {
        let expected = &case["expect"]["ingest"];
        let event = match run(&case, &RegistrySettings::default()) {
            Ok(Some(event)) => shown(&event, expected),
            Ok(None) | Err(_) => Value::Null,
        };
        if event != *expected {
            wrong.push(format!("{file} {}:\n  {event}\nexpected\n  {expected}", case["id"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ws_60_to_ws_71_clerk() {
    vectors("clerk.json", 22);
}

#[test]
fn ws_75_to_ws_83_supabase() {
    vectors("supabase.json", 18);
}

#[test]
fn ws_85_to_ws_106_stripe() {
    vectors("stripe.json", 26);
}

#[test]
fn ws_110_to_ws_120_segment() {
    vectors("segment.json", 19);
}

#[test]
fn ws_130_to_ws_135_posthog() {
    vectors("posthog.json", 10);
}

#[test]
fn ws_42_enablement() {
    for case in cases("enablement.json", 13) {
        let (registry, _) = registry(&case["env"], &RegistrySettings::default());
        let mounted: Vec<&str> = registry.iter().map(|source| source.id.as_str()).collect();
        let mut expected: Vec<&str> =
            case["enabled"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        expected.sort_unstable();
        assert_eq!(mounted, expected, "{case}");
    }
}

#[test]
fn ws_42_unknown_presets_are_told() {
    let environment = json!({"ENABLED_WEBHOOK_PRESETS": "stripe, unknown"});
    let (registry, notices) = registry(&environment, &RegistrySettings::default());
    assert_eq!(registry.iter().count(), 0);
    let without = Notice::PresetWithoutSecret("stripe", "STRIPE_WEBHOOK_SECRET".to_owned());
    assert_eq!(notices, [Notice::UnknownPreset("unknown".to_owned()), without], "CF-32");
    let said: Vec<String> = notices.iter().map(Notice::to_string).collect();
    assert_eq!(
        said[1],
        "ENABLED_WEBHOOK_PRESETS: `stripe` is not mounted until STRIPE_WEBHOOK_SECRET is set"
    );
    for all in [json!({}), json!({"ENABLED_WEBHOOK_PRESETS": "*"})] {
        assert_eq!(self::registry(&all, &RegistrySettings::default()).1, [], "nobody asked for any by name");
    }
}

#[test]
fn ws_20_only_match_sources_can_be_open() {
    let unauthenticated = Some("posthog, clerk".to_owned());
    let settings = RegistrySettings { unauthenticated, ..RegistrySettings::default() };
    let (registry, notices) = registry(&json!({}), &settings);
    let mounted: Vec<&str> = registry.iter().map(|source| source.id.as_str()).collect();
    assert_eq!(mounted, ["posthog"]);
    assert!(matches!(&notices[0], Notice::Open(id) if id.as_str() == "posthog"));
    assert_eq!(notices[1], Notice::NotMounted("WEBHOOK_ALLOW_UNAUTHENTICATED", "clerk".to_owned()));
    let (_, notices) = self::registry(&json!({"CLERK_WEBHOOK_SECRET": "a"}), &settings);
    assert!(matches!(&notices[0], Notice::NeverOpen(id) if id.as_str() == "clerk"), "{notices:?}");
}

#[test]
fn ws_20_ws_52_nobody_erases_without_a_proof() {
    let settings = RegistrySettings {
        unauthenticated: Some("posthog".to_owned()),
        erase_on_delete: Some("posthog".to_owned()),
        ..RegistrySettings::default()
    };
    let assemble = |secret: Option<&str>| {
        let secret = |name: &str| {
            Ok::<_, Infallible>(secret.filter(|_| name.starts_with("POSTHOG")).map(str::to_owned))
        };
        Registry::assemble(Vec::new(), &settings, secret)
    };
    assert!(matches!(assemble(None), Err(AssemblyError::OpenErasure(id)) if id.as_str() == "posthog"));
    assert_eq!(assemble(Some("a")).unwrap().1, [], "a secret closes it");
}

/// The registry with one source of a file.
fn defined(text: &str, environment: &Value) -> (Registry, Vec<Notice>) {
    let (definitions, issues) = assemble([("s.yaml".to_owned(), text.to_owned())]);
    assert!(issues.is_empty(), "{issues:?}");
    let variable = |name: &str| environment.get(name).and_then(Value::as_str).map(str::to_owned);
    let settings = RegistrySettings::default();
    Registry::assemble(definitions, &settings, |name| Ok::<_, Infallible>(variable(name))).unwrap()
}

#[test]
fn ws_40_a_source_of_a_file_replaces_the_preset_of_its_id() {
    let text =
        "source: stripe\nname: Ours\nauth: { type: match, env: OURS, header: x-s }\nevent: e\nuser_id: u\n";
    let (registry, notices) = defined(text, &json!({"STRIPE_WEBHOOK_SECRET": "a"}));
    let names: Vec<&str> = registry.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["Ours"]);
    assert!(matches!(&notices[..], [Notice::NoSecret(id, env)] if id.as_str() == "stripe" && env == "OURS"));
}

#[test]
fn ws_54_a_source_of_a_file_cannot_store_its_secret() {
    let text = r#"
source: own
auth: { type: match, env: OWN, header: X-Own }
event: "{{ headers['x-topic'] }}"
user_id: "u{{ headers['x-own'] }}{{ headers.authorization }}{{ headers.cookie }}"
"#;
    let (registry, _) = defined(text, &json!({"OWN": "secret"}));
    let headers: Headers =
        [("X-Own", "secret"), ("Authorization", "Bearer b"), ("Cookie", "c"), ("X-Topic", "t")]
            .into_iter()
            .collect();
    let request = Request { headers: &headers, body: b"{}", now: Timestamp(0) };
    let source = registry.get("own").unwrap();
    let verified = source.authenticate(source.secrets(), request).unwrap();
    let Ok(Meaning::Event(event)) = source.interpret(request, &verified) else { panic!() };
    assert_eq!((event.event.as_str(), event.user_id.as_deref()), ("t", Some("u")));
}

#[test]
fn ws_52_erasing_is_chosen_per_source() {
    let erase_on_delete = Some("Stripe".to_owned());
    let settings = RegistrySettings { erase_on_delete, ..RegistrySettings::default() };
    let environment = json!({"STRIPE_WEBHOOK_SECRET": "a", "CLERK_WEBHOOK_SECRET": "b"});
    let (registry, notices) = registry(&environment, &settings);
    let chosen: Vec<OnDelete> = registry.iter().map(|source| source.on_delete).collect();
    assert_eq!((chosen, notices.len()), (vec![OnDelete::Event, OnDelete::Erase], 0));
}

#[test]
fn ws_106_the_application_s_own_id_in_stripe_s_metadata() {
    let case = cases("stripe.json", 26).remove(0);
    let plain = run(&case, &RegistrySettings::default()).unwrap().unwrap();
    assert_eq!(plain.provider_key, Some(ProviderKey { id: "cus_VectorAda".to_owned(), user_id: None }));
    let preset_options =
        PresetOptions { stripe_user_id_key: Some("app_user".to_owned()), ..PresetOptions::default() };
    let settings = RegistrySettings { preset_options, ..RegistrySettings::default() };
    let told = run(&case, &settings).unwrap().unwrap();
    assert_eq!(told.provider_key.unwrap().user_id.as_deref(), Some("user_123"));
    assert_eq!(told.user_id.as_deref(), Some("cus_VectorAda"), "the answer stays what it was");
}

/// Interprets a payload as an unauthenticated posthog source does.
fn interpret(payload: &[u8]) -> Result<Meaning, Refusal> {
    let settings =
        RegistrySettings { unauthenticated: Some("posthog".to_owned()), ..RegistrySettings::default() };
    let (registry, _) = registry(&json!({}), &settings);
    let headers = Headers::default();
    let request = Request { headers: &headers, body: payload, now: Timestamp(1_781_524_800_000) };
    let source = registry.get("posthog").unwrap();
    source.interpret(request, &source.authenticate(source.secrets(), request)?)
}

fn posthog(event: Value) -> Result<Meaning, Refusal> {
    interpret(json!({ "event": event }).to_string().as_bytes())
}

#[test]
fn ws_131_who_is_not_identified_is_a_visitor() {
    for (identified, anonymous) in [
        (json!(false), true),
        (json!("false"), true),
        (json!("true"), false),
        (json!(null), false),
        (json!(0), false),
    ] {
        let event = json!({"event": "e", "distinct_id": "d", "properties": {"$is_identified": identified}});
        let Ok(Meaning::Event(event)) = posthog(event) else { panic!("{identified}") };
        assert_eq!(
            (event.anonymous_id.is_some(), event.user_id.is_some()),
            (anonymous, !anonymous),
            "{identified}"
        );
    }
}

#[test]
fn ws_17_names_of_the_engine_are_skipped() {
    for name in ["bucket:entered:x", "journey:done"] {
        let meaning = posthog(json!({"event": name, "distinct_id": "u"}));
        assert_eq!(meaning, Ok(Meaning::Skipped("reserved_name")));
    }
}

#[test]
fn ws_51_an_event_is_never_in_the_future() {
    for (given, expected) in [
        (json!("2030-01-01T00:00:00Z"), Some("2026-06-15T12:00:00.000Z")),
        (json!("2026-06-15T09:00:00Z"), Some("2026-06-15T09:00:00.000Z")),
        (json!("yesterday"), None),
        (json!(5), None),
    ] {
        let event = posthog(json!({"event": "e", "distinct_id": "u", "timestamp": given}));
        let Ok(Meaning::Event(event)) = event else { panic!("{event:?}") };
        assert_eq!(event.occurred_at.map(|at| at.to_string()).as_deref(), expected);
    }
}

#[test]
fn ws_02_ws_27_bytes_that_are_no_text_are_no_json() {
    assert_eq!(interpret(b"{\"event\": \"\xff\"}"), Err(Refusal::Malformed));
    assert_eq!(interpret(b""), Err(Refusal::Malformed));
    let with_mark = "\u{feff}{\"event\": {\"event\": \"e\", \"distinct_id\": \"u\"}}";
    assert!(matches!(interpret(with_mark.as_bytes()), Ok(Meaning::Event(_))));
}

#[test]
fn ws_15_the_limits_of_events_hold_for_sources() {
    for (event, key) in [
        (json!({"event": "x".repeat(201), "distinct_id": "u"}), "event"),
        (json!({"event": "a\u{7}", "distinct_id": "u"}), "event"),
        (json!({"event": "e", "distinct_id": "u".repeat(513)}), "userId"),
        (json!({"event": "e", "distinct_id": "u\u{0}"}), "userId"),
        (json!({"event": "e", "distinct_id": "u", "uuid": "x".repeat(600)}), "idempotencyKey"),
    ] {
        let Err(Refusal::Mismatch(mismatch)) = posthog(event) else { panic!("{key}") };
        assert!(mismatch.field_errors.contains_key(key), "{mismatch:?}");
    }
}
