//! YAML 1.2 with its core schema, as a document: `on`, `yes` and `no` are strings.

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

use crate::criteria::{
    Number,
    document::{Data, Mark, Member, Node, at_index, within},
    reader::Reader,
};

/// Longest run of characters that open nested blocks: the parser recurses, and its stack is finite.
const DEEPEST_LINE: usize = 512;

/// The document of a text; `None` if there is none or it cannot be parsed.
pub(super) fn parse(reader: &mut Reader, text: &str) -> Option<Node> {
    if let Some(line) = text.lines().position(|line| opening(line) > DEEPEST_LINE) {
        reader.error(Mark { line: line + 1, column: 1 }, "", "not YAML: nested too deeply", None);
        return None;
    }
    let documents = match MarkedYaml::load_from_str(text) {
        Ok(documents) => documents,
        Err(error) => {
            let marker = error.marker();
            let at = Mark { line: marker.line(), column: marker.col() + 1 };
            reader.error(at, "", format!("not YAML: {}", error.info()), None);
            return None;
        }
    };
    if let Some(second) = documents.get(1) {
        let hint = Some("put each into a file of its own".to_owned());
        reader.error(mark(second), "", "a file holds one YAML document", hint);
    }
    documents.first().map(|document| node(reader, document, ""))
}

fn opening(line: &str) -> usize {
    line.bytes().take_while(|byte| matches!(byte, b' ' | b'-' | b'?' | b':' | b'\t')).count()
}

fn mark(yaml: &MarkedYaml<'_>) -> Mark {
    Mark { line: yaml.span.start.line(), column: yaml.span.start.col() + 1 }
}

fn node(reader: &mut Reader, yaml: &MarkedYaml<'_>, path: &str) -> Node {
    let at = mark(yaml);
    let data = match &yaml.data {
        YamlData::Value(scalar) => of_scalar(reader, at, path, scalar),
        YamlData::Sequence(elements) => {
            let read = |(i, element)| node(reader, element, &at_index(path, i));
            Data::List(elements.iter().enumerate().map(read).collect())
        }
        YamlData::Mapping(members) => {
            let mut read = Vec::with_capacity(members.len());
            for (key, value) in members {
                match &key.data {
                    YamlData::Value(Scalar::String(name)) => {
                        let value = node(reader, value, &within(path, name));
                        read.push(Member { key: name.to_string(), at: mark(key), value });
                    }
                    _ => reader.error(
                        mark(key),
                        path,
                        "a key must be a string",
                        Some("put it in quotes".to_owned()),
                    ),
                }
            }
            Data::Map(read)
        }
        YamlData::Tagged(tag, _) => {
            reader.error(
                at,
                path,
                format!("the tag `{}{}` means nothing here", tag.handle, tag.suffix),
                None,
            );
            Data::Unreadable
        }
        YamlData::Representation(..) | YamlData::Alias(_) | YamlData::BadValue => {
            reader.error(at, path, "the value is not what its tag says", None);
            Data::Unreadable
        }
    };
    Node { at, data }
}

fn of_scalar(reader: &mut Reader, at: Mark, path: &str, scalar: &Scalar<'_>) -> Data {
    match scalar {
        Scalar::Null => Data::Null,
        Scalar::Boolean(value) => Data::Bool(*value),
        Scalar::Integer(value) => Data::Number(Number::from(*value)),
        Scalar::FloatingPoint(value) => match Number::from_f64(value.0) {
            Some(number) => Data::Number(number),
            None => {
                reader.error(at, path, "must be a finite number", None);
                Data::Unreadable
            }
        },
        Scalar::String(value) => Data::Text(value.to_string()),
    }
}
