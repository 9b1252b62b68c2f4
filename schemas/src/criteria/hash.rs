//! The digest by which a change of criteria is noticed (BK-180, BK-181).

use std::fmt::Write;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Criteria;

/// Lower-case hex SHA-256 of the canonical long form: compact JSON, keys sorted, arrays in order, unset keys absent.
pub fn criteria_hash(criteria: &Criteria) -> String {
    let mut text = String::with_capacity(256);
    // The tree holds only strings, finite numbers and objects with string keys: it always has a JSON form.
    write_canonical(&serde_json::to_value(criteria).unwrap_or_default(), &mut text);
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Sorts the keys itself: the order of `serde_json`'s maps depends on features that any dependency may switch on.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (i, (key, member)) in members.into_iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                write_canonical(&Value::String(key.clone()), text);
                text.push(':');
                write_canonical(member, text);
            }
            text.push('}');
        }
        Value::Array(elements) => {
            text.push('[');
            for (i, element) in elements.iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                write_canonical(element, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bk_181_vectors() {
        for (criteria, digest) in [
            (
                json!({"operator": "eq", "property": "plan", "type": "property", "value": "pro"}),
                "ac3d4442d5fdb740ba31377346a91a230ab0c14b2c24ef97f74eec08edad3e74",
            ),
            (
                json!({"type": "event", "eventName": "key.action", "check": "count", "operator": "gte", "value": 10,
                       "within": {"hours": 720}}),
                "11804a22b835bdb9d0e61c43e5c570a74f833f3c25b5379695d5bbc6bc3fbb08",
            ),
            (
                json!({"type": "composite", "operator": "and", "conditions": [
                    {"type": "event", "eventName": "app.active", "check": "exists"},
                    {"type": "event", "eventName": "app.active", "check": "not_exists", "within": {"hours": 168}},
                ]}),
                "fed78aea11b2d12190bd2fce09eb761541bf9487cb862b2b26b46b29c37a5a22",
            ),
        ] {
            let criteria: Criteria = serde_json::from_value(criteria).unwrap();
            assert_eq!(criteria_hash(&criteria), digest);
        }
    }
}
