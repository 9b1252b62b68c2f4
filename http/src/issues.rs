//! Validation issues, all of a request, in the shape that clients parse (HT-32).

use serde::Serialize;
use serde_json::{Map, Value, json};

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Issue {
    /// What kind of thing: `invalid_type`, `too_small`, `too_big`, `invalid_format`, `invalid_value`, `custom`.
    pub code: &'static str,
    /// Keys and indexes down to the place.
    pub path: Vec<Value>,
    /// For people.
    pub message: String,
    /// What the code calls for besides.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

/// The issues found so far, and where in the request the reader is.
#[derive(Debug, Default)]
pub struct Issues(pub Vec<Issue>);

impl Issues {
    fn add(&mut self, code: &'static str, key: &str, message: String, details: Value) {
        let path = if key.is_empty() { &[][..] } else { &[key] };
        self.add_at(code, path, message, details);
    }

    fn add_at(&mut self, code: &'static str, path: &[&str], message: String, details: Value) {
        let path = path.iter().copied().map(Value::from).collect();
        let details = details.as_object().cloned().unwrap_or_default();
        self.0.push(Issue { code, path, message, details });
    }

    /// Another type was expected.
    pub fn invalid_type(&mut self, key: &str, expected: &str, found: Option<&Value>) {
        let received = match found {
            None => "undefined",
            Some(Value::Null) => "null",
            Some(Value::Bool(_)) => "boolean",
            Some(Value::Number(_)) => "number",
            Some(Value::String(_)) => "string",
            Some(Value::Array(_)) => "array",
            Some(Value::Object(_)) => "object",
        };
        let message = format!("Invalid input: expected {expected}, received {received}");
        self.add("invalid_type", key, message, json!({ "expected": expected }));
    }

    /// A text, list or number is below its minimum.
    pub fn too_small(&mut self, key: &str, origin: &str, minimum: u64) {
        let message = format!("Too small: expected {origin} to have >={minimum}");
        self.add("too_small", key, message, json!({"origin": origin, "minimum": minimum, "inclusive": true}));
    }

    /// A text, list or number is above its maximum.
    pub fn too_big(&mut self, key: &str, origin: &str, maximum: u64) {
        let message = format!("Too big: expected {origin} to have <={maximum}");
        self.add("too_big", key, message, json!({"origin": origin, "maximum": maximum, "inclusive": true}));
    }

    /// A text has another format.
    pub fn invalid_format(&mut self, key: &str, format: &str) {
        self.add("invalid_format", key, format!("Invalid {format}"), json!({ "format": format }));
    }

    /// A value is none of those allowed.
    pub fn invalid_value(&mut self, key: &str, values: &[&str]) {
        let message = format!("Invalid option: expected one of {}", values.join("|"));
        self.add("invalid_value", key, message, json!({ "values": values }));
    }

    /// Any other rule.
    pub fn custom(&mut self, key: &str, message: impl Into<String>) {
        self.add("custom", key, message.into(), json!({}));
    }

    /// Any other rule, about something deeper inside.
    pub fn nested(&mut self, path: &[&str], message: impl Into<String>) {
        self.add_at("custom", path, message.into(), json!({}));
    }

    /// The value, if nothing is wrong.
    ///
    /// # Errors
    /// [`crate::error::ApiError::Invalid`] with everything that is.
    pub fn into_result<T>(self, value: T) -> Result<T, crate::error::ApiError> {
        if self.0.is_empty() { Ok(value) } else { Err(crate::error::ApiError::Invalid(self.0)) }
    }
}
