//! The JSON Schema of envelopes, for those who receive them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};

use super::{
    BucketTransition, ContactData, ContactDeleted, ContactMerged, ContactUnsubscribed, EmailAction,
    EmailBounced, EmailClicked, EmailComplained, EmailNotice, EmailSent, JourneyCompleted, LinkClicked,
};
use crate::catalog;

/// A lower-case UUID.
pub(super) struct Id;

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uuid" })
    }
}

/// An instant on the wire.
pub(super) struct Instant;

impl JsonSchema for Instant {
    fn schema_name() -> Cow<'static, str> {
        "Instant".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$" })
    }
}

/// Schema of the `data` of one type of the catalog, or of `webhook.test`; `None` if there is no such type.
pub fn type_schema(outbound_type: &str) -> Option<Value> {
    let schema = match outbound_type {
        catalog::CONTACT_CREATED | catalog::CONTACT_UPDATED => of::<ContactData>(),
        catalog::CONTACT_DELETED => of::<ContactDeleted>(),
        catalog::CONTACT_MERGED => of::<ContactMerged>(),
        catalog::CONTACT_UNSUBSCRIBED => of::<ContactUnsubscribed>(),
        catalog::EMAIL_SENT => of::<EmailSent>(),
        catalog::EMAIL_DELIVERED | catalog::EMAIL_OPENED => of::<EmailNotice>(),
        catalog::EMAIL_CLICKED => of::<EmailClicked>(),
        catalog::EMAIL_ACTION => of::<EmailAction>(),
        catalog::EMAIL_BOUNCED => of::<EmailBounced>(),
        catalog::EMAIL_COMPLAINED => of::<EmailComplained>(),
        catalog::JOURNEY_COMPLETED => of::<JourneyCompleted>(),
        catalog::LINK_CLICKED => of::<LinkClicked>(),
        catalog::BUCKET_ENTERED | catalog::BUCKET_LEFT => of::<BucketTransition<'_>>(),
        catalog::BUCKET_REACTION => reaction(),
        catalog::WEBHOOK_TEST => test(),
        _ => return None,
    };
    Some(schema)
}

/// Schema of the body of every delivery of kind `webhook` (OB-50).
pub fn envelope_schema() -> Value {
    let types: Vec<&str> = catalog::subscribable().chain([catalog::WEBHOOK_TEST]).collect();
    let data_of = |name: &&str| {
        json!({
            "if": {"properties": {"type": {"const": name}}},
            "then": {"properties": {"data": {"$ref": format!("#/$defs/{name}")}}},
        })
    };
    let definitions: Map<String, Value> =
        types.iter().filter_map(|name| Some(((*name).to_owned(), type_schema(name)?))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "envelope.schema.json",
        "title": "Mainspring outbound event",
        "description": "The signed body of every webhook. Members may be added to data at any time.",
        "type": "object",
        "additionalProperties": false,
        "required": ["id", "type", "timestamp", "data"],
        "properties": {
            "id": {"type": "string", "pattern": "^msg_[A-Za-z0-9_-]+$"},
            "type": {"enum": types},
            "timestamp": Instant::json_schema(&mut SchemaGenerator::default()),
            "data": {"type": "object"},
        },
        "allOf": types.iter().map(data_of).collect::<Vec<Value>>(),
        "$defs": definitions,
    })
}

fn of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

/// `data` of `bucket.reaction` (BK-120): what the transition was, and what the author of the bucket adds.
fn reaction() -> Value {
    json!({
        "type": "object",
        "required": ["name", "reaction", "bucketId", "bucketName", "userId", "userEmail", "transition", "entryCount",
            "source", "data"],
        "properties": {
            "name": text("The author's name of it."),
            "reaction": text("Which reaction of the bucket."),
            "bucketId": text("Which bucket."),
            "bucketName": text("Its name for people."),
            "userId": text("Who: the contact key."),
            "userEmail": {"type": ["string", "null"], "description": "Their address."},
            "transition": {"enum": ["entered", "left", "dwelled"]},
            "entryCount": {"type": "integer", "minimum": 1, "description": "Ordinal of the stay."},
            "source": text("What made it happen."),
            "isFirstEntry": {"type": "boolean", "description": "Only of a join."},
            "reason": text("Why the stay ended; only of a leave."),
            "dwellCount": {"type": "integer", "minimum": 1, "description": "How often it has fired; only of a dwell."},
            "data": {"type": "object", "description": "What the author of the bucket adds."},
        },
    })
}

/// `data` of `webhook.test` (OB-23).
fn test() -> Value {
    json!({
        "type": "object",
        "required": ["message", "endpointId", "sentAt", "userId", "to"],
        "properties": {
            "message": text("Free text."),
            "endpointId": {"type": "string", "format": "uuid"},
            "sentAt": Instant::json_schema(&mut SchemaGenerator::default()),
            "userId": text("`test_` and the endpoint's id."),
            "to": text("A fixed address."),
        },
    })
}
