//! Files that hold one thing each, read and put together.

use std::collections::HashMap;

use super::{Issue, document};
use crate::criteria::{
    document::{Data, Mark, Node},
    reader::Reader,
};

/// A thing as far as it could be read.
pub(crate) struct Reading<T> {
    /// Its id, if that is one, and where it is written.
    pub id: Option<(String, Mark)>,
    /// The whole, if there is no error.
    pub definition: Option<T>,
}

/// Reads files of `(name, text)` and checks them against each other; what they hold comes in the order of file names. One
/// with an error is left out; all problems of all files are reported. `what` names the thing, and the key of its id.
pub(crate) fn assemble<T>(
    files: impl IntoIterator<Item = (String, String)>,
    what: &str,
    read: impl Fn(&mut Reader, &Node) -> Reading<T>,
) -> (Vec<T>, Vec<Issue>) {
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
                let reading = read(&mut reader, &node);
                if let Some((id, at)) = reading.id {
                    if let Some((other_file, other)) = first.get(&id) {
                        let hint = format!("also at {other_file}:{}:{}", other.line, other.column);
                        reader.error(at, what, format!("duplicate {what} `{id}`"), Some(hint));
                    } else {
                        first.insert(id, (file, at));
                        definitions.extend(reading.definition.filter(|_| !damaged));
                    }
                }
            }
            Some(node) => reader.mistyped(&node, "", &format!("a {what}"), None),
            None if !damaged => {
                reader.error(Mark::default(), "", format!("the file holds no {what}"), None);
            }
            None => {}
        }
        reader.problems.sort_by_key(|(at, _)| *at);
        issues.extend(reader.problems.into_iter().map(|(at, problem)| Issue::new(file, at, problem)));
    }
    (definitions, issues)
}
