//! Destination files, read and put together.

use super::{DestinationDefinition, read};
use crate::definition::{Issue, one_per_file};

/// Reads files of `(name, text)`, one destination each, and checks them against each other; destinations come in the
/// order of file names. One with an error is left out; all problems of all files are reported (OB-260).
pub fn assemble(
    files: impl IntoIterator<Item = (String, String)>,
) -> (Vec<DestinationDefinition>, Vec<Issue>) {
    one_per_file::assemble(files, "destination", read::destination)
}
