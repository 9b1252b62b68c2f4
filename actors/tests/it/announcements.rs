//! What the world is told of a contact's own changes, by the scope that is set (OB-30 to OB-42).

use mainspring_actors::{
    api::{EngineError, UpsertCall},
    contact::{Call, Command, NewEvent, Policy},
};
use mainspring_schemas::{
    ContactId, Properties, SourceId, catalog,
    event::contact::{ContactEvent, Source, Via},
    identity::{IdentityKey, KeyKind},
    outbound_event::OutboundEvent,
};
use serde_json::{Value, json};

use crate::{
    harness::{Person, T0},
    world::{World, event, history},
};

/// A person whom no bucket concerns.
fn person(announce_all: bool) -> Person {
    let mut person =
        Person::new("  - {id: other, name: Other, enabled: true, criteria: {prop: other, eq: 1}}");
    person.policy = Policy { announce_all, ..Policy::default() };
    person
}

/// What was announced since `before`, each with the properties it tells of.
fn announced(person: &Person, before: usize) -> Vec<(String, Value)> {
    let announced = person.history[before..].iter().filter_map(|(event, _)| match event {
        ContactEvent::Announced(event) => {
            let properties = event.data.get("properties").cloned().unwrap_or_default();
            Some((event.outbound_type.to_string(), properties))
        }
        _ => None,
    });
    announced.collect()
}

/// Does something to a person and returns what that announced.
fn telling(person: &mut Person, act: impl FnOnce(&mut Person)) -> Vec<(String, Value)> {
    let before = person.history.len();
    act(person);
    announced(person, before)
}

fn one(outbound_type: &str, properties: Value) -> Vec<(String, Value)> {
    vec![(outbound_type.to_owned(), properties)]
}

/// An event of its kind that brings properties along.
fn arrives(person: &mut Person, source: Source, patch: Value) {
    let key = IdentityKey::new(KeyKind::External, "u1").unwrap();
    let unowned = if person.state.holds(&key) { vec![] } else { vec![key.clone()] };
    let via = if source == Source::Import { Via::Import } else { Via::Attached };
    let event = NewEvent {
        name: "x".into(),
        properties: Properties::new(),
        occurred_at: None,
        source,
        idempotency_key: None,
        request: 0,
    };
    let call = Call {
        keys: vec![key],
        unowned,
        designated: false,
        losers: vec![],
        conflicts: vec![],
        patch: patch.as_object().cloned().unwrap(),
        event: Some(event),
        via,
    };
    person.decide(Command::Call(Box::new(call)), false);
}

fn stripe() -> Source {
    Source::Webhook(SourceId::new("stripe").unwrap())
}

#[test]
fn ob_30_to_ob_32_explicit_management_is_announced_once_and_only_if_something_changed() {
    let mut ann = person(false);
    let told = telling(&mut ann, |ann| drop(ann.put(T0, json!({"plan": "pro"}))));
    assert_eq!(told, one("contact.created", json!({"plan": "pro"})), "OB-30");
    let told = telling(&mut ann, |ann| drop(ann.put(T0 + 1, json!({"plan": "pro", "none": null}))));
    assert_eq!(told, [], "OB-31: nothing changed");
    let told = telling(&mut ann, |ann| drop(ann.put(T0 + 2, json!({"plan": "free"}))));
    assert_eq!(told, one("contact.updated", json!({"plan": "free"})), "OB-31");
    let told = telling(&mut ann, |ann| drop(ann.decide(Command::Delete, false)));
    assert_eq!(told, one("contact.deleted", json!(null)), "OB-32");
}

#[test]
fn ob_41_what_traffic_brings_along_is_announced_only_if_everything_is() {
    for (source, by_all) in
        [(Source::Api, true), (stripe(), true), (Source::Admin, true), (Source::Import, false)]
    {
        for announce_all in [false, true] {
            let mut ann = person(announce_all);
            let created = telling(&mut ann, |ann| arrives(ann, source.clone(), json!({"n": 1})));
            let updated = telling(&mut ann, |ann| arrives(ann, source.clone(), json!({"n": 2})));
            let unchanged = telling(&mut ann, |ann| arrives(ann, source.clone(), json!({"n": 2})));
            let expected = match announce_all && by_all {
                true => [one("contact.created", json!({"n": 1})), one("contact.updated", json!({"n": 2}))],
                false => [vec![], vec![]],
            };
            assert_eq!([created, updated], expected, "{source:?}, all: {announce_all}");
            assert_eq!(unchanged, [], "{source:?}");
        }
    }
}

