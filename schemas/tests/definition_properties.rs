//! The loader against texts that nobody would write.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use mainspring_schemas::definition::load_file;
use proptest::prelude::*;

/// Pieces of definition files, in any order.
const PIECES: [&str; 40] = [
    "id", "name", "enabled", "criteria", "buckets", "event", "prop", "all", "any", "type", "within", "count",
    ": ", ":", "- ", "\n", "\n  ", "\n    ", "{", "}", "[", "]", ", ", "\"", "'", "7d", "true", "null", "3",
    "-1.5e3", "&a ", "*a", "!t ", "# ", "|\n", "---\n", "\t", "ü", "\\", "? ",
];

/// A valid file, damaged by the caller.
const VALID: &str = r#"{"buckets": [{"id": "b", "name": "B", "enabled": true, "maxDwell": {"hours": 1.5},
  "criteria": {"all": [{"event": "e", "within": "7d", "count": {"gte": 3}}, {"prop": "ü", "neq": "\u00e4\\"}]}}]}"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gives_definitions_or_issues(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40)) {
        let text = pieces.concat();
        for file in ["a.yaml", "a.json"] {
            let (definitions, issues) = load_file(file, &text);
            let empty = text.contains("buckets") && issues.is_empty();
            prop_assert!(!definitions.is_empty() || !issues.is_empty() || empty, "{file}: {text}");
            let lines = text.split('\n').count() + 1;
            prop_assert!(issues.iter().all(|issue| (1..=lines).contains(&issue.line) && issue.column >= 1), "{issues:?}");
        }
    }

    #[test]
    fn json_means_the_same_in_both_readers(from in 0..VALID.len(), length in 0..12_usize, insert in "[\\[\\]{}:,\"a1 ]{0,2}") {
        let (from, to) = (VALID.floor_char_boundary(from), VALID.floor_char_boundary((from + length).min(VALID.len())));
        let text = format!("{}{insert}{}", &VALID[..from], &VALID[to..]);
        let (json, issues) = load_file("a.json", &text);
        let (yaml, _) = load_file("a.yaml", &text);
        if issues.is_empty() {
            prop_assert_eq!(json, yaml, "{}", text);
        }
    }
}

#[test]
fn the_valid_file_is_valid() {
    for file in ["a.json", "a.yaml"] {
        let (definitions, issues) = load_file(file, VALID);
        assert!(issues.is_empty(), "{issues:?}");
        assert_eq!(definitions.len(), 1);
    }
}
