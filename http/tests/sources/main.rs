//! Inbound webhook sources against the published vectors.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may stop a test")]

mod events;
mod health;
mod requests;
mod stored;
mod verification;
mod world;

use std::path::Path;

use serde_json::Value;

/// A file of vectors.
fn vectors(file: &str) -> Value {
    let folder = Path::new("../tests/vectors/webhook-sources");
    serde_json::from_str(&std::fs::read_to_string(folder.join(file)).unwrap()).unwrap()
}

/// The cases of a file; there must be `count` of them.
fn cases(file: &str, count: usize) -> Vec<Value> {
    let cases = vectors(file)["cases"].as_array().unwrap().clone();
    assert_eq!(cases.len(), count, "{file}");
    cases
}