#[test]
fn ob_42_each_announcement_tells_the_contact_as_of_its_own_change() {
    let mut ann = person(false);
    let told = telling(&mut ann, |ann| {
        // Both at one instant.
        ann.put(T0, json!({"n": 1}));
        ann.put(T0, json!({"n": 2, "m": true}));
        ann.put(T0, json!({"n": null}));
    });
    let properties: Vec<Value> = told.into_iter().map(|(_, properties)| properties).collect();
    assert_eq!(properties, [json!({"n": 1}), json!({"n": 2, "m": true}), json!({"m": true})]);
}

fn vector(outbound_type: &str) -> Value {
    let path = "../tests/vectors/outbound/payloads.json";
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut cases = vectors["cases"].as_array().unwrap().iter();
    cases.find(|case| case["type"] == outbound_type).unwrap()["envelope"]["data"].clone()
}

#[actix::test]
async fn ob_01_what_happens_elsewhere_is_told_by_the_contact_it_happened_to() {
    fn read<T: serde::de::DeserializeOwned>(outbound_type: &str) -> T {
        serde_json::from_value(vector(outbound_type)).unwrap()
    }
    let running = World::new(T0).start(None).await;
    let engine = &running.engine;
    engine.ingest(event("u1", "visit")).await.unwrap();
    let merged = engine.ingest(event("e1", "visit")).await.unwrap().contact_id;
    let survivor = engine.ingest(event("u1 e1", "visit")).await.unwrap().contact_id;
    assert_ne!(survivor, merged);
    let told = [
        OutboundEvent::ContactUnsubscribed(read(catalog::CONTACT_UNSUBSCRIBED)),
        OutboundEvent::EmailSent(read(catalog::EMAIL_SENT)),
        OutboundEvent::EmailDelivered(read(catalog::EMAIL_DELIVERED)),
        OutboundEvent::EmailOpened(read(catalog::EMAIL_OPENED)),
        OutboundEvent::EmailClicked(read(catalog::EMAIL_CLICKED)),
        OutboundEvent::EmailAction(read(catalog::EMAIL_ACTION)),
        OutboundEvent::EmailBounced(read(catalog::EMAIL_BOUNCED)),
        OutboundEvent::EmailComplained(read(catalog::EMAIL_COMPLAINED)),
        OutboundEvent::JourneyCompleted(read(catalog::JOURNEY_COMPLETED)),
        OutboundEvent::LinkClicked(read(catalog::LINK_CLICKED)),
    ];
    assert_eq!(told.each_ref().map(OutboundEvent::outbound_type), catalog::WITHOUT_PRODUCER);
    for event in told {
        let (outbound_type, data) = (event.outbound_type(), event.data());
        let position = engine.tell(merged, event).await.unwrap();
        let record = engine.log().read_all(position, 1).await.unwrap().remove(0);
        assert_eq!(record.stream.contact_id(), Some(survivor));
        let found = ContactEvent::decode(&record.event_type, record.schema_version, &record.payload).unwrap();
        let ContactEvent::Announced(announced) = found else { panic!("{found:?}") };
        assert_eq!((announced.outbound_type.as_str(), announced.data), (outbound_type, data));
    }
    let nobody = ContactId(uuid::Uuid::from_u128(1));
    let event = OutboundEvent::LinkClicked(read(catalog::LINK_CLICKED));
    assert_eq!(engine.tell(nobody, event).await, Err(EngineError::NotFound));
}

#[actix::test]
async fn ct_91_what_the_public_contact_does_not_show_is_not_announced() {
    for announce_all in [false, true] {
        let mut world = World::new(T0);
        world.policy.announce_all = announce_all;
        let running = world.start(None).await;
        let engine = &running.engine;
        let calls = [
            ("u1", json!({"plan": "pro"}), Some("contact.created")),
            ("u1", json!({"plan": "pro"}), None),
            ("u1 e1", json!({}), Some("contact.updated")),
            ("u1 v1", json!({}), None),
            ("e1 d1", json!({}), None),
            ("u1 v2", json!({"plan": "free"}), Some("contact.updated")),
            ("u1 e2", json!({}), Some("contact.updated")),
        ];
        let mut expected: Vec<&str> = Vec::new();
        for (keys, properties, told) in calls {
            let call = UpsertCall {
                identity: event(keys, "x").identity,
                properties: properties.as_object().cloned().unwrap(),
                via: Via::Attached,
                trace: None,
            };
            let contact = engine.upsert(call).await.unwrap().id;
            expected.extend(told);
            let history = history(&**engine.log(), contact).await;
            let told = history.iter().filter_map(|event| match event {
                ContactEvent::Announced(event) => Some(event.outbound_type.as_str()),
                _ => None,
            });
            assert_eq!(told.collect::<Vec<_>>(), expected, "{keys} {properties}, all: {announce_all}");
        }
        running.stop().await;
    }
}
