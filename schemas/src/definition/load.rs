//! Definition files, read and put together.

use std::collections::HashMap;

use super::{
    BucketDefinition, Issue, json,
    read::{KEYS, Reading, definition},
    yaml,
};
use crate::{
    BucketId,
    criteria::{
        Problem, Severity,
        document::{Data, Mark, Node, at_index, within},
        reader::Reader,
        suggest::did_you_mean,
    },
};

/// Reads one file: a definition, or a list of them under `buckets:`; JSON if the name ends in `.json`, else YAML 1.2.
///
/// A definition with an error is left out; all problems of the file are reported.
pub fn load_file(file: &str, text: &str) -> (Vec<BucketDefinition>, Vec<Issue>) {
    assemble([(file.to_owned(), text.to_owned())])
}

/// Reads files of `(name, text)` and checks them against each other; definitions come in the order of file names, then
/// of their place in the file. All problems of all files are reported.
pub fn assemble(files: impl IntoIterator<Item = (String, String)>) -> (Vec<BucketDefinition>, Vec<Issue>) {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut definitions = Vec::new();
    let mut issues = Vec::new();
    let mut first: HashMap<BucketId, (&str, Mark)> = HashMap::new();
    for (file, text) in &files {
        let mut reader = Reader::default();
        for (path, reading) in read_text(&mut reader, file, text) {
            let Some((id, at)) = reading.id else { continue };
            if let Some((other_file, other)) = first.get(&id) {
                let message = format!("duplicate bucket id `{id}`");
                let hint = format!("also at {other_file}:{}:{}", other.line, other.column);
                reader.error(at, &within(&path, "id"), message, Some(hint));
            } else {
                first.insert(id, (file, at));
                definitions.extend(reading.definition);
            }
        }
        reader.problems.sort_by_key(|(at, _)| *at);
        issues.extend(reader.problems.into_iter().map(|(at, problem)| Issue::new(file, at, problem)));
    }
    (definitions, issues)
}

/// The document of a file: JSON if its name ends in `.json`, else YAML 1.2; `None` if there is none or it cannot be read.
pub(crate) fn document(reader: &mut Reader, file: &str, text: &str) -> Option<Node> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if is_json(file) { json::parse(reader, text) } else { yaml::parse(reader, text) }
}

/// All definitions of a file, each with its path in it.
fn read_text(reader: &mut Reader, file: &str, text: &str) -> Vec<(String, Reading)> {
    let document = document(reader, file, text);
    let damaged = reader.failed_since(0);
    match document {
        Some(Node { data: Data::Null, .. }) | None if !damaged => {
            let problem = Problem {
                severity: Severity::Warning,
                path: String::new(),
                message: "the file holds no definition".to_owned(),
                hint: None,
            };
            reader.report(Mark::default(), problem);
            Vec::new()
        }
        Some(document) => {
            let mut readings = read_document(reader, &document);
            if damaged {
                // What could not be read is missing from the definitions, so they are not what the author wrote.
                readings.iter_mut().for_each(|(_, reading)| reading.definition = None);
            }
            readings
        }
        None => Vec::new(),
    }
}

fn is_json(file: &str) -> bool {
    file.len() >= 5 && file.as_bytes()[file.len() - 5..].eq_ignore_ascii_case(b".json")
}

fn read_document(reader: &mut Reader, document: &Node) -> Vec<(String, Reading)> {
    match &document.data {
        Data::Map(members) => {
            if let Some(list) = document.get("buckets") {
                reader.check_keys(members, "", &["buckets"]);
                return read_list(reader, list);
            }
            // A list under another single key can only be a misspelt `buckets`.
            if let [member] = members.as_slice()
                && let Data::List(_) = member.value.data
            {
                let hint = did_you_mean(&member.key, &["buckets"]);
                let hint = hint.or_else(|| Some("a list of definitions stands under `buckets:`".to_owned()));
                reader.error(member.at, &member.key, format!("unknown key `{}`", member.key), hint);
                return Vec::new();
            }
            vec![(String::new(), definition(reader, document, ""))]
        }
        _ => {
            let hint = match document.data {
                Data::List(_) => Some("put the list under `buckets:`".to_owned()),
                _ => Some(format!("known keys: {}", KEYS.join(", "))),
            };
            reader.mistyped(document, "", "a definition", hint);
            Vec::new()
        }
    }
}

fn read_list(reader: &mut Reader, list: &Node) -> Vec<(String, Reading)> {
    let Data::List(elements) = &list.data else {
        reader.mistyped(list, "buckets", "a list of definitions", None);
        return Vec::new();
    };
    let mut readings = Vec::with_capacity(elements.len());
    for (i, element) in elements.iter().enumerate() {
        let path = at_index("buckets", i);
        match element.data {
            Data::Map(_) => {
                let reading = definition(reader, element, &path);
                readings.push((path, reading));
            }
            _ => reader.mistyped(element, &path, "a definition", None),
        }
    }
    readings
}
