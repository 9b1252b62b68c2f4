//! Reads the reactions of a definition out of a document (BK-120, BK-121).

use std::collections::HashMap;

use compact_str::CompactString;
use serde_json::Value;

use super::reaction::{Action, Pace, Reaction, Schedule, Trigger};
use crate::{
    BucketId, Properties,
    criteria::{
        document::{Data, Mark, Member, Node, at_index, within},
        reader::Reader,
        suggest::did_you_mean,
    },
    event::contact::LeaveReason,
};

/// Event names that only the engine may use (HT-56).
const RESERVED: [&str; 2] = ["bucket:", "journey:"];

/// Longest name of an event, in characters (HT-56).
const LONGEST_NAME: usize = 200;

const ACTIONS: [&str; 3] = ["set", "track", "send"];

const REASONS: [(&str, LeaveReason); 3] = [
    ("criteria", LeaveReason::Criteria),
    ("maxDwell", LeaveReason::MaxDwell),
    ("manual", LeaveReason::Manual),
];

/// What a reaction waits for, before its options are read.
#[derive(Clone, Copy)]
enum Kind {
    Enter,
    Leave,
    Dwell,
}

const KINDS: [(&str, Kind); 3] = [("enter", Kind::Enter), ("leave", Kind::Leave), ("dwell", Kind::Dwell)];

impl Kind {
    /// The keys that a reaction of this kind may have.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Enter => &["on", "firstEntryOnly", "exitOnLeave", "do"],
            Self::Leave => &["on", "reason", "do"],
            Self::Dwell => &["on", "after", "every", "exitOnLeave", "do"],
        }
    }
}

/// Reads a list of reactions; those with an error are left out.
pub(super) fn reactions(reader: &mut Reader, node: &Node, path: &str) -> Vec<(Mark, Reaction)> {
    let Data::List(elements) = &node.data else {
        reader.mistyped(node, path, "a list of reactions", None);
        return Vec::new();
    };
    let read = |(index, element): (usize, &Node)| {
        Some((element.at, reaction(reader, element, &at_index(path, index))?))
    };
    elements.iter().enumerate().filter_map(read).collect()
}

/// Reports reactions of one bucket that would have the same id (BK-124).
pub(super) fn check_collisions(
    reader: &mut Reader,
    bucket: &BucketId,
    reactions: &[(Mark, Reaction)],
    path: &str,
) {
    let mut first: HashMap<CompactString, Mark> = HashMap::new();
    for (at, reaction) in reactions {
        let id = reaction.id(bucket);
        if let Some(other) = first.get(&id) {
            let hint = format!("also at line {}", other.line);
            reader.error(*at, path, format!("collision: two reactions have the id `{id}`"), Some(hint));
        } else {
            first.insert(id, *at);
        }
    }
}

fn reaction(reader: &mut Reader, node: &Node, path: &str) -> Option<Reaction> {
    let Data::Map(members) = &node.data else {
        reader.mistyped(node, path, "a reaction", Some("write for example {on: enter, do: [...]}".into()));
        return None;
    };
    let since = reader.problems.len();
    let on = reader.required(node, path, "on")?;
    let kind = reader.choice(on, &within(path, "on"), &KINDS)?;
    // Where it has no place, that gets an error of its own.
    let refused = node.get("exitOnLeave").filter(|_| matches!(kind, Kind::Leave)).map(|_| "exitOnLeave");
    let known: Vec<&str> = kind.keys().iter().copied().chain(refused).collect();
    reader.check_keys(members, path, &known);
    let trigger = match kind {
        Kind::Enter => {
            let first = node.get("firstEntryOnly");
            let first = first.and_then(|node| reader.flag(node, &within(path, "firstEntryOnly")));
            Some(Trigger::Enter { first_entry_only: first.unwrap_or_default() })
        }
        Kind::Leave => {
            let reasons = node.get("reason").map(|node| reasons(reader, node, &within(path, "reason")));
            Some(Trigger::Leave { reasons: reasons.unwrap_or_default() })
        }
        Kind::Dwell => schedule(reader, node, path).map(Trigger::Dwell),
    };
    let exit_on_leave = exit_on_leave(reader, node, path, kind);
    let actions = actions(reader, node, path);
    let reaction = Reaction { trigger: trigger?, exit_on_leave, actions: actions? };
    (!reader.failed_since(since)).then_some(reaction)
}

/// BK-125. A leave cannot end with itself.
fn exit_on_leave(reader: &mut Reader, node: &Node, path: &str, kind: Kind) -> bool {
    let Some(flag) = node.get("exitOnLeave") else { return false };
    let path = within(path, "exitOnLeave");
    if matches!(kind, Kind::Leave) {
        let hint = "only `enter` and `dwell` reactions can end when the contact leaves".to_owned();
        reader.error(flag.at, &path, "has no place in a `leave` reaction", Some(hint));
        return false;
    }
    reader.flag(flag, &path).unwrap_or_default()
}

/// One reason or a list of them.
fn reasons(reader: &mut Reader, node: &Node, path: &str) -> Vec<LeaveReason> {
    match &node.data {
        Data::List(elements) if elements.is_empty() => {
            reader.error(node.at, path, "must name a reason", Some("leave it out for every reason".into()));
            Vec::new()
        }
        Data::List(elements) => elements
            .iter()
            .enumerate()
            .filter_map(|(index, element)| reader.choice(element, &at_index(path, index), &REASONS))
            .collect(),
        _ => reader.choice(node, path, &REASONS).into_iter().collect(),
    }
}

