//! The JSON Schema of criteria as files may write them: the long form, and the short forms of BK-37.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{Composite, Criteria, EmailLeaf, EventLeaf, PropertyLeaf, Scalar};
use crate::duration::DurationSpec;

/// A condition in long form, as it is stored and returned.
#[derive(JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "LongForm")]
#[expect(dead_code, reason = "only its schema is used")]
enum LongForm {
    Property(PropertyLeaf),
    Event(EventLeaf),
    EmailEngagement(EmailLeaf),
    Composite(Composite),
}

impl JsonSchema for Criteria {
    fn schema_name() -> Cow<'static, str> {
        "Criteria".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let criteria = generator.subschema_for::<Self>();
        let scalar = generator.subschema_for::<Scalar>();
        let duration = generator.subschema_for::<DurationSpec>();
        let number = json_schema!({ "type": "number" });
        let name = json_schema!({ "type": "string", "minLength": 1 });
        let list = json_schema!({ "type": "array", "items": criteria });
        json_schema!({
            "description": "A predicate over one contact: in long form with `type`, in short form, or a list of which \
                            all must hold.",
            "anyOf": [
                generator.subschema_for::<LongForm>(),
                {
                    "description": "Short form: one comparison of one property of the contact.",
                    "type": "object",
                    "properties": {
                        "prop": name,
                        "eq": scalar, "neq": scalar,
                        "gt": number, "gte": number, "lt": number, "lte": number,
                        "contains": { "type": "string" },
                        "exists": { "type": "boolean" },
                    },
                    "required": ["prop"],
                    "additionalProperties": false,
                    "minProperties": 2,
                    "maxProperties": 2,
                },
                {
                    "description": "Short form: events of one exact name; at least one of them unless said otherwise.",
                    "type": "object",
                    "properties": {
                        "event": name,
                        "within": duration,
                        "exists": { "type": "boolean" },
                        "count": {
                            "type": "object",
                            "properties": { "gt": number, "gte": number, "lt": number, "lte": number, "eq": number },
                            "additionalProperties": false,
                            "minProperties": 1,
                            "maxProperties": 1,
                        },
                    },
                    "required": ["event"],
                    "not": { "required": ["exists", "count"] },
                    "additionalProperties": false,
                },
                {
                    "description": "Short form: all of these hold.",
                    "type": "object",
                    "properties": { "all": list },
                    "required": ["all"],
                    "additionalProperties": false,
                },
                {
                    "description": "Short form: any of these holds.",
                    "type": "object",
                    "properties": { "any": list },
                    "required": ["any"],
                    "additionalProperties": false,
                },
                list,
            ],
        })
    }
}
