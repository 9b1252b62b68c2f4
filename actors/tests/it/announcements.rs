//! What the world is told of a contact's own changes, by the scope that is set (OB-30 to OB-42).

use mainspring_actors::contact::{Call, Command, NewEvent, Policy};
use mainspring_schemas::{
    Properties, SourceId,
    event::contact::{ContactEvent, Source, Via},
    identity::{IdentityKey, KeyKind},
};
use serde_json::{Value, json};

use crate::harness::{Person, T0};

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
