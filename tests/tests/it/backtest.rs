//! `backtest` and `at` on the real purchases of an online shop: what the import recorded is what they say.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::binary;

const UNTIL: &str = "1997-10-01T00:00:00Z";

fn project(place: &str) -> PathBuf {
    Path::new("..").join(place)
}

/// The output of a command that must succeed.
fn output(arguments: &[&str]) -> String {
    let output = binary::run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn document(arguments: &[&str]) -> Value {
    serde_json::from_str(&output(arguments)).unwrap()
}

/// The head of the log's hash chain: it stays as it is if nothing is written.
fn head(data: &str) -> Value {
    binary::verify(Path::new(data)).1["log"]["head"].clone()
}

#[test]
fn a_backtest_of_what_was_in_force_gives_the_figures_of_the_import() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let data = data.to_str().unwrap();
    let (history, definitions) = (project("tests/data/cdnow_master.txt"), project("examples/cdnow"));
    let (history, definitions) = (history.to_str().unwrap(), definitions.to_str().unwrap());
    let imported = document(&[
        "import",
        history,
        "--format",
        "cdnow",
        "--definitions",
        definitions,
        "--data-dir",
        data,
        "--clock",
        "events",
        "--until",
        UNTIL,
        "--json",
    ]);
    let written = head(data);
    for bucket in ["lapsed", "power-buyer", "repeat-buyer"] {
        let file = format!("{definitions}/{bucket}.yaml");
        let arguments = ["backtest", "--definition", &file, "--until", UNTIL, "--data-dir", data, "--json"];
        let found = document(&arguments);
        let left: u64 = found["left"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        let figures = json!({"entered": found["entered"], "left": left, "members": found["members"]});
        assert_eq!(figures, imported["buckets"][bucket], "{bucket}");
        let differing = [&found["wouldJoin"]["total"], &found["wouldLeave"]["total"]];
        assert_eq!(differing, [&json!(0), &json!(0)], "{bucket}");
        assert_eq!(found["inForce"]["sameCriteria"], json!(true));

        // The members of an instant in between: who the backtest begins with, and the recorded transitions.
        let midsummer = "1997-07-01T00:00:00Z";
        let at = document(&["at", midsummer, "members", bucket, "--data-dir", data, "--json"]);
        let later = output(&[&arguments[..], &["--events", "--from", "1997-07-01T00:00:00.001Z"]].concat());
        let last: Value = serde_json::from_str(later.lines().last().unwrap()).unwrap();
        assert_eq!(last["initial"], at["total"], "{bucket}");
        assert_eq!(at["members"].as_array().unwrap().len() as u64, at["total"], "{bucket}");
        let mut told: BTreeMap<String, u64> = BTreeMap::new();
        for line in later.lines().rev().skip(1) {
            let transition: Value = serde_json::from_str(line).unwrap();
            *told.entry(transition["transition"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        assert_eq!(told.get("entered").copied().unwrap_or(0), last["entered"], "{bucket}");
        let count = output(&["at", midsummer, "members", bucket, "--data-dir", data, "--count"]);
        assert_eq!(count.trim(), at["total"].to_string());
    }

    // The third customer ordered on January 2, March 30 and April 2.
    let was = |at| document(&["at", at, "contact", "00003", "--data-dir", data, "--json"]);
    assert_eq!(was("1997-01-01T23:59:59Z")["fate"], json!("absent"));
    for (at, buckets) in [
        ("1997-03-29", vec![]),
        ("1997-03-30", vec!["repeat-buyer"]),
        ("1997-09-30", vec!["lapsed", "repeat-buyer"]),
    ] {
        let then = was(at);
        let stays: Vec<&str> =
            then["stays"].as_array().unwrap().iter().map(|stay| stay["bucketId"].as_str().unwrap()).collect();
        assert_eq!((then["keys"][0]["value"].as_str(), stays), (Some("00003"), buckets), "{at}");
    }
    let nobody = binary::run(&["at", "1997-03-30", "contact", "nobody", "--data-dir", data]);
    assert_eq!(nobody.status.code(), Some(2));

    let changed = directory.path().join("changed.yaml");
    let text = "id: power-buyer\nname: Power buyer\nenabled: true\n\
                criteria: {event: order.placed, within: 30d, count: {gte: 2}}\n";
    std::fs::write(&changed, text).unwrap();
    let changed = changed.to_str().unwrap();
    let found =
        document(&["backtest", "--definition", changed, "--until", UNTIL, "--data-dir", data, "--json"]);
    assert_eq!(found["inForce"]["sameCriteria"], json!(false));
    assert_eq!(found["wouldLeave"]["total"], json!(0), "two orders are easier than three");
    let more = found["wouldJoin"]["total"].as_u64().unwrap();
    assert_eq!(found["members"].as_u64().unwrap(), found["recordedMembers"].as_u64().unwrap() + more);
    assert!(more > 0 && found["wouldJoin"]["first"].as_array().unwrap().len() == 20.min(more as usize));
    let shown = output(&["backtest", "--definition", changed, "--until", UNTIL, "--data-dir", data]);
    assert!(
        shown.contains(&format!("{more} would be members and are none")) && shown.contains('█'),
        "{shown}"
    );
    assert_eq!(head(data), written, "nothing was written");
}

#[test]
fn oc_02_what_cannot_be_answered_is_a_usage_error() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let definition = project("examples/cdnow/lapsed.yaml");
    let definition = definition.to_str().unwrap();
    let several = project("examples/demo/at-risk.yaml");
    for arguments in [
        vec!["backtest", "--definition", definition, "--data-dir", data],
        vec!["backtest", "--definition", several.to_str().unwrap(), "--data-dir", data],
        vec!["backtest", "--definition", definition, "--events", "--data-dir", data],
        vec!["backtest", "--definition", definition, "--from", "2026-01-02", "--until", "2026-01-01"],
        vec!["at", "yesterday", "members", "lapsed", "--data-dir", data],
        vec!["at", "2026-01-01", "members", "lapsed", "--data-dir", data],
    ] {
        assert_eq!(binary::run(&arguments).status.code(), Some(2), "{arguments:?}");
    }
}
