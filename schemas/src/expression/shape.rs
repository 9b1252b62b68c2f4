//! A JSON document with expressions in its strings.

use serde_json::{Map, Value};

use super::{Scope, Template};
use crate::criteria::{
    document::{Data, Node, at_index, within},
    reader::Reader,
};

/// A JSON document whose strings are templates. Members come in the order of the file.
#[derive(Debug, PartialEq)]
pub enum Shape {
    /// A value as it is.
    Literal(Value),
    /// A string with expressions.
    Template(Template),
    /// A list.
    List(Vec<Shape>),
    /// An object.
    Object(Vec<(String, Shape)>),
}

impl Shape {
    /// The document for this data. A string that is one expression without a value becomes null.
    pub fn value(&self, scope: &Scope<'_>) -> Value {
        match self {
            Self::Literal(value) => value.clone(),
            Self::Template(template) => template.value(scope),
            Self::List(elements) => elements.iter().map(|element| element.value(scope)).collect(),
            Self::Object(members) => {
                let value = |(key, shape): &(String, Self)| (key.clone(), shape.value(scope));
                Value::Object(members.iter().map(value).collect::<Map<_, _>>())
            }
        }
    }

    /// Reads a document whose expressions begin with one of `roots`; problems go to the reader.
    pub(crate) fn read(reader: &mut Reader, node: &Node, path: &str, roots: &[&str]) -> Option<Self> {
        match &node.data {
            Data::Null => Some(Self::Literal(Value::Null)),
            Data::Bool(flag) => Some(Self::Literal(Value::from(*flag))),
            Data::Number(number) => Some(Self::Literal(Value::Number(number.clone().into()))),
            Data::Text(_) => template(reader, node, path, roots).map(Self::Template),
            Data::List(elements) => {
                let read = |(i, element)| Self::read(reader, element, &at_index(path, i), roots);
                let elements: Vec<Option<Self>> = elements.iter().enumerate().map(read).collect();
                elements.into_iter().collect::<Option<_>>().map(Self::List)
            }
            Data::Map(members) => {
                let keys: Vec<&str> = members.iter().map(|member| member.key.as_str()).collect();
                reader.check_keys(members, path, &keys);
                let mut read = Vec::with_capacity(members.len());
                for member in members {
                    let value = Self::read(reader, &member.value, &within(path, &member.key), roots);
                    read.push(value.map(|value| (member.key.clone(), value)));
                }
                read.into_iter().collect::<Option<_>>().map(Self::Object)
            }
            Data::Unreadable => None,
        }
    }
}

/// Reads a string with expressions; problems go to the reader.
pub(crate) fn template(reader: &mut Reader, node: &Node, path: &str, roots: &[&str]) -> Option<Template> {
    let Data::Text(text) = &node.data else {
        reader.mistyped(node, path, "a string", None);
        return None;
    };
    Template::parse(text, roots)
        .map_err(|invalid| reader.error(node.at, path, invalid.to_string(), None))
        .ok()
}
