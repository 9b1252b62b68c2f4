//! Reads the short forms of definition files (BK-37): `{prop: plan, eq: pro}`,
//! `{event: E, within: 7d, count: {gte: 3}}`, `{all: [..]}`, `{any: [..]}`.

use compact_str::CompactString;

use super::{
    EventCheck, EventLeaf, PropertyLeaf, PropertyOperator, Scalar,
    document::{Data, Member, Node, within},
    long_form::{COMPARISONS, OPERATORS, optional},
    reader::Reader,
};

const PROPERTY_KEYS: [&str; 9] = ["prop", "eq", "neq", "gt", "gte", "lt", "lte", "contains", "exists"];
const COUNT_KEYS: [&str; 5] = ["gt", "gte", "lt", "lte", "eq"];

/// `{prop: P, <operator>: v}` or `{prop: P, exists: bool}`.
pub(super) fn property(reader: &mut Reader, node: &Node, path: &str) -> Option<PropertyLeaf> {
    reader.check_keys(node.members(), path, &PROPERTY_KEYS);
    let name = reader.text(node.get("prop")?, &within(path, "prop"));
    let comparison = the_one(reader, node, path, &PROPERTY_KEYS[1..])?;
    let at = within(path, &comparison.key);
    if comparison.key == "exists" {
        let operator = match reader.flag(&comparison.value, &at)? {
            true => PropertyOperator::Exists,
            false => PropertyOperator::NotExists,
        };
        return Some(PropertyLeaf { property: name?.into(), operator, value: None });
    }
    let operator =
        OPERATORS.iter().find(|(name, _)| *name == comparison.key).map(|(_, operator)| *operator)?;
    let value = scalar(reader, &comparison.value, &at)?;
    Some(PropertyLeaf { property: name?.into(), operator, value: Some(value) })
}

/// `{event: E, within?, exists?: bool}` or `{event: E, within?, count: {<operator>: n}}`.
pub(super) fn event(reader: &mut Reader, node: &Node, path: &str) -> Option<EventLeaf> {
    reader.check_keys(node.members(), path, &["event", "within", "exists", "count"]);
    let name = reader.text(node.get("event")?, &within(path, "event"));
    let window = optional(node, "within", |value| reader.duration(value, &within(path, "within")));
    let exists = optional(node, "exists", |value| reader.flag(value, &within(path, "exists")));
    let count = optional(node, "count", |value| count(reader, value, &within(path, "count")));
    let (exists, count) = (exists?, count?);
    if exists.is_some() && count.is_some() {
        reader.error(
            node.at,
            path,
            "has `exists` and `count`, which are two questions",
            Some("use `all`".to_owned()),
        );
        return None;
    }
    let check = match (exists, &count) {
        (_, Some(_)) => EventCheck::Count,
        (Some(false), None) => EventCheck::NotExists,
        (Some(true) | None, None) => EventCheck::Exists,
    };
    let (operator, value) = count.unzip();
    Some(EventLeaf { event_name: CompactString::from(name?), check, operator, value, within: window? })
}

fn count(reader: &mut Reader, node: &Node, path: &str) -> Option<(super::CountOperator, super::Number)> {
    let Data::Map(members) = &node.data else {
        reader.mistyped(node, path, "a comparison", Some("for example {gte: 3}".to_owned()));
        return None;
    };
    reader.check_keys(members, path, &COUNT_KEYS);
    let comparison = the_one(reader, node, path, &COUNT_KEYS)?;
    let operator =
        COMPARISONS.iter().find(|(name, _)| *name == comparison.key).map(|(_, operator)| *operator)?;
    Some((operator, reader.number(&comparison.value, &within(path, &comparison.key))?))
}

/// The single operator key of a map.
fn the_one<'n>(reader: &mut Reader, node: &'n Node, path: &str, operators: &[&str]) -> Option<&'n Member> {
    let mut given = node.members().iter().filter(|member| operators.contains(&member.key.as_str()));
    let one = given.next();
    if one.is_none() {
        let message = format!("needs one of the operators {}", operators.join(", "));
        reader.error(node.at, path, message, None);
    }
    if let Some(second) = given.next() {
        let message = "a condition has exactly one operator";
        reader.error(
            second.at,
            &within(path, &second.key),
            message,
            Some("use `all` for several".to_owned()),
        );
        return None;
    }
    one
}

/// The list of `all` or `any`.
pub(super) fn list<'n>(reader: &mut Reader, node: &'n Node, path: &str, key: &str) -> Option<&'n [Node]> {
    reader.check_keys(node.members(), path, &[key]);
    let value = node.get(key)?;
    if let Data::List(elements) = &value.data {
        return Some(elements);
    }
    reader.mistyped(value, &within(path, key), "a list of conditions", None);
    None
}

/// A value to compare with.
pub(super) fn scalar(reader: &mut Reader, node: &Node, path: &str) -> Option<Scalar> {
    match &node.data {
        Data::Bool(value) => Some(Scalar::Bool(*value)),
        Data::Number(value) => Some(Scalar::Number(value.clone())),
        Data::Text(value) => Some(Scalar::Text(CompactString::from(value))),
        _ => {
            let hint =
                matches!(node.data, Data::Null).then(|| "ask for absence with `exists: false`".to_owned());
            reader.mistyped(node, path, "a string, a number, true or false", hint);
            None
        }
    }
}

/// Whether a key that an author wrote says what `key` says in the long form.
pub(super) fn says(written: &str, key: &str) -> bool {
    written == key
        || match key {
            "property" => written == "prop",
            "eventName" => written == "event",
            "value" => written == "count" || (written != "exists" && PROPERTY_KEYS[1..].contains(&written)),
            _ => false,
        }
}

/// A hint for conditions of other places and languages.
pub(super) fn meant(key: &str) -> Option<String> {
    let hint = match key {
        "and" => "write `all`, or the long form with `type: composite`",
        "or" => "write `any`, or the long form with `type: composite`",
        "not" | "none" => "there is no negation; write `exists: false`, `neq` or the opposite comparison",
        "property" => "write `prop`, or the long form with `type: property`",
        "eventName" => "write `event`, or the long form with `type: event`",
        "bucket" => "membership of another bucket is no condition; repeat its conditions",
        "email" | "templateKey" => "use event conditions on the tracking events, such as email.opened",
        "subscribed" | "journey" | "throttle" | "time" => "this is a condition of journeys, not of buckets",
        _ => return None,
    };
    Some(hint.to_owned())
}
