//! Source files, read and put together.

use std::collections::HashMap;

use super::{SourceDefinition, read};
use crate::{
    SourceId,
    criteria::{
        document::{Data, Mark},
        reader::Reader,
    },
    definition::{Issue, document},
};

/// Reads files of `(name, text)`, one source each, and checks them against each other; sources come in the order of file
/// names. A source with an error is left out; all problems of all files are reported.
pub fn assemble(files: impl IntoIterator<Item = (String, String)>) -> (Vec<SourceDefinition>, Vec<Issue>) {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut definitions = Vec::new();
    let mut issues = Vec::new();
    let mut first: HashMap<SourceId, (&str, Mark)> = HashMap::new();
    for (file, text) in &files {
        let mut reader = Reader::default();
        let node = document(&mut reader, file, text);
        let damaged = reader.failed_since(0);
        match node {
            Some(node) if matches!(node.data, Data::Map(_)) => {
                let reading = read::source(&mut reader, &node);
                if let Some((id, at)) = reading.id {
                    if let Some((other_file, other)) = first.get(&id) {
                        let hint = format!("also at {other_file}:{}:{}", other.line, other.column);
                        reader.error(at, "source", format!("duplicate source `{id}`"), Some(hint));
                    } else {
                        first.insert(id, (file, at));
                        definitions.extend(reading.definition.filter(|_| !damaged));
                    }
                }
            }
            Some(node) => reader.mistyped(&node, "", "a source", None),
            None if !damaged => reader.error(Mark::default(), "", "the file holds no source", None),
            None => {}
        }
        reader.problems.sort_by_key(|(at, _)| *at);
        issues.extend(reader.problems.into_iter().map(|(at, problem)| Issue::new(file, at, problem)));
    }
    (definitions, issues)
}
