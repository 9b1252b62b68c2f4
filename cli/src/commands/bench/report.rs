//! What a measurement says: a table for people, a document for programs.

use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::output;

/// A figure with its latencies.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// Connections, or what else says how much was asked at once.
    pub load: String,
    /// The figure.
    pub figure: f64,
    /// What it counts.
    pub unit: &'static str,
    /// Latencies in milliseconds: p50, p99, p99.9.
    pub latency: Option<[f64; 3]>,
    /// Share of the floor, and which floor.
    pub share: Option<(f64, &'static str)>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// One part of the report.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// What was done.
    pub about: String,
    /// The figures.
    pub rows: Vec<Row>,
}

/// A histogram of nanoseconds up to ten minutes, to three digits.
pub fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 600_000_000_000, 3)?)
}

/// The three latencies of a histogram of nanoseconds, in milliseconds.
pub fn latencies(histogram: &Histogram<u64>) -> Option<[f64; 3]> {
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
    (!histogram.is_empty()).then(|| [at(0.5), at(0.99), at(0.999)])
}

fn figure(row: &Row) -> String {
    let digits = if row.figure >= 100.0 || row.figure.fract() == 0.0 { 0 } else { 2 };
    format!("{:.digits$} {}", row.figure, row.unit)
}

impl Part {
    /// Shows it to people.
    pub fn show(&self) {
        output::data(format_args!("{}: {}", self.name, self.about));
        let head = ["what", "connections", "rate", "p50 ms", "p99 ms", "p99.9 ms", "share of floor"];
        let rows = self.rows.iter().map(|row| {
            let latency =
                |place: usize| row.latency.map_or_else(String::new, |all| format!("{:.2}", all[place]));
            let share = row.share.map_or_else(String::new, |(share, floor)| format!("{share:.2} of {floor}"));
            [row.what.clone(), row.load.clone(), figure(row), latency(0), latency(1), latency(2), share]
        });
        output::table(head, rows);
        for row in self.rows.iter().filter(|row| !row.notes.is_empty()) {
            let Row { what, load, notes, .. } = row;
            let load = if load.is_empty() { String::new() } else { format!(" at {load}") };
            output::data(format_args!("  {what}{load}: {}", notes.join("; ")));
        }
        output::data("");
    }
}

fn row(row: &Row) -> Value {
    let latency = row.latency.map(|[p50, p99, p999]| json!({"p50": p50, "p99": p99, "p999": p999}));
    json!({
        "what": row.what, "load": row.load, "figure": row.figure, "unit": row.unit, "latencyMs": latency,
        "shareOfFloor": row.share.map(|(share, _)| share), "floor": row.share.map(|(_, floor)| floor),
        "notes": row.notes,
    })
}

/// What the figures were measured on.
#[derive(Clone, Debug)]
pub struct Machine {
    cores: usize,
    /// What others did when the measurement began.
    load_average: String,
    directory: PathBuf,
}

impl Machine {
    /// This one, now.
    pub fn now(directory: &Path) -> Self {
        let averages = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            load_average: averages.split(' ').next().unwrap_or_default().to_owned(),
            directory: directory.to_owned(),
        }
    }

    /// Shows it to people.
    pub fn show(&self) {
        let Self { cores, load_average, directory } = self;
        let directory = directory.display();
        output::data(format_args!("{cores} cores, load average {load_average} before, data in {directory}"));
        if cfg!(debug_assertions) {
            output::data("This build is not optimized: its figures mean nothing.");
        }
        output::data("");
    }
}

/// All parts as one document.
pub fn document(parts: &[Part], machine: &Machine) -> Value {
    let parts: Vec<Value> = parts
        .iter()
        .map(|part| {
            json!({
                "part": part.name, "about": part.about, "rows": part.rows.iter().map(row).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"), "cores": machine.cores, "loadAverage": machine.load_average,
        "directory": machine.directory,
        "debugBuild": cfg!(debug_assertions), "parts": parts,
    })
}
