//! The vectors of the destinations: envelope and endpoint to the exact request.

use std::sync::Arc;

use bytes::Bytes;
use mainspring_outbound::{
    destination::{Custom, DEFAULT_LIB, Destination, Envelope, Outgoing, Presets, Registry, Transformed},
    exchange::Request,
    ports::{Endpoint, QueuedDelivery},
};
use mainspring_schemas::{
    DeliveryId, EndpointId, MessageId, Timestamp,
    destination::{ConfigSchema, Description, assemble},
    event::endpoint::{EndpointSettings, SigningSecret},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::vectors::{cases, text, vectors};

const MESSAGE: MessageId = MessageId(Uuid::from_u128(0x9178_e61e_acfc_501c_82e3_dc1f_66c4_3ba4));

pub fn endpoint(described: &Value) -> Endpoint {
    Endpoint {
        settings: EndpointSettings {
            url: text(described, "url").to_owned(),
            description: None,
            event_types: vec!["*".to_owned()],
            kind: text(described, "kind").to_owned(),
            config: described["config"].as_object().cloned(),
            ..EndpointSettings::default()
        },
        secrets: Vec::new(),
        enabled: true,
        disabled_at: None,
        enabled_at: None,
    }
}

fn delivery(envelope: &Value) -> QueuedDelivery {
    let endpoint = EndpointId(Uuid::nil());
    QueuedDelivery {
        id: DeliveryId::of(&MESSAGE, endpoint),
        endpoint,
        message: MESSAGE,
        event_type: text(envelope, "type").into(),
        contact: None,
        body: Bytes::from(serde_json::to_vec(envelope).unwrap()),
        position: 0,
        attempts: 0,
        schedule_attempts: 0,
        requeues: 0,
        replay: false,
        due_at: Timestamp(0),
    }
}

pub fn transform(registry: &Registry, described: &Value, envelope: &Value) -> Transformed {
    let (endpoint, delivery) = (endpoint(described), delivery(envelope));
    registry.transform(&Outgoing {
        endpoint: &endpoint,
        delivery: &delivery,
        now: Timestamp(1_781_524_800_000),
    })
}

pub fn requested(transformed: Transformed) -> Request {
    match transformed {
        Transformed::Request(request) => request,
        other => panic!("{other:?}"),
    }
}

pub fn headers(request: &Request) -> Value {
    let title = |name: &str| {
        let upper = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
        name.split('-').map(upper).collect::<Vec<_>>().join("-")
    };
    let member = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        (title(name.as_str()), Value::from(value.to_str().unwrap()))
    };
    Value::Object(request.headers.iter().map(member).collect())
}

#[test]
fn ob_220_to_ob_252_every_vector_of_the_destinations() {
    let registry = Registry::new(&Presets::All, DEFAULT_LIB);
    let vectors = vectors("destinations");
    let cases = cases(&vectors, "/cases");
    assert_eq!(cases.len(), 53);
    for case in cases {
        let (id, expect) = (text(case, "id"), &case["expect"]);
        match transform(&registry, &case["endpoint"], &case["envelope"]) {
            Transformed::Skip => assert_eq!(expect, &json!({"skip": true}), "{id}"),
            Transformed::Config(fault) => {
                assert!(fault.contains(text(expect, "configError")), "{id} {fault}")
            }
            Transformed::Request(request) => {
                let expected = &expect["request"];
                assert_eq!(
                    (request.method.as_str(), request.url.as_str()),
                    (text(expected, "method"), text(expected, "url")),
                    "{id}"
                );
                assert_eq!(headers(&request), expected["headers"], "{id}");
                assert!(request.classifier.is_none(), "{id}");
                let mut body: Value = serde_json::from_slice(&request.body).unwrap();
                if expected["optionalBodyKeys"] == json!(["uuid"]) {
                    let uuid = body.as_object_mut().unwrap().remove("uuid");
                    assert_eq!(uuid, Some(json!(MESSAGE.0)), "OB-228 {id}");
                }
                assert_eq!(body, expected["bodyJson"], "{id}");
            }
        }
    }
}

