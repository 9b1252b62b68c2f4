//! Which of the definitions take part (BK-202).

use std::collections::BTreeSet;

use super::BucketDefinition;
use crate::criteria::suggest::did_you_mean;

/// A selection names buckets that are not defined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown bucket {}", .0.join(", "))]
pub struct UnknownBuckets(Vec<String>);

/// The definitions that a selection names, in their order. An empty selection or `*` takes all; else it is a list
/// separated by commas, of which blanks are dropped, so that blanks alone take none. With a bucket its reactions go.
///
/// # Errors
/// [`UnknownBuckets`] names each that is not defined, with what was probably meant.
pub fn select(
    mut definitions: Vec<BucketDefinition>,
    selection: &str,
) -> Result<Vec<BucketDefinition>, UnknownBuckets> {
    if selection.is_empty() || selection.trim() == "*" {
        return Ok(definitions);
    }
    let wanted: BTreeSet<&str> = selection.split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
    let known: Vec<&str> = definitions.iter().map(|definition| definition.id.as_str()).collect();
    let unknown = |id: &&str| {
        let hint = did_you_mean(id, &known).map_or_else(String::new, |hint| format!(" ({hint})"));
        (!known.contains(id)).then(|| format!("`{id}`{hint}"))
    };
    let unknown: Vec<String> = wanted.iter().filter_map(unknown).collect();
    if !unknown.is_empty() {
        return Err(UnknownBuckets(unknown));
    }
    definitions.retain(|definition| wanted.contains(definition.id.as_str()));
    Ok(definitions)
}
