//! Properties of a contact or an event, and the one rule by which a patch changes them (RS-50..RS-56).

use serde_json::Value;

/// A JSON object with its keys in order.
pub type Properties = serde_json::Map<String, Value>;

/// Keys whose objects are merged one level deep instead of replaced (RS-52).
const DEEP_KEYS: [&str; 1] = ["discord"];

/// What a patch really changes: the keys that get another value, and the keys that vanish.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Keys with their new, whole value.
    pub set: Properties,
    /// Keys that are gone.
    pub removed: Vec<String>,
}

impl Change {
    /// Whether nothing changes at all.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }

    /// Names of all changed keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.set.keys().chain(&self.removed).map(String::as_str)
    }

    /// Makes the change.
    pub fn apply(&self, properties: &mut Properties) {
        for (key, value) in &self.set {
            properties.insert(key.clone(), value.clone());
        }
        for key in &self.removed {
            properties.remove(key);
        }
    }
}

/// The change that `patch` makes to `existing`: shallow, explicit `null` removes, equal values are no change.
pub fn change(existing: &Properties, patch: &Properties) -> Change {
    let mut change = Change::default();
    for (key, new) in patch {
        let old = existing.get(key);
        let value = match (old, new) {
            (_, Value::Null) => None,
            (Some(Value::Object(old)), Value::Object(new)) if DEEP_KEYS.contains(&key.as_str()) => {
                let mut merged = old.clone();
                for (member, value) in new {
                    match value {
                        Value::Null => merged.remove(member),
                        value => merged.insert(member.clone(), value.clone()),
                    };
                }
                Some(without_null_members(Value::Object(merged)))
            }
            (_, new) => Some(without_null_members(new.clone())),
        };
        match (old, value) {
            (None, None) => {}
            (Some(_), None) => change.removed.push(key.clone()),
            (Some(old), Some(value)) if *old == value => {}
            (_, Some(value)) => drop(change.set.insert(key.clone(), value)),
        }
    }
    change
}

/// The result of `patch` over `existing`, without any null member that `existing` may still hold (MC-20).
pub fn merged(existing: &Properties, patch: &Properties) -> Properties {
    let mut result = existing.clone();
    change(existing, patch).apply(&mut result);
    match without_null_members(Value::Object(result)) {
        Value::Object(result) => result,
        _ => Properties::new(),
    }
}

/// Drops null members of objects at every depth; null elements of arrays stay (RS-51).
fn without_null_members(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_null_members(value)))
                .collect(),
        ),
        Value::Array(elements) => Value::Array(elements.into_iter().map(without_null_members).collect()),
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Properties {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn rs_56_equal_values_are_no_change() {
        let existing = object(json!({"a": 1, "b": {"c": [1, null]}}));
        assert!(change(&existing, &existing).is_empty());
        assert!(change(&existing, &Properties::new()).is_empty());
        assert!(change(&existing, &object(json!({"zz": null}))).is_empty());
    }

    #[test]
    fn changed_keys_are_named() {
        let change = change(&object(json!({"a": 1, "b": 2})), &object(json!({"a": null, "b": 3, "c": {}})));
        assert_eq!(change.keys().collect::<Vec<_>>(), ["b", "c", "a"]);
    }
}
