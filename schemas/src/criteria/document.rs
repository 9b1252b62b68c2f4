//! A document that somebody wrote, before it means anything: values that know their place, and the problems found.

use std::fmt;

use super::Number;

/// A place in a text, both counted from 1; 0 where a value comes from no text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub line: usize,
    pub column: usize,
}

/// A value and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub at: Mark,
    pub data: Data,
}

/// The value of a node.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Member>),
    /// No value of JSON; its problem has been reported already.
    Unreadable,
}

/// A key of a map with its value.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub key: String,
    pub at: Mark,
    pub value: Node,
}

impl Node {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.members().iter().find(|member| member.key == key).map(|member| &member.value)
    }

    /// The keys of a map; none of anything else.
    pub fn members(&self) -> &[Member] {
        match &self.data {
            Data::Map(members) => members,
            _ => &[],
        }
    }

    /// What it is, for a message.
    pub fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "empty",
            Data::Bool(_) => "true or false",
            Data::Number(_) => "a number",
            Data::Text(_) => "a string",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
            Data::Unreadable => "unreadable",
        }
    }
}

impl From<&serde_json::Value> for Node {
    fn from(value: &serde_json::Value) -> Self {
        let member = |(key, value): (&String, _)| Member {
            key: key.clone(),
            at: Mark::default(),
            value: Self::from(value),
        };
        let data = match value {
            serde_json::Value::Null => Data::Null,
            serde_json::Value::Bool(value) => Data::Bool(*value),
            serde_json::Value::Number(value) => Data::Number(Number::from(value.clone())),
            serde_json::Value::String(value) => Data::Text(value.clone()),
            serde_json::Value::Array(elements) => Data::List(elements.iter().map(Self::from).collect()),
            serde_json::Value::Object(members) => Data::Map(members.iter().map(member).collect()),
        };
        Self { at: Mark::default(), data }
    }
}

/// Whether a problem refuses the definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It does.
    Error,
    /// It means something, but hardly what the author wants.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// What is wrong with criteria or a definition, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Path of the value, such as `conditions[1].within`; empty for the whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.severity)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

/// A path one key deeper.
pub(crate) fn within(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A path one element deeper.
pub(crate) fn at_index(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}
