//! The shape a payload must have before anything is read out of it (WS-12).

use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;
use serde_json::Value;

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Anything.
    Any,
    /// A string.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// A list of anything.
    List,
    /// An object; members that are not named are allowed.
    Map(Vec<Member>),
}

/// A named member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub key: Cow<'static, str>,
    /// What it must be.
    pub shape: Shape,
    /// Whether it may be absent or null.
    pub optional: bool,
}

impl Member {
    /// A member that must be there.
    pub fn required(key: &'static str, shape: Shape) -> Self {
        Self { key: Cow::Borrowed(key), shape, optional: false }
    }

    /// A member that may be absent or null.
    pub fn optional(key: &'static str, shape: Shape) -> Self {
        Self { key: Cow::Borrowed(key), shape, optional: true }
    }
}

/// How a payload differs from its shape, by its top-level members (WS-02, step 7). Never holds a value of the payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mismatch {
    /// What is wrong with the payload as a whole.
    pub form_errors: Vec<String>,
    /// What is wrong below each top-level member.
    pub field_errors: BTreeMap<String, Vec<String>>,
}

impl Mismatch {
    /// One thing that is wrong with the member `key`.
    pub fn of(key: &str, message: impl Into<String>) -> Self {
        let mut mismatch = Self::default();
        mismatch.add(&[key], message.into());
        mismatch
    }

    fn add(&mut self, path: &[&str], message: String) {
        match path {
            [] => self.form_errors.push(message),
            [key] => self.field_errors.entry((*key).to_owned()).or_default().push(message),
            [key, below @ ..] => {
                let message = format!("{}: {message}", below.join("."));
                self.field_errors.entry((*key).to_owned()).or_default().push(message);
            }
        }
    }
}

impl Shape {
    /// An object with these members.
    pub fn map(members: impl Into<Vec<Member>>) -> Self {
        Self::Map(members.into())
    }

    /// Compares a payload with the shape.
    ///
    /// # Errors
    /// Everything in which they differ.
    pub fn check(&self, payload: &Value) -> Result<(), Mismatch> {
        let mut mismatch = Mismatch::default();
        self.compare(Some(payload), &mut Vec::new(), &mut mismatch);
        if mismatch == Mismatch::default() { Ok(()) } else { Err(mismatch) }
    }

    fn compare<'s>(&'s self, found: Option<&Value>, path: &mut Vec<&'s str>, mismatch: &mut Mismatch) {
        let fits = match (self, found) {
            (Self::Any, Some(_))
            | (Self::Text, Some(Value::String(_)))
            | (Self::Number, Some(Value::Number(_)))
            | (Self::Flag, Some(Value::Bool(_)))
            | (Self::List, Some(Value::Array(_))) => true,
            (Self::Map(members), Some(Value::Object(object))) => {
                for member in members {
                    let value = object.get(member.key.as_ref());
                    if member.optional && value.is_none_or(Value::is_null) {
                        continue;
                    }
                    path.push(&member.key);
                    member.shape.compare(value, path, mismatch);
                    path.pop();
                }
                true
            }
            _ => false,
        };
        if !fits {
            let message = format!("Invalid input: expected {}, received {}", self.name(), kind(found));
            mismatch.add(path, message);
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Text => "string",
            Self::Number => "number",
            Self::Flag => "boolean",
            Self::List => "array",
            Self::Map(_) => "object",
        }
    }
}

fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "undefined",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "boolean",
        Some(Value::Number(_)) => "number",
        Some(Value::String(_)) => "string",
        Some(Value::Array(_)) => "array",
        Some(Value::Object(_)) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ws_02_mismatches_stand_below_their_top_level_member_and_name_no_value() {
        let customer = Shape::map([Member::required("id", Shape::Text)]);
        let shape = Shape::map([
            Member::required("type", Shape::Text),
            Member::required("customer", customer),
            Member::optional("amount", Shape::Number),
        ]);
        assert_eq!(
            shape.check(&json!({"type": "x", "customer": {"id": "c", "more": 1}, "amount": null})),
            Ok(())
        );
        let mismatch =
            shape.check(&json!({"type": 7, "customer": {"id": null}, "amount": "secret"})).unwrap_err();
        assert_eq!(
            serde_json::to_value(&mismatch).unwrap(),
            json!({"formErrors": [], "fieldErrors": {
                "type": ["Invalid input: expected string, received number"],
                "customer": ["id: Invalid input: expected string, received null"],
                "amount": ["Invalid input: expected number, received string"],
            }})
        );
        let whole = shape.check(&json!([])).unwrap_err();
        assert_eq!(whole.form_errors, ["Invalid input: expected object, received array"]);
    }
}
