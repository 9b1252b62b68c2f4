//! Reads a source out of a document; every problem goes to the reader.

use super::{Auth, Member, OnDelete, RESERVED_IDS, Rule, Shape, SourceDefinition, read_auth, read_rule};
use crate::{
    SourceId,
    criteria::{
        document::{Data, Mark, Node, at_index, within},
        reader::Reader,
    },
    definition::one_per_file::Reading,
};

/// Keys of a source besides those of its single rule.
const KEYS: [&str; 7] = ["source", "name", "description", "auth", "require", "on_delete", "rules"];

const ON_DELETE: [(&str, OnDelete); 2] = [("event", OnDelete::Event), ("erase", OnDelete::Erase)];

/// What a member of `require` may be; a question mark behind it makes the member optional.
const SHAPES: [(&str, Shape); 6] = [
    ("string", Shape::Text),
    ("number", Shape::Number),
    ("boolean", Shape::Flag),
    ("list", Shape::List),
    ("object", Shape::Map(Vec::new())),
    ("any", Shape::Any),
];

pub(super) fn source(reader: &mut Reader, node: &Node) -> Reading<SourceDefinition> {
    let since = reader.problems.len();
    let mut known = KEYS.to_vec();
    known.extend(read_rule::KEYS);
    reader.check_keys(node.members(), "", &known);
    let id = id(reader, node);
    let definition = definition(reader, node, id.as_ref().map(|(id, _)| id.clone()));
    let id = id.map(|(id, at)| (id.as_str().to_owned(), at));
    Reading { id, definition: definition.filter(|_| !reader.failed_since(since)) }
}

fn definition(reader: &mut Reader, node: &Node, id: Option<SourceId>) -> Option<SourceDefinition> {
    let mut text = |key: &str| reader.text(node.get(key)?, key).map(str::to_owned);
    let (name, description) = (text("name"), text("description"));
    let auth = reader.required(node, "", "auth");
    let auth: Option<Auth> = auth.and_then(|auth| read_auth::auth(reader, auth, "auth"));
    let require = match node.get("require") {
        Some(require) => members(reader, require, "require"),
        None => Some(Shape::map([])),
    };
    let on_delete = node.get("on_delete").and_then(|node| reader.choice(node, "on_delete", &ON_DELETE));
    let rules = rules(reader, node);
    let id = id?;
    Some(SourceDefinition {
        name: name.unwrap_or_else(|| id.as_str().to_owned()),
        id,
        description,
        auth: auth?,
        require: require?,
        on_delete: on_delete.unwrap_or_default(),
        rules: rules?,
    })
}

/// WS-10, WS-41.
fn id(reader: &mut Reader, node: &Node) -> Option<(SourceId, Mark)> {
    let value = reader.required(node, "", "source")?;
    let text = reader.text(value, "source")?;
    if RESERVED_IDS.contains(&text) {
        reader.error(value.at, "source", format!("`{text}` is reserved for a route of its own"), None);
        return None;
    }
    match SourceId::new(text) {
        Ok(id) => Some((id, value.at)),
        Err(invalid) => {
            reader.error(value.at, "source", invalid.to_string(), None);
            None
        }
    }
}

/// The rules of the list, or the single rule that stands in the source itself (WS-142).
fn rules(reader: &mut Reader, node: &Node) -> Option<Vec<Rule>> {
    let Some(list) = node.get("rules") else {
        return read_rule::rule(reader, node, "").map(|rule| vec![rule]);
    };
    for member in node.members() {
        if read_rule::KEYS.contains(&member.key.as_str()) {
            let message = format!("`{}` stands in each of the rules if there is a list of them", member.key);
            reader.error(member.at, &member.key, message, None);
        }
    }
    let Data::List(elements) = &list.data else {
        reader.mistyped(list, "rules", "a list of rules", None);
        return None;
    };
    if elements.is_empty() {
        reader.error(list.at, "rules", "must hold a rule", None);
        return None;
    }
    let mut rules = Vec::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        let path = at_index("rules", index);
        if let Data::Map(members) = &element.data {
            reader.check_keys(members, &path, &read_rule::KEYS);
            rules.push(read_rule::rule(reader, element, &path));
        } else {
            reader.mistyped(
                element,
                &path,
                "a rule",
                Some("write for example {event: paid, ...}".to_owned()),
            );
            rules.push(None);
        }
    }
    rules.into_iter().collect()
}

/// Members of `require`, and of objects in it.
fn members(reader: &mut Reader, node: &Node, path: &str) -> Option<Shape> {
    let Data::Map(members) = &node.data else {
        reader.mistyped(node, path, "a map", Some("write for example {id: string}".to_owned()));
        return None;
    };
    let keys: Vec<&str> = members.iter().map(|member| member.key.as_str()).collect();
    reader.check_keys(members, path, &keys);
    let read = members.iter().map(|member| {
        let (shape, optional) = shape(reader, &member.value, &within(path, &member.key))?;
        Some(Member { key: member.key.clone().into(), shape, optional })
    });
    let read: Vec<Option<Member>> = read.collect();
    read.into_iter().collect::<Option<Vec<Member>>>().map(Shape::Map)
}

fn shape(reader: &mut Reader, node: &Node, path: &str) -> Option<(Shape, bool)> {
    if matches!(node.data, Data::Map(_)) {
        return members(reader, node, path).map(|shape| (shape, false));
    }
    let text = reader.text(node, path)?;
    let (word, optional) = text.strip_suffix('?').map_or((text, false), |word| (word, true));
    let found = SHAPES.iter().find(|(name, _)| *name == word).map(|(_, shape)| (shape.clone(), optional));
    if found.is_none() {
        let names: Vec<&str> = SHAPES.iter().map(|(name, _)| *name).collect();
        let hint = Some("a `?` behind it makes it optional".to_owned());
        reader.error(node.at, path, format!("must be one of {}, or a map", names.join(", ")), hint);
    }
    found
}
