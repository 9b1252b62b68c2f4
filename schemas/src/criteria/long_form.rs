//! Reads the long form, in which criteria are stored (BK-30).

use compact_str::CompactString;

use super::{
    CompositeOperator, CountOperator, Criteria, EmailCheck, EmailLeaf, EventCheck, EventLeaf, PropertyLeaf,
    PropertyOperator,
    document::{Data, Node, within},
    reader::Reader,
    short_form::scalar,
};

/// Names of the comparing operators, as both forms use them.
pub(super) const COMPARISONS: [(&str, CountOperator); 5] = [
    ("gt", CountOperator::Gt),
    ("gte", CountOperator::Gte),
    ("lt", CountOperator::Lt),
    ("lte", CountOperator::Lte),
    ("eq", CountOperator::Eq),
];

/// Names of the operators of a property leaf.
pub(super) const OPERATORS: [(&str, PropertyOperator); 9] = [
    ("eq", PropertyOperator::Eq),
    ("neq", PropertyOperator::Neq),
    ("gt", PropertyOperator::Gt),
    ("gte", PropertyOperator::Gte),
    ("lt", PropertyOperator::Lt),
    ("lte", PropertyOperator::Lte),
    ("contains", PropertyOperator::Contains),
    ("exists", PropertyOperator::Exists),
    ("not_exists", PropertyOperator::NotExists),
];

const TYPES: [(&str, Type); 4] = [
    ("property", Type::Property),
    ("event", Type::Event),
    ("email_engagement", Type::EmailEngagement),
    ("composite", Type::Composite),
];

const CHECKS: [(&str, EventCheck); 3] =
    [("exists", EventCheck::Exists), ("not_exists", EventCheck::NotExists), ("count", EventCheck::Count)];

const EMAIL_CHECKS: [(&str, EmailCheck); 4] = [
    ("opened", EmailCheck::Opened),
    ("clicked", EmailCheck::Clicked),
    ("not_opened", EmailCheck::NotOpened),
    ("not_clicked", EmailCheck::NotClicked),
];

const COMBINATIONS: [(&str, CompositeOperator); 2] =
    [("and", CompositeOperator::And), ("or", CompositeOperator::Or)];

#[derive(Clone, Copy)]
enum Type {
    Property,
    Event,
    EmailEngagement,
    Composite,
}

/// A condition whose parts, if it has some, are still to be read.
pub(super) enum Condition<'n> {
    Leaf(Criteria),
    Composite(CompositeOperator, &'n [Node]),
}

/// Reads a map that has a `type`.
pub(super) fn read<'n>(reader: &mut Reader, node: &'n Node, path: &str) -> Option<Condition<'n>> {
    let tag = reader.required(node, path, "type")?;
    match reader.choice(tag, &within(path, "type"), &TYPES)? {
        Type::Property => property(reader, node, path).map(Criteria::Property).map(Condition::Leaf),
        Type::Event => event(reader, node, path).map(Criteria::Event).map(Condition::Leaf),
        Type::EmailEngagement => {
            email(reader, node, path).map(Criteria::EmailEngagement).map(Condition::Leaf)
        }
        Type::Composite => composite(reader, node, path),
    }
}

fn property(reader: &mut Reader, node: &Node, path: &str) -> Option<PropertyLeaf> {
    reader.check_keys(node.members(), path, &["type", "property", "operator", "value"]);
    let property = name(reader, node, path, "property");
    let operator = reader.required(node, path, "operator");
    let operator =
        operator.and_then(|operator| reader.choice(operator, &within(path, "operator"), &OPERATORS));
    let value = optional(node, "value", |value| scalar(reader, value, &within(path, "value")));
    Some(PropertyLeaf { property: property?, operator: operator?, value: value? })
}

fn event(reader: &mut Reader, node: &Node, path: &str) -> Option<EventLeaf> {
    reader.check_keys(node.members(), path, &["type", "eventName", "check", "operator", "value", "within"]);
    let event_name = name(reader, node, path, "eventName");
    let check = reader.required(node, path, "check");
    let check = check.and_then(|check| reader.choice(check, &within(path, "check"), &CHECKS));
    let at = |key| within(path, key);
    let operator = optional(node, "operator", |value| reader.choice(value, &at("operator"), &COMPARISONS));
    let value = optional(node, "value", |value| reader.number(value, &at("value")));
    let within = optional(node, "within", |value| reader.duration(value, &at("within")));
    Some(EventLeaf {
        event_name: event_name?,
        check: check?,
        operator: operator?,
        value: value?,
        within: within?,
    })
}

fn email(reader: &mut Reader, node: &Node, path: &str) -> Option<EmailLeaf> {
    reader.check_keys(node.members(), path, &["type", "templateKey", "check"]);
    let template_key = name(reader, node, path, "templateKey");
    let check = reader.required(node, path, "check");
    let check = check.and_then(|check| reader.choice(check, &within(path, "check"), &EMAIL_CHECKS));
    Some(EmailLeaf { template_key: template_key?, check: check? })
}

fn composite<'n>(reader: &mut Reader, node: &'n Node, path: &str) -> Option<Condition<'n>> {
    reader.check_keys(node.members(), path, &["type", "operator", "conditions"]);
    let operator = reader.required(node, path, "operator");
    let operator =
        operator.and_then(|operator| reader.choice(operator, &within(path, "operator"), &COMBINATIONS));
    let conditions = reader.required(node, path, "conditions")?;
    let Data::List(elements) = &conditions.data else {
        reader.mistyped(conditions, &within(path, "conditions"), "a list of conditions", None);
        return None;
    };
    // The operator does not matter for finding the problems of the parts.
    let failed = operator.is_none();
    let operator = operator.unwrap_or(CompositeOperator::And);
    (!failed || !elements.is_empty()).then_some(Condition::Composite(operator, elements))
}

fn name(reader: &mut Reader, node: &Node, path: &str, key: &str) -> Option<CompactString> {
    let value = reader.required(node, path, key)?;
    reader.text(value, &within(path, key)).map(CompactString::from)
}

/// `Some(None)` if the key is not there, `None` if its value is wrong.
pub(super) fn optional<T>(
    node: &Node,
    key: &str,
    read: impl FnOnce(&Node) -> Option<T>,
) -> Option<Option<T>> {
    match node.get(key) {
        None => Some(None),
        Some(value) => read(value).map(Some),
    }
}
