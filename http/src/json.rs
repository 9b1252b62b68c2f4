//! Bodies: JSON by their own account and in fact, members read one by one with every issue noted.

use actix_web::{HttpMessage, HttpRequest, http::header, web::Bytes};
use mainspring_schemas::{Properties, Timestamp, identity::is_email_shaped};
use serde_json::{Map, Value};

use crate::{admin::PLANE, error::ApiError, issues::Issues};

/// Deepest nesting of a property's value (HT-51).
const MAX_DEPTH: usize = 64;

/// Most keys of one object (HT-51).
const MAX_KEYS: usize = 1000;

/// Whether the request says its body is JSON (HT-02).
pub fn says_json(request: &HttpRequest) -> bool {
    let Some(kind) = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The members of a JSON body; no body counts as `{}` (HT-03).
///
/// # Errors
/// 415, 400 for broken JSON, 400 with an issue for anything but an object.
pub fn members(request: &HttpRequest, body: &Bytes) -> Result<Map<String, Value>, ApiError> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    if !says_json(request) {
        return Err(ApiError::UnsupportedMediaType);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => {
            remember(request, &members);
            Ok(members)
        }
        Ok(other) => {
            let mut issues = Issues::default();
            issues.invalid_type("", "object", Some(&other));
            Err(ApiError::Invalid(issues.0))
        }
        Err(_) => Err(ApiError::BadRequest("Malformed JSON in request body".to_owned())),
    }
}

/// Names of the members of a request on the admin plane, for the audit trail: without values, and only such as a route
/// could know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given(pub Vec<String>);

/// Names are remembered up to here.
const MOST_GIVEN: usize = 32;

fn remember(request: &HttpRequest, members: &Map<String, Value>) {
    if request.path().starts_with(PLANE) {
        let plain = |name: &&String| name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric());
        let names = members.keys().filter(plain).take(MOST_GIVEN).cloned().collect();
        request.extensions_mut().insert(Given(names));
    }
}

/// Reads members of one object.
pub struct Members<'m> {
    members: &'m mut Map<String, Value>,
    /// What is wrong so far.
    pub issues: Issues,
}

impl<'m> Members<'m> {
    /// A reader that takes members out of `members`.
    pub fn new(members: &'m mut Map<String, Value>) -> Self {
        Self { members, issues: Issues::default() }
    }

    /// Whether the member is there, whatever its value.
    pub fn has(&self, key: &str) -> bool {
        self.members.contains_key(key)
    }

    /// Whether the member is there and null.
    pub fn is_null(&self, key: &str) -> bool {
        self.members.get(key).is_some_and(Value::is_null)
    }

    /// Reports every member that nobody has taken: it means nothing here.
    pub fn refuse_others(&mut self) {
        for key in std::mem::take(self.members).keys() {
            self.issues.custom(key, "is not known here");
        }
    }

    /// A whole number between the bounds.
    pub fn integer(&mut self, key: &str, minimum: u64, maximum: u64) -> Option<u64> {
        let value = self.members.remove(key)?;
        match value.as_u64() {
            Some(number) if number > maximum => self.issues.too_big(key, "number", maximum),
            Some(number) if number < minimum => self.issues.too_small(key, "number", minimum),
            Some(number) => return Some(number),
            None => self.issues.invalid_type(key, "int", Some(&value)),
        }
        None
    }

    /// Takes a member as it is.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        self.members.remove(key)
    }

    /// A text of `minimum..=maximum` characters without U+0000 (HT-10).
    pub fn text(&mut self, key: &str, required: bool, minimum: u64, maximum: u64) -> Option<String> {
        match self.members.remove(key) {
            None if !required => None,
            Some(Value::String(text)) => {
                let length = text.chars().count() as u64;
                if length < minimum {
                    self.issues.too_small(key, "string", minimum);
                } else if length > maximum {
                    self.issues.too_big(key, "string", maximum);
                } else if text.contains('\0') {
                    self.issues.custom(key, "must not contain U+0000");
                }
                Some(text)
            }
            other => {
                self.issues.invalid_type(key, "string", other.as_ref());
                None
            }
        }
    }

    /// An address (DP-02).
    pub fn email(&mut self, key: &str) -> Option<String> {
        let email = self.text(key, false, 0, 320)?;
        if !is_email_shaped(&email) {
            self.issues.invalid_format(key, "email");
        }
        Some(email)
    }

    /// An object of properties within the limits of shape.
    pub fn properties(&mut self, key: &str) -> Option<Properties> {
        match self.members.remove(key) {
            None => None,
            Some(Value::Object(properties)) => {
                if !fits(&properties, MAX_DEPTH) {
                    let limit = format!("at most {MAX_DEPTH} levels and {MAX_KEYS} keys per object");
                    self.issues.custom(key, limit);
                }
                Some(properties)
            }
            other => {
                self.issues.invalid_type(key, "object", other.as_ref());
                None
            }
        }
    }

    /// `lists`: ids with the wanted standing.
    pub fn lists(&mut self, key: &str) -> Option<Vec<(String, bool)>> {
        let lists = self.properties(key)?;
        let mut wanted = Vec::with_capacity(lists.len());
        for (id, value) in lists {
            match value {
                Value::Bool(subscribed) => wanted.push((id, subscribed)),
                other => self.issues.invalid_type(key, "boolean", Some(&other)),
            }
        }
        Some(wanted)
    }

    /// An instant (HT-06).
    pub fn instant(&mut self, key: &str) -> Option<Timestamp> {
        let text = self.text(key, false, 1, 64)?;
        let instant = text.parse().ok();
        if instant.is_none() {
            self.issues.invalid_format(key, "datetime");
        }
        instant
    }

    /// A truth value.
    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        match self.members.remove(key) {
            None => None,
            Some(Value::Bool(value)) => Some(value),
            other => {
                self.issues.invalid_type(key, "boolean", other.as_ref());
                None
            }
        }
    }

    /// A list of at least one text.
    pub fn texts(&mut self, key: &str, required: bool) -> Option<Vec<String>> {
        match self.members.remove(key) {
            None if !required => None,
            Some(Value::Array(values)) => {
                if values.is_empty() {
                    self.issues.too_small(key, "array", 1);
                }
                let mut texts = Vec::with_capacity(values.len());
                for value in values {
                    match value {
                        Value::String(text) => texts.push(text),
                        other => self.issues.invalid_type(key, "string", Some(&other)),
                    }
                }
                Some(texts)
            }
            other => {
                self.issues.invalid_type(key, "array", other.as_ref());
                None
            }
        }
    }
}

/// Whether properties are within the limits of shape (HT-51).
pub fn is_within_limits(properties: &Properties) -> bool {
    fits(properties, MAX_DEPTH)
}

fn fits(members: &Map<String, Value>, depth: usize) -> bool {
    fn value_fits(value: &Value, depth: usize) -> bool {
        match value {
            Value::Object(members) => fits(members, depth),
            Value::Array(elements) => {
                depth > 0 && elements.iter().all(|element| value_fits(element, depth - 1))
            }
            _ => true,
        }
    }
    depth > 0 && members.len() <= MAX_KEYS && members.values().all(|value| value_fits(value, depth - 1))
}