/// Exactly one of `after` and `every`, more than zero.
fn schedule(reader: &mut Reader, node: &Node, path: &str) -> Option<Schedule> {
    let (pace, key, length) = match (node.get("after"), node.get("every")) {
        (Some(length), None) => (Pace::After, "after", length),
        (None, Some(length)) => (Pace::Every, "every", length),
        (after, _) => {
            let amount = if after.is_some() { "both" } else { "neither" };
            let message = format!("a dwell reaction needs exactly one of `after` and `every`, has {amount}");
            reader.error(node.at, path, message, Some("write for example after: 7d".to_owned()));
            return None;
        }
    };
    let path = within(path, key);
    let duration = reader.duration(length, &path)?;
    if duration.is_zero() {
        reader.error(length.at, &path, "must be more than zero", None);
        return None;
    }
    Some(Schedule { pace, length: duration })
}

fn actions(reader: &mut Reader, node: &Node, path: &str) -> Option<Vec<Action>> {
    let list = reader.required(node, path, "do")?;
    let path = within(path, "do");
    match &list.data {
        Data::List(elements) if elements.is_empty() => {
            reader.error(list.at, &path, "must not be empty", None);
            None
        }
        Data::List(elements) => {
            let read = |(index, element)| action(reader, element, &at_index(&path, index));
            Some(elements.iter().enumerate().filter_map(read).collect())
        }
        _ => {
            reader.mistyped(list, &path, "a list of actions", None);
            None
        }
    }
}

fn action(reader: &mut Reader, node: &Node, path: &str) -> Option<Action> {
    let hint = || Some(format!("an action is one of {}", ACTIONS.join(", ")));
    let Data::Map(members) = &node.data else {
        reader.mistyped(node, path, "an action", hint());
        return None;
    };
    let [Member { key, at, value }] = members.as_slice() else {
        reader.error(node.at, path, "must hold exactly one action", hint());
        return None;
    };
    let path = &within(path, key);
    match key.as_str() {
        "set" => {
            let patch = object(reader, value, path)?;
            if patch.is_empty() {
                reader.error(value.at, path, "must name a property", None);
                return None;
            }
            Some(Action::Set(patch))
        }
        "track" => {
            let (name, properties) = named(reader, value, path, ["event", "properties"])?;
            Some(Action::Track { event: event_name(reader, value, path, name)?, properties })
        }
        "send" => {
            let (name, data) = named(reader, value, path, ["name", "data"])?;
            Some(Action::Send { name: name.into(), data })
        }
        unknown => {
            let hint = did_you_mean(unknown, &ACTIONS).or_else(hint);
            reader.error(*at, path, format!("unknown action `{unknown}`"), hint);
            None
        }
    }
}

/// A map of a required name and an optional object.
fn named<'n>(
    reader: &mut Reader,
    node: &'n Node,
    path: &str,
    keys: [&str; 2],
) -> Option<(&'n str, Properties)> {
    let Data::Map(members) = &node.data else {
        reader.mistyped(node, path, "a map", Some(format!("known keys: {}", keys.join(", "))));
        return None;
    };
    reader.check_keys(members, path, &keys);
    let [name_key, object_key] = keys;
    let contents = match node.get(object_key) {
        Some(node) => object(reader, node, &within(path, object_key)),
        None => Some(Properties::new()),
    };
    let name = reader.required(node, path, name_key)?;
    Some((reader.text(name, &within(path, name_key))?, contents?))
}

fn event_name(reader: &mut Reader, node: &Node, path: &str, name: &str) -> Option<CompactString> {
    let reserved = RESERVED.iter().find(|prefix| name.starts_with(**prefix));
    let problem = if let Some(prefix) = reserved {
        format!("names beginning with `{prefix}` are the engine's own")
    } else if name.trim().is_empty() || name.chars().any(char::is_control) {
        "must be a name of visible characters".to_owned()
    } else if name.chars().count() > LONGEST_NAME {
        format!("must not be longer than {LONGEST_NAME} characters")
    } else {
        return Some(name.into());
    };
    let at = node.get("event").map_or(node.at, |node| node.at);
    reader.error(at, &within(path, "event"), problem, None);
    None
}

/// A map of literal values.
fn object(reader: &mut Reader, node: &Node, path: &str) -> Option<Properties> {
    match literal(reader, node, path)? {
        Value::Object(object) => Some(object),
        _ => {
            reader.mistyped(node, path, "a map", None);
            None
        }
    }
}

/// A value as it stands.
fn literal(reader: &mut Reader, node: &Node, path: &str) -> Option<Value> {
    Some(match &node.data {
        Data::Null => Value::Null,
        Data::Bool(value) => Value::Bool(*value),
        Data::Number(number) => serde_json::to_value(number).ok()?,
        Data::Text(text) => Value::String(text.clone()),
        Data::List(elements) => {
            let read = |(index, element)| literal(reader, element, &at_index(path, index));
            Value::Array(elements.iter().enumerate().map(read).collect::<Option<_>>()?)
        }
        Data::Map(members) => {
            let names: Vec<&str> = members.iter().map(|member| member.key.as_str()).collect();
            reader.check_keys(members, path, &names);
            let mut object = Properties::new();
            for Member { key, value, .. } in members {
                object.insert(key.clone(), literal(reader, value, &within(path, key))?);
            }
            Value::Object(object)
        }
        Data::Unreadable => return None,
    })
}
