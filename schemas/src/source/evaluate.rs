//! What a source's rules make of a payload: pure.

use serde_json::Value;

use super::{Bag, Rule, SourceDefinition};
use crate::{
    Properties, Timestamp,
    expression::{Scope, Template},
};

/// From here on a number is an instant in milliseconds: as seconds it would be in the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;

/// What a rule says about a payload. What has no value is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The event's name; never empty.
    pub event: String,
    /// The person's id at the application.
    pub user_id: Option<String>,
    /// The person's address.
    pub email: Option<String>,
    /// A visitor's id.
    pub anonymous_id: Option<String>,
    /// What happened.
    pub event_properties: Properties,
    /// Who the person is; null removes a property.
    pub contact_properties: Properties,
    /// By which a repeat is recognized.
    pub idempotency_key: Option<String>,
    /// When it happened.
    pub occurred_at: Option<Timestamp>,
}

impl SourceDefinition {
    /// What the first rule that applies says (WS-142); `None` if none does, or if it gives no name. `data` has one member
    /// for each of [`super::ROOTS`].
    pub fn read(&self, data: &Value) -> Option<Reading> {
        let scope = Scope::new(data);
        let applies = |rule: &&Rule| rule.when.as_ref().is_none_or(|when| when.holds(&scope));
        let rule = self.rules.iter().find(applies)?;
        Some(Reading {
            event: word(Some(&rule.event), &scope)?,
            user_id: word(rule.user_id.as_ref(), &scope),
            email: word(rule.email.as_ref(), &scope),
            anonymous_id: word(rule.anonymous_id.as_ref(), &scope),
            event_properties: rule.event_properties.value(&scope),
            contact_properties: rule.contact_properties.value(&scope),
            idempotency_key: word(rule.idempotency_key.as_ref(), &scope),
            occurred_at: rule.occurred_at.as_ref().and_then(|template| instant(&template.value(&scope))),
        })
    }
}

impl Bag {
    /// The properties; those without a value are left out, unless that is to clear them (WS-140, WS-141).
    fn value(&self, scope: &Scope<'_>) -> Properties {
        let spread = self.spread.as_deref().and_then(|path| scope.at(path)).and_then(Value::as_object);
        let mut properties = spread.cloned().unwrap_or_default();
        for property in &self.members {
            let value = property.value.value(scope);
            if !value.is_null() || property.clear {
                properties.insert(property.name.clone(), value);
            }
        }
        properties
    }
}

/// A text or a number as text; nothing else names anybody.
fn word(template: Option<&Template>, scope: &Scope<'_>) -> Option<String> {
    let word = match template?.value(scope) {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!word.is_empty()).then_some(word)
}

fn instant(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => {
            let number = number.as_f64().filter(|number| *number >= 0.0)?;
            let millis = if number < MILLISECONDS_FROM { number * 1000.0 } else { number };
            // Saturates: no instant so late is ever reached.
            Some(Timestamp(millis as i64))
        }
        _ => None,
    }
}
