//! Destination files, read and put together.

use std::collections::HashMap;

use super::{DestinationDefinition, read};
use crate::{
    criteria::{
        document::{Data, Mark},
        reader::Reader,
    },
    definition::{Issue, document},
};

/// Reads files of `(name, text)`, one destination each, and checks them against each other; destinations come in the
/// order of file names. One with an error is left out; all problems of all files are reported (OB-260).
pub fn assemble(
    files: impl IntoIterator<Item = (String, String)>,
) -> (Vec<DestinationDefinition>, Vec<Issue>) {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut definitions = Vec::new();
    let mut issues = Vec::new();
    let mut first: HashMap<String, (&str, Mark)> = HashMap::new();
    for (file, text) in &files {
        let mut reader = Reader::default();
        let node = document(&mut reader, file, text);
        let damaged = reader.failed_since(0);
        match node {
            Some(node) if matches!(node.data, Data::Map(_)) => {
                let reading = read::destination(&mut reader, &node);
                if let Some((id, at)) = reading.id {
                    if let Some((other_file, other)) = first.get(&id) {
                        let hint = format!("also at {other_file}:{}:{}", other.line, other.column);
                        reader.error(at, "destination", format!("duplicate destination `{id}`"), Some(hint));
                    } else {
                        first.insert(id, (file, at));
                        definitions.extend(reading.definition.filter(|_| !damaged));
                    }
                }
            }
            Some(node) => reader.mistyped(&node, "", "a destination", None),
            None if !damaged => reader.error(Mark::default(), "", "the file holds no destination", None),
            None => {}
        }
        reader.problems.sort_by_key(|(at, _)| *at);
        issues.extend(reader.problems.into_iter().map(|(at, problem)| Issue::new(file, at, problem)));
    }
    (definitions, issues)
}
