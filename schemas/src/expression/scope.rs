//! The data that expressions see.

use minijinja::value::{Serde, Value};

/// The data of one evaluation: an object whose members are the roots. Made once for all templates of a file.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    pub(super) json: &'a serde_json::Value,
    pub(super) prepared: Value,
}

impl<'a> Scope<'a> {
    /// A scope over `json`, an object with one member per root.
    pub fn new(json: &'a serde_json::Value) -> Self {
        Self { json, prepared: Value::from(Serde(json)) }
    }

    /// The value at a dotted path such as `data.items.0.name`; `None` if any part is missing.
    pub fn at(&self, path: &str) -> Option<&'a serde_json::Value> {
        path.split('.').try_fold(self.json, |value, part| match value {
            serde_json::Value::Object(members) => members.get(part),
            serde_json::Value::Array(elements) => elements.get(part.parse::<usize>().ok()?),
            _ => None,
        })
    }
}
