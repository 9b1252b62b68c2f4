//! The JSON Schema that editors use to check a destination file while it is written.

use serde_json::{Value, json};

use super::{Method, read::TYPES};
use crate::catalog::subscribable;

/// Schema of a destination file.
pub fn destination_schema() -> Value {
    let types = TYPES.map(|(name, _)| name);
    let methods = Method::ALL.map(|(name, _)| name);
    let events: Vec<&str> = subscribable().collect();
    let text = json!({ "type": "string", "minLength": 1 });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "destination.schema.json",
        "title": "Mainspring destination",
        "description": "A kind of endpoint: how an outbound event becomes a request. Strings of `request` may hold \
            expressions, {{ path | filter }}, whose paths begin with envelope, data, config or endpoint.",
        "type": "object",
        "required": ["destination", "events", "request"],
        "additionalProperties": false,
        "properties": {
            "destination": {
                "description": "The kind of its endpoints. It takes the place of a preset with the same id.",
                "type": "string", "pattern": "^[a-z0-9_-]{1,64}$",
            },
            "name": text,
            "description": text,
            "events": {
                "description": "The types it takes: exact, <group>.* or *.",
                "type": "array", "minItems": 1,
                "items": { "anyOf": [{ "enum": events }, { "type": "string", "pattern": "^(\\*|[a-z]+\\.\\*)$" }] },
            },
            "config": {
                "description": "The keys of an endpoint's config.",
                "type": "object",
                "additionalProperties": {
                    "type": "object", "required": ["type"], "additionalProperties": false,
                    "properties": {
                        "type": { "enum": types },
                        "required": { "type": "boolean" },
                        "secret": {
                            "description": "Hidden in every answer. Names that look like credentials always are.",
                            "type": "boolean",
                        },
                        "default": { "type": ["string", "number", "boolean"] },
                    },
                },
            },
            "skip_if": { "description": "What is delivered without a request.", "$ref": "#/$defs/condition" },
            "request": {
                "type": "object", "required": ["url"], "additionalProperties": false,
                "properties": {
                    "method": { "enum": methods, "default": "POST" },
                    "url": {
                        "description": "Scheme, port and registrable domain must be literal.",
                        "type": "string", "pattern": "^https?://",
                    },
                    "headers": { "type": "object", "additionalProperties": { "type": "string" } },
                    "json": { "description": "The body; without it the envelope itself is sent." },
                },
            },
            "success": {
                "description": "Which answers are a success; without it every 2xx is one.",
                "type": "object", "additionalProperties": false,
                "properties": {
                    "status": {
                        "anyOf": [
                            { "type": "integer", "minimum": 200, "maximum": 599 },
                            { "type": "string", "pattern": "^[2-5][0-9]{2}(-[2-5][0-9]{2})?$" },
                        ],
                    },
                    "body_contains": text,
                    "body_not_contains": text,
                },
            },
        },
        "$defs": { "condition": condition() },
    })
}

fn condition() -> Value {
    let list = json!({ "type": "array", "items": { "$ref": "#/$defs/condition" } });
    let one = |key: &str, value: &Value| json!({ "type": "object", "required": [key], "additionalProperties": false, "properties": { key: value } });
    let scalar = json!({ "type": ["string", "number", "boolean"] });
    let number = json!({ "type": "number" });
    json!({
        "anyOf": [
            list,
            one("all", &list),
            one("any", &list),
            one("not", &json!({ "$ref": "#/$defs/condition" })),
            {
                "type": "object", "required": ["prop"], "minProperties": 2, "maxProperties": 2,
                "additionalProperties": false,
                "properties": {
                    "prop": { "type": "string", "minLength": 1 },
                    "eq": scalar, "neq": scalar, "gt": number, "gte": number, "lt": number, "lte": number,
                    "contains": { "type": "string", "minLength": 1 }, "exists": { "type": "boolean" },
                },
            },
        ],
    })
}
