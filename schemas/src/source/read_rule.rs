//! Reads what payloads mean (WS-140 to WS-142).

use super::{Bag, Property, ROOTS, Rule};
use crate::{
    criteria::{
        document::{Data, Node, within},
        reader::Reader,
    },
    expression::{self, Condition, Template, template},
};

/// Keys of a rule.
pub(super) const KEYS: [&str; 9] = [
    "when",
    "event",
    "user_id",
    "email",
    "anonymous_id",
    "event_properties",
    "contact_properties",
    "idempotency_key",
    "occurred_at",
];

pub(super) fn rule(reader: &mut Reader, node: &Node, path: &str) -> Option<Rule> {
    let since = reader.problems.len();
    let when = node.get("when");
    let when = when.and_then(|when| Condition::read(reader, when, &within(path, "when"), &ROOTS));
    let event = reader.required(node, path, "event");
    let event = event.and_then(|event| {
        // An empty name is a mistake; anything else is a template.
        reader.text(event, &within(path, "event"))?;
        template(reader, event, &within(path, "event"), &ROOTS)
    });
    let mut optional =
        |key: &str| -> Option<Template> { template(reader, node.get(key)?, &within(path, key), &ROOTS) };
    let (user_id, email, anonymous_id) = (optional("user_id"), optional("email"), optional("anonymous_id"));
    let (idempotency_key, occurred_at) = (optional("idempotency_key"), optional("occurred_at"));
    if ["user_id", "email", "anonymous_id"].iter().all(|key| node.get(key).is_none()) {
        let message = "needs at least one of user_id, email, anonymous_id";
        reader.error(node.at, path, message, None);
    }
    let event_properties = bag(reader, node, path, "event_properties", false);
    let contact_properties = bag(reader, node, path, "contact_properties", true);
    let rule = Rule {
        when,
        event: event?,
        user_id,
        email,
        anonymous_id,
        event_properties: event_properties?,
        contact_properties: contact_properties?,
        idempotency_key,
        occurred_at,
    };
    (!reader.failed_since(since)).then_some(rule)
}

fn bag(reader: &mut Reader, node: &Node, path: &str, key: &str, of_contact: bool) -> Option<Bag> {
    let Some(node) = node.get(key) else { return Some(Bag::default()) };
    let path = within(path, key);
    let Data::Map(members) = &node.data else {
        reader.mistyped(node, &path, "a map", None);
        return None;
    };
    let keys: Vec<&str> = members.iter().map(|member| member.key.as_str()).collect();
    reader.check_keys(members, &path, &keys);
    let mut bag = Bag::default();
    for member in members {
        let (value, path) = (&member.value, within(&path, &member.key));
        if member.key == "spread" {
            bag.spread = spread(reader, value, &path);
            continue;
        }
        // `{value, clear}` is a way to write a property of a contact; for an event it is an object like any other.
        let (value, clear) = match value.get("clear") {
            Some(clear) if of_contact => {
                reader.check_keys(value.members(), &path, &["value", "clear"]);
                let clear = reader.flag(clear, &within(&path, "clear"));
                (reader.required(value, &path, "value")?, clear.unwrap_or_default())
            }
            _ => (value, false),
        };
        if let Some(value) = expression::Shape::read(reader, value, &path, &ROOTS) {
            bag.members.push(Property { name: member.key.clone(), value, clear });
        }
    }
    Some(bag)
}

/// A path such as `body.metadata`.
fn spread(reader: &mut Reader, node: &Node, path: &str) -> Option<String> {
    let text = reader.text(node, path)?;
    let root = text.split('.').next().unwrap_or_default();
    if !ROOTS.contains(&root) {
        let hint = Some("write a path such as body.metadata".to_owned());
        reader.error(node.at, path, format!("`{text}` does not begin with {}", ROOTS.join(" or ")), hint);
        return None;
    }
    Some(text.to_owned())
}
