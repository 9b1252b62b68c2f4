//! Outbound events against the vectors: `tests/vectors/outbound/{payloads,event.schema}.json`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may stop a test")]

use mainspring_schemas::{
    catalog::{self, OUTBOUND_TYPES, WITHOUT_PRODUCER, subscribable},
    outbound_event::{OutboundEvent, envelope_schema, type_schema},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

fn vector(file: &str) -> Value {
    let path = format!("../tests/vectors/outbound/{file}");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn read<T: DeserializeOwned>(data: &Value) -> T {
    serde_json::from_value(data.clone()).unwrap()
}

/// The typed event of a vector; `None` for those that a contact's stream does not announce.
fn typed(outbound_type: &str, data: &Value) -> Option<OutboundEvent> {
    use OutboundEvent as Event;
    Some(match outbound_type {
        catalog::CONTACT_CREATED => Event::ContactCreated(read(data)),
        catalog::CONTACT_UPDATED => Event::ContactUpdated(read(data)),
        catalog::CONTACT_DELETED => Event::ContactDeleted(read(data)),
        catalog::CONTACT_UNSUBSCRIBED => Event::ContactUnsubscribed(read(data)),
        catalog::EMAIL_SENT => Event::EmailSent(read(data)),
        catalog::EMAIL_DELIVERED => Event::EmailDelivered(read(data)),
        catalog::EMAIL_OPENED => Event::EmailOpened(read(data)),
        catalog::EMAIL_CLICKED => Event::EmailClicked(read(data)),
        catalog::EMAIL_ACTION => Event::EmailAction(read(data)),
        catalog::EMAIL_BOUNCED => Event::EmailBounced(read(data)),
        catalog::EMAIL_COMPLAINED => Event::EmailComplained(read(data)),
        catalog::JOURNEY_COMPLETED => Event::JourneyCompleted(read(data)),
        catalog::LINK_CLICKED => Event::LinkClicked(read(data)),
        _ => return None,
    })
}

#[test]
fn ob_01_the_catalog_is_the_documented_one_in_its_order() {
    assert_eq!(vector("payloads.json")["catalog"], serde_json::json!(OUTBOUND_TYPES));
    assert!(WITHOUT_PRODUCER.iter().all(|name| OUTBOUND_TYPES.contains(name)));
}

#[test]
fn ob_10_to_ob_22_every_payload_is_what_its_type_says() {
    let published = jsonschema::validator_for(&envelope_schema()).unwrap();
    let documented = jsonschema::validator_for(&vector("event.schema.json")).unwrap();
    let vectors = vector("payloads.json");
    let mut typed_ones = 0;
    for case in vectors["cases"].as_array().unwrap() {
        let mut envelope = case["envelope"].clone();
        assert!(published.is_valid(&envelope), "{case}");
        let (name, data) = (envelope["type"].as_str().unwrap().to_owned(), envelope["data"].clone());
        let Some(event) = typed(&name, &data) else { continue };
        typed_ones += 1;
        assert_eq!((event.outbound_type(), Value::Object(event.data())), (name.as_str(), data));
        envelope["data"] = Value::Object(event.data());
        assert!(documented.is_valid(&envelope), "{envelope}");
    }
    assert_eq!(typed_ones, OUTBOUND_TYPES.len() - 2, "all but the two transitions");
}

#[test]
fn ob_01_every_type_has_a_schema_that_demands_what_the_documented_one_demands() {
    let documented = vector("event.schema.json");
    for name in subscribable().chain([catalog::WEBHOOK_TEST]) {
        let schema = type_schema(name).unwrap_or_else(|| panic!("{name} has no schema"));
        let Some(required) = documented["$defs"][name]["required"].as_array() else { continue };
        let ours = schema["required"].as_array().unwrap();
        for member in required {
            assert!(ours.contains(member), "{name} does not demand {member}");
        }
    }
    assert!(type_schema("contact.exploded").is_none());
}
