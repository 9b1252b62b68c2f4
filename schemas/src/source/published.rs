//! The JSON Schema that editors use to check source files while they are written.

use serde_json::{Value, json};

use super::{Algorithm, RESERVED_IDS};

/// Schema of a source file.
pub fn source_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "source.schema.json",
        "title": "Mainspring inbound webhook source",
        "type": "object",
        "properties": source_properties(),
        "required": ["source", "auth"],
        "unevaluatedProperties": false,
        "oneOf": [
            { "required": ["rules"] },
            { "$ref": "#/$defs/rule", "properties": { "rules": false } },
        ],
        "$defs": {
            "auth": { "oneOf": [matching(), signature()] },
            "shape": {
                "description": "What a member must be; a `?` behind a word makes it optional.",
                "oneOf": [
                    { "type": "string", "pattern": "^(string|number|boolean|list|object|any)\\??$" },
                    { "type": "object", "additionalProperties": { "$ref": "#/$defs/shape" } },
                ],
            },
            "condition": condition(),
            "rule": {
                "type": "object",
                "properties": rule_properties(),
                "required": ["event"],
                "anyOf": [
                    { "required": ["user_id"] },
                    { "required": ["email"] },
                    { "required": ["anonymous_id"] },
                ],
            },
            "eventBag": bag("What happened; stored with the event."),
            "contactBag": bag("Who the person is; merged into the contact. {value, clear: true} removes what has no value."),
        },
    })
}

fn source_properties() -> Value {
    json!({
        "source": {
            "description": "The last part of the path: POST /v1/webhooks/<source>.",
            "type": "string",
            "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$",
            "not": { "enum": RESERVED_IDS },
        },
        "name": text("Shown to people."),
        "description": text("Shown to people."),
        "auth": { "$ref": "#/$defs/auth" },
        "require": {
            "description": "What a payload must look like; else it is refused.",
            "type": "object",
            "additionalProperties": { "$ref": "#/$defs/shape" },
        },
        "on_delete": {
            "description": "What `contact.deleted` does: one more event, or the contact is erased.",
            "enum": ["event", "erase"],
        },
        "rules": {
            "description": "The first rule that applies decides.",
            "type": "array",
            "minItems": 1,
            "items": { "$ref": "#/$defs/rule", "unevaluatedProperties": false },
        },
    })
}

fn rule_properties() -> Value {
    json!({
        "when": { "description": "Which payloads; others are skipped.", "$ref": "#/$defs/condition" },
        "event": text("Name of the event."),
        "user_id": template("The person's id at the application."),
        "email": template("The person's address."),
        "anonymous_id": template("A visitor's id."),
        "event_properties": { "$ref": "#/$defs/eventBag" },
        "contact_properties": { "$ref": "#/$defs/contactBag" },
        "idempotency_key": template("By which a repeat is recognized."),
        "occurred_at": template("When it happened: ISO 8601, or unix seconds or milliseconds."),
    })
}

fn text(description: &str) -> Value {
    json!({ "description": description, "type": "string", "minLength": 1 })
}

fn template(description: &str) -> Value {
    json!({ "description": description, "type": "string" })
}

fn header() -> Value {
    json!({ "description": "Name of a header.", "type": "string", "minLength": 1 })
}

fn variable() -> Value {
    json!({
        "description": "Name of the environment variable that holds the secret.",
        "type": "string",
        "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
    })
}

fn matching() -> Value {
    json!({
        "type": "object",
        "properties": { "type": { "const": "match" }, "env": variable(), "header": header() },
        "required": ["type", "env", "header"],
        "additionalProperties": false,
    })
}

fn signature() -> Value {
    let algorithms: Vec<&str> = Algorithm::ALL.iter().map(|(name, _)| *name).collect();
    let with = |scheme: Value, more: Value, required: &[&str]| {
        let mut properties = json!({
            "type": { "const": "signature" }, "scheme": scheme, "env": variable(), "fallback_header": header(),
        });
        if let (Value::Object(properties), Value::Object(more)) = (&mut properties, more) {
            properties.extend(more);
        }
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    };
    let detailed = json!({
        "type": "object",
        "properties": {
            "algorithm": { "enum": algorithms },
            "encoding": { "enum": ["hex", "base64"] },
            "prefix": text("What stands before the signature, such as sha1=."),
            "content": text("What is signed: {{timestamp}} and {{body}} among text; the body if nothing is said."),
            "timestamp_header": header(),
            "tolerance": { "description": "How far the timestamp may be from now; 300s if unset.", "type": ["string", "object"] },
        },
        "required": ["algorithm", "encoding"],
        "additionalProperties": false,
    });
    let usual = ["type", "scheme", "env"];
    let hmac = json!({
        "header": header(),
        "algorithms": { "type": "array", "minItems": 1, "items": { "enum": algorithms } },
    });
    json!({
        "oneOf": [
            with(json!({ "const": "svix" }), json!({}), &usual),
            with(json!({ "const": "stripe" }), json!({ "header": header() }), &usual),
            with(json!({ "const": "hmac-hex" }), hmac, &usual),
            with(detailed, json!({ "header": header() }), &["type", "scheme", "env", "header"]),
        ],
    })
}

fn condition() -> Value {
    let operand = json!({ "type": ["string", "number", "boolean"] });
    let conditions = json!({ "type": "array", "items": { "$ref": "#/$defs/condition" } });
    let compare = |key: &str, operand: &Value| {
        json!({
            "type": "object",
            "properties": { "prop": text("A path such as body.type."), key: operand },
            "required": ["prop", key],
            "additionalProperties": false,
        })
    };
    let nested = |key: &str, inner: &Value| {
        json!({
            "type": "object",
            "properties": { key: inner },
            "required": [key],
            "additionalProperties": false,
        })
    };
    let number = json!({ "type": "number" });
    json!({
        "oneOf": [
            conditions,
            nested("all", &conditions),
            nested("any", &conditions),
            nested("not", &json!({ "$ref": "#/$defs/condition" })),
            compare("eq", &operand),
            compare("neq", &operand),
            compare("gt", &number),
            compare("gte", &number),
            compare("lt", &number),
            compare("lte", &number),
            compare("contains", &json!({ "type": "string", "minLength": 1 })),
            compare("exists", &json!({ "type": "boolean" })),
        ],
    })
}

fn bag(description: &str) -> Value {
    json!({
        "description": description,
        "type": "object",
        "properties": { "spread": text("The path of an object that is copied first, such as body.metadata.") },
    })
}
