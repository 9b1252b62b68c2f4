//! `mainspring rebuild`.

use std::process::ExitCode;

use mainspring_projections::{Projection, Selection, rebuild};
use serde_json::json;

use super::places::DataDirArgument;
use crate::{interrupt::Interrupt, output, progress::Progress};

/// Makes read models anew from the log and swaps them in at the end. The server must not be running.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The read models in place stay as they are until the new ones are complete. Nothing is sent because of it.

Example: mainspring rebuild all")]
pub struct Args {
    /// contacts, memberships, bucket_statistics, delivery_queue or all
    #[arg(value_name = "PROJECTION", value_parser = selection)]
    selection: Selection,
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// One JSON document; progress as NDJSON on stderr
    #[arg(long)]
    json: bool,
}

fn selection(name: &str) -> Result<Selection, String> {
    if name == "all" {
        return Ok(Selection::All);
    }
    let names = Projection::ALL.map(Projection::name);
    let projection = Projection::named(&name.replace('-', "_"));
    projection
        .map(|projection| Selection::Some(vec![projection]))
        .ok_or_else(|| format!("expected all or one of {}", names.join(", ")))
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let data = args.data_dir.existing()?;
    let opened = actix_web::rt::System::new().block_on(data.open_log())?;
    Interrupt::end_at_once("the read models are as they were; run the same command to start over")?;
    let mut bar = Progress::new("rebuild", opened.log.durable_end(), args.json);
    let report = rebuild(&opened.log, &data.read_models(), &args.selection, &mut |progress| {
        bar.set(progress.records, progress.total);
    });
    drop(bar);
    let report = report?;
    opened.raw.close();
    let names: Vec<&str> = report.projections.iter().map(|projection| projection.name()).collect();
    if args.json {
        output::document(&json!({
            "projections": names, "records": report.records, "seconds": report.elapsed.as_secs_f64(),
            "recordsPerSecond": report.rate().round(),
        }))?;
    } else {
        let (names, seconds, rate) = (names.join(", "), report.elapsed.as_secs_f64(), report.rate());
        let records = report.records;
        output::data(format_args!(
            "rebuilt {names}: {records} records in {seconds:.2} s, {rate:.0} records/s"
        ));
    }
    Ok(ExitCode::SUCCESS)
}
