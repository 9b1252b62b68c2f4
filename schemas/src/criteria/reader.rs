//! Reads typed values out of a document and collects every problem on the way.

use std::num::NonZeroU32;

use super::{
    Number,
    document::{Data, Mark, Member, Node, Problem, Severity, within},
    suggest::did_you_mean,
};
use crate::duration::DurationSpec;

/// The problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub problems: Vec<(Mark, Problem)>,
}

impl Reader {
    /// Reports an error.
    pub fn error(&mut self, at: Mark, path: &str, message: impl Into<String>, hint: Option<String>) {
        self.report(
            at,
            Problem { severity: Severity::Error, path: path.to_owned(), message: message.into(), hint },
        );
    }

    /// Reports a problem.
    pub fn report(&mut self, at: Mark, problem: Problem) {
        self.problems.push((at, problem));
    }

    /// Whether an error was reported since there were `since` problems.
    pub fn failed_since(&self, since: usize) -> bool {
        self.problems[since..].iter().any(|(_, problem)| problem.severity == Severity::Error)
    }

    /// Reports a value of the wrong type.
    pub fn mistyped(&mut self, node: &Node, path: &str, expected: &str, hint: Option<String>) {
        match node.data {
            Data::Unreadable => {}
            Data::Null => self.error(node.at, path, format!("must be {expected}, is empty"), hint),
            _ => self.error(node.at, path, format!("must be {expected}, is {}", node.kind()), hint),
        }
    }

    /// Reports keys that are not known, and keys that are there twice.
    pub fn check_keys(&mut self, members: &[Member], path: &str, known: &[&str]) {
        for (i, member) in members.iter().enumerate() {
            let path = within(path, &member.key);
            if members[..i].iter().any(|earlier| earlier.key == member.key) {
                self.error(member.at, &path, format!("the key `{}` is there twice", member.key), None);
            } else if !known.contains(&member.key.as_str()) {
                let hint = did_you_mean(&member.key, known)
                    .or_else(|| Some(format!("known keys: {}", known.join(", "))));
                self.error(member.at, &path, format!("unknown key `{}`", member.key), hint);
            }
        }
    }

    /// The value of a required key.
    pub fn required<'n>(&mut self, node: &'n Node, path: &str, key: &str) -> Option<&'n Node> {
        let value = node.get(key);
        if value.is_none() {
            self.error(node.at, &within(path, key), format!("the key `{key}` is missing"), None);
        }
        value
    }

    /// A string that is not empty.
    pub fn text<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n str> {
        match &node.data {
            Data::Text(text) if text.is_empty() => {
                self.error(node.at, path, "must not be empty", None);
                None
            }
            Data::Text(text) => Some(text),
            Data::Number(_) | Data::Bool(_) => {
                self.mistyped(node, path, "a string", Some("put it in quotes".to_owned()));
                None
            }
            _ => {
                self.mistyped(node, path, "a string", None);
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn flag(&mut self, node: &Node, path: &str) -> Option<bool> {
        match &node.data {
            Data::Bool(flag) => Some(*flag),
            Data::Text(text) => {
                let yaml_1_1 =
                    matches!(text.to_lowercase().as_str(), "yes" | "no" | "on" | "off" | "y" | "n");
                let hint = yaml_1_1.then(|| format!("in YAML 1.2 `{text}` is a string"));
                self.mistyped(node, path, "true or false", hint);
                None
            }
            _ => {
                self.mistyped(node, path, "true or false", None);
                None
            }
        }
    }

    /// A number.
    pub fn number(&mut self, node: &Node, path: &str) -> Option<Number> {
        if let Data::Number(number) = &node.data {
            return Some(number.clone());
        }
        self.mistyped(node, path, "a number", None);
        None
    }

    /// A whole number of at least one.
    pub fn count(&mut self, node: &Node, path: &str) -> Option<NonZeroU32> {
        let number = self.number(node, path)?;
        let count = serde_json::to_value(&number).ok().and_then(|value| value.as_u64());
        let count = count.and_then(|count| u32::try_from(count).ok()).and_then(NonZeroU32::new);
        if count.is_none() {
            let message = format!("must be a whole number from 1 to {}", u32::MAX);
            self.error(node.at, path, message, None);
        }
        count
    }

    /// One of several names.
    pub fn choice<T: Copy>(&mut self, node: &Node, path: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, path)?;
        let chosen = choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice);
        if chosen.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            let message = format!("must be one of {}, is `{text}`", names.join(", "));
            self.error(node.at, path, message, did_you_mean(text, &names));
        }
        chosen
    }

    /// A duration in long form or as a short string.
    pub fn duration(&mut self, node: &Node, path: &str) -> Option<DurationSpec> {
        let result = match &node.data {
            Data::Text(text) => text.parse(),
            Data::Map(members) => {
                let since = self.problems.len();
                self.check_duration_keys(members, path);
                let mut part = |key: &str| {
                    let value = members.iter().find(|member| member.key == key)?;
                    self.number(&value.value, &within(path, key))
                };
                let (hours, minutes, seconds) = (part("hours"), part("minutes"), part("seconds"));
                if self.failed_since(since) {
                    return None;
                }
                DurationSpec::new(hours, minutes, seconds)
            }
            _ => {
                let hint = "write for example 7d, or {hours: 168}".to_owned();
                self.mistyped(node, path, "a duration", Some(hint));
                return None;
            }
        };
        result.map_err(|invalid| self.error(node.at, path, invalid.to_string(), None)).ok()
    }

    /// Days and weeks are the mistake that everybody makes.
    fn check_duration_keys(&mut self, members: &[Member], path: &str) {
        let (folded, rest): (Vec<_>, Vec<_>) = members
            .iter()
            .cloned()
            .partition(|member| matches!(member.key.as_str(), "day" | "days" | "week" | "weeks"));
        self.check_keys(&rest, path, &DurationSpec::KEYS);
        for member in folded {
            let hint = Some("7 days are `7d` or {hours: 168}".to_owned());
            self.error(member.at, &within(path, &member.key), format!("unknown key `{}`", member.key), hint);
        }
    }
}