#[test]
fn ob_203_enablement() {
    for case in cases(&vectors("enablement"), "/cases") {
        let presets = Presets::parse(case["env"]["ENABLED_DESTINATION_PRESETS"].as_str().unwrap_or_default());
        let registry = Registry::new(&presets, DEFAULT_LIB);
        for kind in ["webhook", "posthog", "segment", "slack", "unknown"] {
            let enabled = cases_of(&case["enabled"]).contains(&kind);
            assert_eq!(registry.is_registered(kind), enabled, "{kind} {case}");
        }
        let mut known: Vec<_> = registry.descriptions().map(|description| description.id.as_str()).collect();
        known.sort_unstable();
        assert_eq!(known, ["posthog", "segment", "slack", "webhook"], "OB-74: whatever is enabled");
        let unknown: &[&str] =
            if case["env"]["ENABLED_DESTINATION_PRESETS"] == "unknown" { &["unknown"] } else { &[] };
        assert_eq!(registry.unknown(&presets), unknown);
    }
}

fn cases_of(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

#[test]
fn ob_204_what_is_not_registered_is_never_sent_elsewhere() {
    let signed = SigningSecret { secret: mainspring_outbound::secret::generate([7; 32]), expires_at: None };
    let described = json!({"url": "https://hooks.example.com/x", "kind": "slack", "config": {}});
    let endpoint = Endpoint { secrets: vec![signed], ..endpoint(&described) };
    let delivery = delivery(&json!({"id": "msg_1", "type": "email.sent", "timestamp": "t", "data": {}}));
    let outgoing = Outgoing { endpoint: &endpoint, delivery: &delivery, now: Timestamp(0) };
    let Transformed::Config(fault) = Registry::default().transform(&outgoing) else { panic!("not refused") };
    assert_eq!(fault, "destination \"slack\" is not registered");
}

#[test]
fn ob_206_identity_is_the_first_that_is_not_empty() {
    let registry = Registry::new(&Presets::All, "own-lib");
    let described =
        |kind: &str, key: &str| json!({"url": "https://a.example/", "kind": kind, "config": {key: "k"}});
    for (data, identity) in [
        (json!({"userId": "u", "anonymousId": "a", "to": "t"}), Some("u")),
        (json!({"userId": "", "anonymousId": "a", "to": "t"}), Some("a")),
        (json!({"userId": null, "to": "t", "userEmail": "e"}), Some("t")),
        (json!({"to": "", "userEmail": "e"}), Some("e")),
        (json!({"userId": 7, "userEmail": ""}), None),
    ] {
        let envelope = json!({"id": "msg_1", "type": "email.sent", "timestamp": "t", "data": data});
        let segment: Value = serde_json::from_slice(
            &requested(transform(&registry, &described("segment", "writeKey"), &envelope)).body,
        )
        .unwrap();
        assert_eq!(segment["userId"].as_str(), identity, "{data}");
        assert_eq!(segment["anonymousId"].as_str(), identity.is_none().then_some("msg_1"), "{data}");
        assert_eq!(segment["properties"]["$lib"], "own-lib", "OB-207");
        match transform(&registry, &described("posthog", "apiKey"), &envelope) {
            Transformed::Skip => assert_eq!(identity, None, "OB-227"),
            other => {
                let capture: Value = serde_json::from_slice(&requested(other).body).unwrap();
                assert_eq!(capture["distinct_id"].as_str(), identity, "{data}");
            }
        }
    }
}

#[test]
fn ob_242_a_merge_is_an_event_of_who_is_left() {
    let registry = Registry::new(&Presets::All, DEFAULT_LIB);
    let described = json!({"url": "https://a.example/", "kind": "segment", "config": {"writeKey": "k"}});
    for (survivor, user_id) in [
        (json!({"id": "i", "externalId": "e", "email": "ada@example.com"}), json!("e")),
        (json!({"id": "i", "externalId": null, "email": "ada@example.com"}), json!("i")),
    ] {
        let data =
            json!({"survivor": survivor, "loser": {"id": "gone", "externalId": "old"}, "reason": "identify"});
        let envelope = json!({"id": "msg_1", "type": "contact.merged", "timestamp": "t", "data": data});
        let request = requested(transform(&registry, &described, &envelope));
        let track: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!((&track["userId"], &track["anonymousId"]), (&user_id, &Value::Null));
    }
}

#[test]
fn ob_225_a_person_is_known_by_its_contact_key() {
    let registry = Registry::default();
    let described = json!({"url": "posthog://capture", "kind": "posthog", "config": {"apiKey": "k", "syncPersons": true}});
    let data = json!({"id": "i", "externalId": "e", "contactKey": "c", "email": "ada@example.com", "properties": {"a": 1}});
    let envelope = json!({"id": "msg_1", "type": "contact.updated", "timestamp": "t", "data": data});
    let request = requested(transform(&registry, &described, &envelope));
    let capture: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!((capture["distinct_id"].as_str(), capture["event"].as_str()), (Some("c"), Some("$set")));
    assert!(!String::from_utf8_lossy(&request.body).contains("ada@example.com"), "never the address");
    // A type nobody thought of then does not leave by accident.
    let merged = json!({"id": "msg_1", "type": "contact.merged", "timestamp": "t", "data": data});
    assert!(matches!(transform(&registry, &described, &merged), Transformed::Skip));
}

#[test]
fn ob_201_an_envelope_that_cannot_be_read_is_a_fault() {
    let registry = Registry::new(&Presets::All, DEFAULT_LIB);
    for (kind, key) in [("posthog", "apiKey"), ("segment", "writeKey"), ("slack", "username")] {
        let endpoint = endpoint(&json!({"url": "https://a.example/", "kind": kind, "config": {key: "k"}}));
        let blank = QueuedDelivery { body: Bytes::new(), ..delivery(&json!({"type": "email.sent"})) };
        let outgoing = Outgoing { endpoint: &endpoint, delivery: &blank, now: Timestamp(0) };
        assert!(matches!(registry.transform(&outgoing), Transformed::Config(_)), "{kind}");
    }
}

struct Own(Description);

fn own(kind: &str) -> Description {
    Description {
        id: kind.to_owned(),
        name: "Own".to_owned(),
        description: None,
        events: vec!["*".to_owned()],
        config: ConfigSchema::default(),
        placeholder_url: None,
        secret_url: false,
    }
}

impl Destination for Own {
    fn description(&self) -> &Description {
        &self.0
    }

    fn transform(&self, outgoing: &Outgoing<'_>) -> Transformed {
        let envelope: Envelope = serde_json::from_slice(&outgoing.delivery.body).unwrap();
        let url = outgoing.endpoint.settings.url.as_str();
        Transformed::Request(Request::post(url, reqwest::header::HeaderMap::new(), envelope.id))
    }
}

#[test]
fn ob_261_a_destination_that_panics_costs_its_own_delivery() {
    let mut registry = Registry::default();
    registry.register(Arc::new(Own(own("slack"))));
    let described = json!({"url": "https://own.example/", "kind": "slack", "config": null});
    // `Own` expects an id, and there is none.
    let made = transform(&registry, &described, &json!({"type": "email.sent"}));
    let Transformed::Config(text) = made else { panic!("no fault: {made:?}") };
    assert_eq!(text, "destination \"slack\" failed to make a request");
}

#[test]
fn ob_261_a_destination_in_code_takes_the_place_of_a_preset() {
    let mut registry = Registry::default();
    registry.register(Arc::new(Own(own("slack"))));
    assert!(registry.is_registered("slack"));
    let names: Vec<_> =
        registry.descriptions().filter(|found| found.id == "slack").map(|found| &found.name).collect();
    assert_eq!(names, ["Own"]);
    let described = json!({"url": "https://own.example/", "kind": "slack", "config": null});
    let envelope = json!({"id": "msg_9", "type": "email.sent", "timestamp": "t", "data": {}});
    assert_eq!(&requested(transform(&registry, &described, &envelope)).body[..], b"msg_9");
}

#[test]
fn ob_01_what_analytics_alone_is_told_leaves_to_nobody_else() {
    let mut registry = Registry::new(&Presets::All, DEFAULT_LIB);
    let data = json!({"userId": "ada", "alias": "v1", "property": "p", "isMember": true});
    let secrets =
        vec![SigningSecret { secret: mainspring_outbound::secret::generate([7; 32]), expires_at: None }];
    let leaves = |registry: &Registry, kind: &str, event_type: &str| {
        let config = json!({"apiKey": "k", "writeKey": "k"});
        let described = json!({"url": "https://a.example/", "kind": kind, "config": config});
        let envelope = json!({"id": "msg_1", "type": event_type, "timestamp": "t", "data": data});
        let endpoint = Endpoint { secrets: secrets.clone(), ..endpoint(&described) };
        let outgoing = Outgoing { endpoint: &endpoint, delivery: &delivery(&envelope), now: Timestamp(0) };
        match registry.transform(&outgoing) {
            Transformed::Request(_) => true,
            Transformed::Skip => false,
            Transformed::Config(fault) => panic!("{kind}: {fault}"),
        }
    };
    for event_type in ["analytics.alias", "analytics.person"] {
        for kind in ["posthog", "segment", "slack", "webhook"] {
            assert_eq!(leaves(&registry, kind, event_type), kind == "posthog", "{kind} {event_type}");
            assert!(leaves(&registry, kind, "email.sent"), "{kind}");
        }
    }
    let description = registry.descriptions().find(|known| known.id == "posthog").cloned().unwrap();
    registry.register(Arc::new(Own(description)));
    assert!(!leaves(&registry, "posthog", "analytics.alias"), "another one in its place");
}

fn example() -> Registry {
    let path = "../examples/destinations/crm.yaml";
    let (definitions, issues) = assemble([(path.to_owned(), std::fs::read_to_string(path).unwrap())]);
    assert!(issues.is_empty(), "{issues:?}");
    let mut registry = Registry::default();
    for definition in definitions {
        registry.register(Arc::new(Custom::new(definition)));
    }
    registry
}

#[test]
fn ob_260_the_request_of_a_file() {
    let registry = example();
    let described =
        |config: Value| json!({"url": "https://crm.example.com/", "kind": "crm", "config": config});
    let envelope = json!({
        "id": "msg_1", "type": "contact.created", "timestamp": "2026-06-15T12:00:00.000Z",
        "data": {"externalId": null, "email": "ada@example.com", "seats": 3, "tags": ["a"]},
    });
    let request = requested(transform(&registry, &described(json!({"token": "t-1"})), &envelope));
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("POST", "https://eu.crm.example.com/ingest")
    );
    assert_eq!(headers(&request), json!({"Authorization": "Bearer t-1", "Content-Type": "application/json"}));
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let expected = json!({
        "kind": "contact.created", "who": "ada@example.com", "at": "2026-06-15T12:00:00.000Z",
        "payload": {"externalId": null, "email": "ada@example.com", "seats": 3, "tags": ["a"]},
    });
    assert_eq!(body, expected);
    let accepts = |body: &str| request.classifier.as_ref().unwrap().accepts(200, body.as_bytes());
    assert!(accepts("{\"ok\":true}") && !accepts("{\"ok\":false}"));
    assert!(!format!("{request:?}").contains("t-1"), "OB-86");

    let us = requested(transform(&registry, &described(json!({"token": "t", "region": "us"})), &envelope));
    assert_eq!(us.url, "https://us.crm.example.com/ingest");
    for (config, fault) in [
        (json!({}), "missing config.token"),
        (json!({"token": ""}), "missing config.token"),
        (json!({"token": "line\nend"}), "the header Authorization cannot be sent"),
        (
            json!({"token": "t", "region": "evil.com/"}),
            "the values in request.url make no URL of its domain and path",
        ),
    ] {
        match transform(&registry, &described(config.clone()), &envelope) {
            Transformed::Config(text) => assert_eq!(text, fault, "{config}"),
            other => panic!("{config} {other:?}"),
        }
    }
    // An endpoint may be subscribed since before the file said what it takes.
    for (event_type, sent) in
        [("contact.created", true), ("webhook.test", true), ("bucket.entered", false), ("email.sent", false)]
    {
        let told = json!({"id": "msg_1", "type": event_type, "timestamp": "t", "data": {}});
        let transformed = transform(&registry, &described(json!({"token": "t"})), &told);
        assert_eq!(matches!(transformed, Transformed::Request(_)), sent, "OB-200 {event_type}");
        assert_eq!(matches!(transformed, Transformed::Skip), !sent, "OB-200 {event_type}");
    }
    let ping = json!({"id": "msg_1", "type": "email.bounced", "timestamp": "t", "data": {"templateKey": "internal/ping"}});
    assert!(matches!(transform(&registry, &described(json!({"token": "t"})), &ping), Transformed::Skip));
}
