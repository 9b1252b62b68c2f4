//! The file: its places, its fingerprint, its order of time.

use std::{fmt, fs, path::Path};

use anyhow::Context;
use mainspring_schemas::Timestamp;
use sha2::{Digest, Sha256};

use super::{
    ClockChoice, Format, cdnow,
    mapping::Mapping,
    ndjson,
    row::Row,
    separated::{self, Table},
};
use crate::exit::Fault;

/// Where one record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its line, from 1.
    pub line: u64,
    start: u64,
    end: u64,
}

impl Place {
    /// A record on a line, from one byte to before another.
    pub fn new(line: u64, start: u64, end: u64) -> Self {
        Self { line, start, end }
    }
}

/// A line that cannot be imported. The message never repeats its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The line, from 1.
    pub line: u64,
    /// Why.
    pub message: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// How records of this file are read.
enum Reading {
    Cdnow,
    Ndjson,
    Csv(Mapping),
}

/// A file whose records are known and in order.
pub struct History {
    bytes: Vec<u8>,
    reading: Reading,
    /// Digest of the content: the same file has the same one.
    pub fingerprint: String,
    /// Records in order of time; those of one instant in order of the file.
    pub records: Vec<(Option<Timestamp>, Place)>,
    /// Lines that cannot be imported.
    pub bad: Vec<BadLine>,
}

impl History {
    /// Reads a file and looks at every record of it.
    pub fn open(path: &Path, format: Format, map: &[String], clock: ClockChoice) -> anyhow::Result<Self> {
        let bytes =
            fs::read(path).with_context(|| Fault::usage(format!("{} cannot be read", path.display())))?;
        let digest = Sha256::digest(&bytes);
        let fingerprint = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        if format != Format::Csv && !map.is_empty() {
            return Err(Fault::usage("--map: only files of --format csv have columns to map").into());
        }
        let (reading, places, bad) = match format {
            Format::Cdnow => (Reading::Cdnow, lines(&bytes, cdnow::is_head), Vec::new()),
            Format::Ndjson => (Reading::Ndjson, lines(&bytes, |_| false), Vec::new()),
            Format::Csv => {
                let Table { head, places, bad } = separated::split(&bytes).map_err(Fault::usage)?;
                (Reading::Csv(Mapping::new(map, &head).map_err(Fault::usage)?), places, bad)
            }
        };
        let mut history =
            Self { bytes, reading, fingerprint, records: Vec::with_capacity(places.len()), bad };
        for place in places {
            let row = history.row(place).and_then(|row| match (clock, row.at) {
                (ClockChoice::Events, None) => Err("timestamp: required with --clock events".to_owned()),
                (_, at) => Ok(at),
            });
            match row {
                Ok(at) => history.records.push((at, place)),
                Err(message) => history.bad.push(BadLine { line: place.line, message }),
            }
        }
        history.bad.sort_by_key(|bad| bad.line);
        if !history.records.is_sorted_by_key(|(at, _)| *at) {
            history.records.sort_by_key(|(at, _)| *at);
        }
        Ok(history)
    }

    /// The record of a place.
    pub fn row(&self, place: Place) -> Result<Row, String> {
        let range = usize::try_from(place.start).unwrap_or(usize::MAX)
            ..usize::try_from(place.end).unwrap_or(usize::MAX);
        let bytes = self.bytes.get(range).unwrap_or_default();
        let text = || std::str::from_utf8(bytes).map_err(|_| "the line is no UTF-8 text".to_owned());
        match &self.reading {
            Reading::Cdnow => cdnow::parse(text()?),
            Reading::Ndjson => ndjson::parse(text()?),
            Reading::Csv(mapping) => separated::parse(mapping, bytes),
        }
    }

    /// The newest record's instant.
    pub fn newest(&self) -> Option<Timestamp> {
        self.records.last().and_then(|(at, _)| *at)
    }

    /// The oldest record's instant.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.records.iter().find_map(|(at, _)| *at)
    }
}

/// The places of all lines that are not blank; the first of them is left out if it is the head.
fn lines(bytes: &[u8], is_head: impl Fn(&str) -> bool) -> Vec<Place> {
    let mut places = Vec::with_capacity(bytes.len() / 32);
    let (mut start, mut first) = (0, true);
    for (line, text) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        let end = start + text.len() as u64;
        if !text.trim_ascii().is_empty() {
            let head = first && std::str::from_utf8(text).is_ok_and(&is_head);
            if !head {
                places.push(Place::new(line, start, end));
            }
            first = false;
        }
        start = end;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers() {
        let places = lines(b"head x\n\n1 a\n \n2 b", cdnow::is_head);
        assert_eq!(places, [Place::new(3, 8, 12), Place::new(5, 14, 17)]);
    }

    #[test]
    fn records_are_in_order_of_time_and_stable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("orders.txt");
        fs::write(&path, "1 19970102 1 1\n1 19970101 1 1\nbad line\n2 19970101 2 2\n").unwrap();
        let history = History::open(&path, Format::Cdnow, &[], ClockChoice::Events).unwrap();
        let order: Vec<u64> = history.records.iter().map(|(_, place)| place.line).collect();
        assert_eq!(order, [2, 4, 1]);
        assert_eq!(history.bad.len(), 1);
        assert_eq!(history.bad[0].to_string(), "line 3: quantity: the column is missing");
    }
}
