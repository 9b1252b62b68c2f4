//! The real purchases of an online shop: every figure of an import against an obvious calculation, and the same figures
//! after kills on the way.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use mainspring_schemas::Timestamp;
use serde_json::{Value, json};

use crate::{
    binary,
    random::{Random, seed},
};

pub const DAY: i64 = 24 * 3_600_000;

fn project(place: &str) -> PathBuf {
    Path::new("..").join(place)
}

/// Orders by customer, in order of time.
pub fn orders() -> BTreeMap<String, Vec<i64>> {
    let text = std::fs::read_to_string(project("tests/data/cdnow_master.txt")).unwrap();
    let mut orders: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for line in text.lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [customer, day, ..] = columns[..] else { continue };
        if day.len() != 8 || !day.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let midnight = format!("{}-{}-{}T00:00:00Z", &day[..4], &day[4..6], &day[6..]);
        orders.entry(customer.to_owned()).or_default().push(midnight.parse::<Timestamp>().unwrap().0);
    }
    orders.values_mut().for_each(|times| times.sort_unstable());
    orders
}

/// Looks at every customer at every instant at which an answer could change.
fn calculate(orders: &BTreeMap<String, Vec<i64>>, until: i64) -> Value {
    let mut records = 0;
    let mut figures: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
    for times in orders.values() {
        let times: Vec<i64> = times.iter().copied().filter(|at| *at <= until).collect();
        records += times.len();
        let falls = |window| times.iter().map(move |at| at + window + 1).filter(|at| *at <= until);
        let instants: BTreeSet<i64> =
            times.iter().copied().chain(falls(30 * DAY)).chain(falls(90 * DAY)).collect();
        let mut inside = BTreeSet::new();
        for now in instants {
            // The clock speaks before the first order of an instant, and each order is decided by itself.
            let before = times.iter().filter(|at| **at < now).count();
            let after = times.iter().filter(|at| **at <= now).count();
            for seen in before..=after {
                let within = |window| times[..seen].iter().filter(|at| **at >= now - window).count();
                for (bucket, holds) in [
                    ("lapsed", seen > 0 && within(90 * DAY) == 0),
                    ("power-buyer", within(30 * DAY) >= 3),
                    ("repeat-buyer", seen >= 2),
                ] {
                    let figure = figures.entry(bucket).or_default();
                    if holds && inside.insert(bucket) {
                        figure.0 += 1;
                    } else if !holds && inside.remove(bucket) {
                        figure.1 += 1;
                    }
                }
            }
        }
        for bucket in inside {
            figures.entry(bucket).or_default().2 += 1;
        }
    }
    let shape = |(entered, left, members): &(u64, u64, u64)| json!({"entered": entered, "left": left, "members": members});
    let buckets: serde_json::Map<String, Value> =
        figures.iter().map(|(bucket, figure)| ((*bucket).to_owned(), shape(figure))).collect();
    json!({"records": records, "buckets": buckets})
}

fn import(data: &Path, until: &str) -> Command {
    import_with(&project("examples/cdnow"), data, until)
}

/// The import of the purchases under any definitions, on the data's own clock.
pub fn import_with(definitions: &Path, data: &Path, until: &str) -> Command {
    let mut command = binary::command();
    command.arg("import").arg(project("tests/data/cdnow_master.txt")).args(["--format", "cdnow"]);
    command.arg("--definitions").arg(definitions).arg("--data-dir").arg(data);
    command.args(["--clock", "events", "--until", until, "--json"]);
    command
}

fn imported(data: &Path, until: &str) -> Value {
    let output = import(data, until).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn an_import_agrees_with_the_obvious_calculation_at_every_end() {
    let orders = orders();
    for until in
        ["1997-01-01T00:00:00Z", "1997-05-15T12:00:00Z", "1998-07-01T00:00:00Z", "1998-09-29T00:00:00.001Z"]
    {
        let directory = tempfile::tempdir().unwrap();
        let found = imported(&directory.path().join("data"), until);
        assert_eq!(found, calculate(&orders, until.parse::<Timestamp>().unwrap().0), "{until}");
    }
}

#[test]
fn an_import_that_is_killed_again_and_again_ends_with_the_same_figures() {
    let until = "1998-01-01T00:00:00Z";
    let expected = calculate(&orders(), until.parse::<Timestamp>().unwrap().0);
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let seed = seed();
    let mut random = Random::new(seed);
    for _ in 0..4 {
        let mut running = import(&data, until).stdout(std::process::Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(random.between(200, 2_000)));
        running.kill().unwrap();
        running.wait().unwrap();
    }
    assert_eq!(imported(&data, until), expected, "seed {seed}");
    binary::assert_verified(&data);
}
