//! Whether criteria hold for a contact at an instant.

use serde_json::Value;

use super::{
    CompositeOperator, Criteria, EventLeaf, PropertyLeaf, PropertyOperator, Scalar,
    window::{Question, counted},
};
use crate::Timestamp;

/// What criteria can see of a contact (BK-50, BK-51).
pub trait Facts {
    /// The top-level property of this name; `None` and `null` both mean "absent".
    fn property(&self, name: &str) -> Option<&Value>;

    /// When the events of exactly this name occurred: all ever stored, ascending.
    fn occurrences(&self, event: &str) -> &[Timestamp];
}

/// Whether `criteria` hold for the contact at `now`. Pure, and without allocation (BK-06).
pub fn evaluate(criteria: &Criteria, facts: &impl Facts, now: Timestamp) -> bool {
    match criteria {
        Criteria::Property(leaf) => property_holds(leaf, facts),
        Criteria::Event(leaf) => event_holds(leaf, facts, now),
        // Nothing is known about mail, and an unsent mail makes all four checks false (BK-34).
        Criteria::EmailEngagement(_) => false,
        Criteria::Composite(composite) => {
            let mut parts = composite.conditions.iter();
            match composite.operator {
                CompositeOperator::And => parts.all(|part| evaluate(part, facts, now)),
                CompositeOperator::Or => parts.any(|part| evaluate(part, facts, now)),
            }
        }
    }
}

/// BK-32.
pub(super) fn event_holds(leaf: &EventLeaf, facts: &impl Facts, now: Timestamp) -> bool {
    Question::of(leaf).holds(counted(leaf, facts, now).len())
}

/// BK-31.
pub(super) fn property_holds(leaf: &PropertyLeaf, facts: &impl Facts) -> bool {
    let held = facts.property(&leaf.property).filter(|value| !value.is_null());
    let operand = leaf.value.as_ref();
    let numbers = || match (held, operand) {
        (Some(Value::Number(held)), Some(Scalar::Number(operand))) => {
            Some((held.as_f64()?, operand.as_f64()))
        }
        _ => None,
    };
    match leaf.operator {
        PropertyOperator::Exists => held.is_some(),
        PropertyOperator::NotExists => held.is_none(),
        PropertyOperator::Eq => equal(held, operand),
        PropertyOperator::Neq => !equal(held, operand),
        PropertyOperator::Gt => numbers().is_some_and(|(held, operand)| held > operand),
        PropertyOperator::Gte => numbers().is_some_and(|(held, operand)| held >= operand),
        PropertyOperator::Lt => numbers().is_some_and(|(held, operand)| held < operand),
        PropertyOperator::Lte => numbers().is_some_and(|(held, operand)| held <= operand),
        PropertyOperator::Contains => match (held, operand) {
            (Some(Value::String(held)), Some(Scalar::Text(operand))) => held.contains(operand.as_str()),
            _ => false,
        },
    }
}

/// Same type and equal; numbers as doubles.
fn equal(held: Option<&Value>, operand: Option<&Scalar>) -> bool {
    match (held, operand) {
        (Some(Value::Bool(held)), Some(Scalar::Bool(operand))) => held == operand,
        (Some(Value::Number(held)), Some(Scalar::Number(operand))) => held.as_f64() == Some(operand.as_f64()),
        (Some(Value::String(held)), Some(Scalar::Text(operand))) => held == operand.as_str(),
        _ => false,
    }
}
