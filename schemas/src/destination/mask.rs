//! Hiding credentials in what is shown, and taking what was shown back without losing them (OB-84, OB-85).

use serde_json::Value;

use super::{ConfigSchema, FieldKind};
use crate::Properties;

/// What is shown instead of a credential.
pub const MASK: &str = "***";

/// Why a mask is refused where it keeps nothing (OB-85).
pub const NOTHING_STORED: &str = "the mask stands for a stored value, and none is stored";

/// Whether a key of this name holds a credential, if nobody said what it holds.
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["key", "secret", "token", "password", "authorization"].iter().any(|word| name.contains(word))
}

/// An address of which only scheme and host are shown: `https://hooks.example/***`. One without a host, or with
/// something before it that may be a password, is hidden whole.
pub fn masked_address(address: &str) -> String {
    let shown = address.split_once("://").and_then(|(scheme, rest)| {
        let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        (!authority.is_empty() && !authority.contains('@')).then(|| format!("{scheme}://{authority}/{MASK}"))
    });
    shown.unwrap_or_else(|| MASK.to_owned())
}

/// Whether a text is what [`masked`] shows instead of another one.
pub fn is_mask(text: &str) -> bool {
    text == MASK || text.ends_with("/***")
}

/// A configuration without its credentials. Keys that the schema does not know are judged by their names; without a
/// schema, of a kind that is not there any more, nobody knows what is none.
pub fn masked(config: &Properties, schema: Option<&ConfigSchema>) -> Properties {
    let mask = |(key, value): (&String, &Value)| {
        let shown = match (schema, schema.and_then(|schema| schema.field(key)), value) {
            (_, _, Value::Null) => Value::Null,
            (_, Some(field), _) if !field.secret => value.clone(),
            (_, Some(field), Value::String(address)) if field.kind == FieldKind::Address => {
                Value::from(masked_address(address))
            }
            (None, _, _) | (_, Some(_), _) => Value::from(MASK),
            (Some(_), None, value) => masked_by_name(key, value),
        };
        (key.clone(), shown)
    };
    config.iter().map(mask).collect()
}

fn masked_by_name(key: &str, value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), masked_by_name(key, value))).collect()
        }
        Value::Array(elements) => elements.iter().map(|element| masked_by_name(key, element)).collect(),
        Value::Null => Value::Null,
        _ if looks_secret(key) => Value::from(MASK),
        other => other.clone(),
    }
}

/// A text as it was meant: the stored one if what was written is what was shown of it.
pub fn unmasked_text(written: String, stored: &str) -> String {
    if written == MASK || written == masked_address(stored) { stored.to_owned() } else { written }
}

/// A configuration as it was meant: every mask in it keeps what is stored in its place.
pub fn unmasked(written: Properties, stored: Option<&Properties>) -> Properties {
    let keep = |(key, value): (String, Value)| {
        let kept = stored.and_then(|stored| stored.get(&key));
        let value = kept.map_or_else(|| value.clone(), |kept| unmasked_value(value.clone(), kept));
        (key, value)
    };
    written.into_iter().map(keep).collect()
}

fn unmasked_value(written: Value, stored: &Value) -> Value {
    match (written, stored) {
        (Value::String(text), Value::String(kept)) => Value::from(unmasked_text(text, kept)),
        (Value::String(text), kept) if text == MASK => kept.clone(),
        (Value::Object(members), Value::Object(kept)) => Value::Object(unmasked(members, Some(kept))),
        (Value::Array(elements), Value::Array(kept)) if elements.len() == kept.len() => {
            let pairs = elements.into_iter().zip(kept);
            pairs.map(|(element, kept)| unmasked_value(element, kept)).collect::<Vec<_>>().into()
        }
        (written, _) => written,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::destination::Field;

    fn schema() -> ConfigSchema {
        ConfigSchema::closed(vec![
            Field::new("url", FieldKind::Address).secret(),
            Field::new("pass", FieldKind::Text).secret(),
            Field::new("unsubscribedPropertyKey", FieldKind::Text),
        ])
    }

    #[test]
    fn ob_84_what_the_schema_calls_secret_is_hidden_and_else_the_name_decides() {
        let config = json!({
            "url": "https://hooks.slack.com/services/T/B/x", "pass": 7, "unsubscribedPropertyKey": "out",
            "writeKey": "w", "host": "h", "auth": {"Token": "t", "n": 1}, "apikey": 5, "keys": ["a"], "api_key": null,
        });
        let shown = Value::Object(masked(config.as_object().unwrap(), Some(&schema())));
        let expected = json!({
            "url": "https://hooks.slack.com/***", "pass": "***", "unsubscribedPropertyKey": "out",
            "writeKey": "***", "host": "h", "auth": {"Token": "***", "n": 1}, "apikey": "***", "keys": ["***"],
            "api_key": null,
        });
        assert_eq!(shown, expected);
        let shown = Value::Object(masked(config.as_object().unwrap(), None));
        assert_eq!(
            (&shown["host"], &shown["auth"], &shown["api_key"]),
            (&json!("***"), &json!("***"), &Value::Null)
        );
    }

    #[test]
    fn ob_84_of_an_address_only_the_host_is_shown() {
        for (address, shown) in [
            ("https://hooks.slack.com/services/T/B/x", "https://hooks.slack.com/***"),
            ("https://h.example:8443?token=x", "https://h.example:8443/***"),
            ("https://h.example", "https://h.example/***"),
            ("https://user:pw@h.example/x", "***"),
            ("no address", "***"),
            ("https:///x", "***"),
        ] {
            assert_eq!(masked_address(address), shown);
        }
    }

    #[test]
    fn ob_85_a_mask_written_back_keeps_the_stored_value() {
        let stored = json!({"apiKey": "secret", "host": "h", "url": "https://a.example/x"});
        for (written, meant) in [
            (json!({"apiKey": "***", "host": "other"}), json!({"apiKey": "secret", "host": "other"})),
            (json!({"url": "https://a.example/***"}), json!({"url": "https://a.example/x"})),
            (json!({"url": "https://b.example/***"}), json!({"url": "https://b.example/***"})),
            (json!({"new": "***"}), json!({"new": "***"})),
        ] {
            let merged = unmasked(written.as_object().unwrap().clone(), stored.as_object());
            assert_eq!(Value::Object(merged), meant);
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            "[a-z/:.]{0,12}".prop_map(Value::from),
            Just(Value::from("https://a.example/x/y")),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{0,4}|token|url|pass", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn ob_85_what_was_shown_can_be_written_back(
            config in prop::collection::btree_map("[a-z]{0,4}|token|url|pass", value(), 0..6),
            known: bool,
        ) {
            let config: Properties = config.into_iter().collect();
            let schema = schema();
            let shown = masked(&config, known.then_some(&schema));
            prop_assert_eq!(unmasked(shown, Some(&config)), config);
        }
    }
}
