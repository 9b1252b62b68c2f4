//! Source files, read and put together.

use super::{SourceDefinition, read};
use crate::definition::{Issue, one_per_file};

/// Reads files of `(name, text)`, one source each, and checks them against each other; sources come in the order of file
/// names. A source with an error is left out; all problems of all files are reported.
pub fn assemble(files: impl IntoIterator<Item = (String, String)>) -> (Vec<SourceDefinition>, Vec<Issue>) {
    one_per_file::assemble(files, "source", read::source)
}
