//! `mainspring import`: history from a file, on the history's own clock or on the wall's.
//!
//! ```text
//!  file --> split into places --> read once, errors found --> in order of time --> engine, many in flight
//!                                                                                    |
//!                        summary <-- read models <-- timers up to `--until` <--------'
//! ```
//!
//! Nothing is written before the whole file was looked at. Every record carries an idempotency key made of the file and
//! its line, so the same command run again after an interruption stores nothing twice.

mod cdnow;
mod feed;
mod file;
mod mapping;
mod ndjson;
mod row;
mod run;
mod separated;
mod summary;

use std::path::PathBuf;

use clap::ValueEnum;
use mainspring_schemas::Timestamp;

pub use self::run::run;
use super::places::DataDirArgument;
use crate::{definitions::DefinitionArguments, identity::IdentityArguments, instant};

/// Imports events from a file. The server must not be running.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The file
    file: PathBuf,
    /// How to read it
    #[arg(long, value_enum)]
    format: Format,
    #[command(flatten)]
    definitions: DefinitionArguments,
    #[command(flatten)]
    identity: IdentityArguments,
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// Which time decides
    #[arg(long, value_enum, default_value_t = ClockChoice::Events)]
    clock: ClockChoice,
    /// Where the history ends; later records are left out. The newest record's instant if absent
    #[arg(long, value_name = "INSTANT", value_parser = instant::argument)]
    until: Option<Timestamp>,
    /// How columns of a CSV file become an event, see below
    #[arg(long, value_name = "FIELD=COLUMN,..", value_delimiter = ',')]
    map: Vec<String>,
    /// Lines that may be unusable; with more of them nothing is imported
    #[arg(long, value_name = "N", default_value_t = 100)]
    max_errors: u64,
    /// How many threads host contacts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    shards: Option<u16>,
    /// One JSON document; progress as NDJSON on stderr
    #[arg(long)]
    json: bool,
}

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns customer, yyyymmdd, quantity, dollars: every line an `order.placed`
    Cdnow,
    /// One event per line, as `POST /v1/events` takes it, with `timestamp`
    Ndjson,
    /// A head, then one event per row, see --map
    Csv,
}

/// Which time decides about an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClockChoice {
    /// The data's own: each record is decided at its instant, timers fire at theirs, up to `--until`
    Events,
    /// The machine's: the history is known at once, `timestamp` says when things happened
    Wall,
}

const HELP: &str = "\
Mapping of CSV columns, FIELD=COLUMN pairs separated by commas:
  name, userId, email, anonymousId, timestamp, idempotencyKey
                     a column; a literal for all rows is written with a second `=`
  properties         columns of the event's properties, joined by `+`; `*` = all columns not mapped elsewhere
  contactProperties  columns of the contact's properties, likewise
A property column may state a type: amount:number, vip:bool, tags:json; text if it does not. Blank cells are absent.
Without --map, columns that bear the names of fields are those fields, and all others are properties.

Unusable lines are shown with their number and left out; the exit code is 1 then. An interrupted import goes on when the
same command is run again: nothing is stored twice.

Examples:
  mainspring import orders.txt --format cdnow --definitions examples/cdnow --until 1998-06-30 --json
  mainspring import shop.csv --format csv --map 'name==order.placed,userId=customer,timestamp=placed_at,properties=sku+amount:number'";
