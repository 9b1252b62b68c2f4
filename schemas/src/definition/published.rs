//! The JSON Schemas that editors use to check definition files while they are written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::Value;

use super::BucketDefinition;
use crate::criteria::Criteria;

/// What a definition file holds.
struct BucketFile;

impl JsonSchema for BucketFile {
    fn schema_name() -> Cow<'static, str> {
        "BucketFile".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let definition = generator.subschema_for::<BucketDefinition>();
        json_schema!({
            "description": "A bucket definition, or several under `buckets`.",
            "anyOf": [
                definition,
                {
                    "type": "object",
                    "properties": { "buckets": { "type": "array", "items": definition } },
                    "required": ["buckets"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// Schema of a definition file, short forms included.
pub fn bucket_schema() -> Value {
    schema_of::<BucketFile>("bucket.schema.json", "Mainspring bucket definition")
}

/// Schema of criteria, short forms included.
pub fn criteria_schema() -> Value {
    schema_of::<Criteria>("criteria.schema.json", "Mainspring bucket criteria")
}

fn schema_of<T: JsonSchema>(file: &str, title: &str) -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    schema.insert("$id".to_owned(), Value::from(file));
    schema.insert("title".to_owned(), Value::from(title));
    schema.to_value()
}
