//! `mainspring verify`.

use std::process::ExitCode;

use mainspring_projections::{Difference, verify};
use serde_json::{Value, json};

use super::places::DataDirArgument;
use crate::{exit::Reason, interrupt::Interrupt, output, progress::Progress};

/// Proves that the log is whole and that the read models are what it says. The server must not be running.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Checks every checksum, the hash chain and that no version of any stream is missing (exit code 3 if not), then replays
the log beside the read models and compares every row (exit code 6 if any differs; `mainspring rebuild all` mends it).
Keep the head that it shows: whoever has one of an earlier day can prove that nothing older was changed.

Example: mainspring verify --json")]
pub struct Args {
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// One JSON document; progress as NDJSON on stderr
    #[arg(long)]
    json: bool,
}

fn document(difference: &Difference) -> Value {
    json!({
        "projection": difference.projection.name(), "table": difference.table, "key": difference.key,
        "column": difference.column, "expected": difference.expected, "found": difference.found,
    })
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let data = args.data_dir.existing()?;
    let opened = actix_web::rt::System::new().block_on(data.open_log())?;
    let recovery = &opened.recovery;
    Interrupt::end_at_once("nothing was changed; run the same command to start over")?;
    let mut bar = Progress::new("log", recovery.records, args.json);
    let seen = opened.raw.verify(|progress| bar.set(progress.records, progress.total_records));
    drop(bar);
    let seen = seen?;
    let models = data.read_models();
    let differences = if models.is_dir() {
        let mut bar = Progress::new("read models", recovery.records, args.json);
        Some(verify(&opened.log, &models, &mut |progress| bar.set(progress.records, progress.total))?)
    } else {
        None
    };
    opened.raw.close();
    let head: String = seen.head.iter().map(|byte| format!("{byte:02x}")).collect();
    let found = differences.as_deref().unwrap_or_default();
    if args.json {
        output::document(&json!({
            "log": {
                "ok": true, "records": seen.records, "streams": seen.streams, "segments": seen.segments,
                "bytes": seen.bytes, "head": head,
            },
            "readModels": differences.as_ref().map(|found| json!({
                "ok": found.is_empty(), "differences": found.iter().map(document).collect::<Vec<_>>(),
            })),
        }))?;
    } else {
        let (records, streams, bytes) = (seen.records, seen.streams, seen.bytes);
        output::data(format_args!(
            "log: {records} records in {streams} streams, {bytes} bytes, whole; head {head}"
        ));
        for Difference { projection, table, key, column, expected, found } in found {
            let name = projection.name();
            output::data(format_args!("{name}: {table} {key}: {column}: expected {expected}, found {found}"));
        }
        match &differences {
            None => output::data("read models: none yet; the next start makes them"),
            Some(found) if found.is_empty() => output::data("read models: equal to the log"),
            Some(found) => output::notice(format_args!(
                "{} differences; `mainspring rebuild all` makes the read models anew",
                found.len()
            )),
        }
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { Reason::Differences.into() })
}
