//! The proof that the read models are what the log says (C4).

use std::{
    cmp::Ordering,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use mainspring_eventlog::EventLog;
use rusqlite::{Connection, Row, types::Value};
use sha2::{Digest, Sha256};

use crate::{
    database,
    digest::{hexadecimal, ordered, table_digest},
    error::Result,
    projection::{Projection, Table},
    rebuild::furthest,
    shadow::{self, Progress, Replay},
};

/// Most differences told of one table; the digest has already shown that there are any.
const TOLD: usize = 1000;

/// Something in the read models that the log does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The projection.
    pub projection: Projection,
    /// The table.
    pub table: &'static str,
    /// The row, by its key. Personal values are shown as digests (invariant 9).
    pub key: String,
    /// The column; `*` = the whole row.
    pub column: String,
    /// What the log says.
    pub expected: String,
    /// What the table holds.
    pub found: String,
}

/// Replays the log up to the checkpoint of the read models into a scratch file and compares every row of every table.
/// No difference is the proof of equality. May run beside a runner: it sees one moment.
///
/// # Errors
/// If the log or the read models cannot be read to the end.
pub fn verify(
    log: &Arc<dyn EventLog>,
    dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Difference>> {
    let live = database::open_reader(&database::path(dir))?;
    live.execute_batch("BEGIN")?;
    let until = furthest(&live)?;
    let path = shadow::beside(dir, "verify");
    let never = AtomicBool::new(false);
    let task =
        Replay { log, path: &path, projections: &Projection::ALL, until, stop: &never, indexes: false };
    let outcome = shadow::replay(&task, progress).and_then(|()| {
        let scratch = Connection::open(&path)?;
        compare(&scratch, &live)
    });
    shadow::remove(&path)?;
    outcome
}

fn compare(expected: &Connection, found: &Connection) -> Result<Vec<Difference>> {
    let mut differences = Vec::new();
    for projection in Projection::ALL {
        let checkpoints =
            (database::checkpoint(expected, projection)?, database::checkpoint(found, projection)?);
        if checkpoints.0 != checkpoints.1 {
            differences.push(Difference {
                projection,
                table: "checkpoints",
                key: projection.name().to_owned(),
                column: "*".to_owned(),
                expected: format!("{:?}", checkpoints.0),
                found: format!("{:?}", checkpoints.1),
            });
        }
        for table in projection.schema().tables {
            // Most often the digests end it; only a table that differs is walked row by row.
            if table_digest(expected, projection, table)? != table_digest(found, projection, table)? {
                walk(expected, found, projection, table, &mut differences)?;
            }
        }
    }
    Ok(differences)
}

/// A row with the values of its key in front.
struct Line {
    key: Vec<Value>,
    values: Vec<Value>,
}

fn line(row: Option<&Row<'_>>, keys: &[usize], columns: usize) -> Result<Option<Line>> {
    let Some(row) = row else { return Ok(None) };
    let values = (0..columns).map(|column| row.get(column)).collect::<rusqlite::Result<Vec<Value>>>()?;
    Ok(Some(Line { key: keys.iter().map(|column| values[*column].clone()).collect(), values }))
}

fn order(left: &[Value], right: &[Value]) -> Ordering {
    left.iter()
        .zip(right)
        .map(|pair| match pair {
            (Value::Integer(left), Value::Integer(right)) => left.cmp(right),
            (Value::Text(left), Value::Text(right)) => left.as_bytes().cmp(right.as_bytes()),
            (Value::Blob(left), Value::Blob(right)) => left.cmp(right),
            _ => Ordering::Equal,
        })
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// A value as it may be shown.
fn show(value: &Value, personal: bool) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Text(text) if personal => shortened(text.as_bytes()),
        Value::Blob(bytes) if personal => shortened(bytes),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => hexadecimal(bytes),
    }
}

fn shortened(bytes: &[u8]) -> String {
    format!("sha256:{}", &hexadecimal(&Sha256::digest(bytes))[..16])
}

/// Walks two tables side by side in the order of their key.
fn walk(
    expected: &Connection,
    found: &Connection,
    projection: Projection,
    table: &Table,
    differences: &mut Vec<Difference>,
) -> Result<()> {
    let (mut left, mut right) = (expected.prepare(&ordered(table))?, found.prepare(&ordered(table))?);
    let names: Vec<String> = left.column_names().map(str::to_owned).collect();
    let keys: Vec<usize> =
        table.key.iter().filter_map(|key| names.iter().position(|name| name == key)).collect();
    let personal: Vec<bool> = names.iter().map(|name| table.personal.contains(&name.as_str())).collect();
    let name_of = |line: &Line| {
        let parts: Vec<String> = keys.iter().map(|key| show(&line.values[*key], personal[*key])).collect();
        parts.join("/")
    };
    let whole = |line: &Line, expected: &str, found: &str| Difference {
        projection,
        table: table.name,
        key: name_of(line),
        column: "*".to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    };
    let (mut left, mut right) = (left.query([])?, right.query([])?);
    let columns = names.len();
    let (mut one, mut other) = (line(left.next()?, &keys, columns)?, line(right.next()?, &keys, columns)?);
    let enough = differences.len() + TOLD;
    while differences.len() < enough {
        let side = match (&one, &other) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => order(&one.key, &other.key),
        };
        match (&one, &other) {
            (Some(one), _) if side.is_lt() => differences.push(whole(one, "a row", "none")),
            (_, Some(other)) if side.is_gt() => differences.push(whole(other, "none", "a row")),
            (Some(one), Some(other)) => {
                for column in (0..columns).filter(|column| one.values[*column] != other.values[*column]) {
                    differences.push(Difference {
                        projection,
                        table: table.name,
                        key: name_of(one),
                        column: names[column].clone(),
                        expected: show(&one.values[column], personal[column]),
                        found: show(&other.values[column], personal[column]),
                    });
                }
            }
            _ => break,
        }
        if side.is_le() {
            one = line(left.next()?, &keys, columns)?;
        }
        if side.is_ge() {
            other = line(right.next()?, &keys, columns)?;
        }
    }
    Ok(())
}
