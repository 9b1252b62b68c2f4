//! `mainspring check`.

use std::{path::PathBuf, process::ExitCode};

use mainspring_schemas::definition::Issue;
use serde_json::{Value, json};

use crate::{
    definitions::{self, DEFAULT_DIR},
    destinations, environment,
    exit::Reason,
    output,
    sources::SourceArguments,
};

/// Checks definitions of buckets, destinations and webhook sources without starting anything.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every problem is a line `file:line:column: error: field: message`. Exit code 2 if there is an error. Destinations stand
in a folder `destinations` of a directory; it can also be named itself.

Example: mainspring check ./definitions")]
pub struct Args {
    /// Directories or files [env: DEFINITIONS_DIR] [default: ./definitions]
    #[arg(value_name = "DIR")]
    places: Vec<PathBuf>,
    #[command(flatten)]
    sources: SourceArguments,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

fn document(issue: &Issue) -> Value {
    json!({
        "severity": issue.severity.to_string(), "file": issue.file, "line": issue.line, "column": issue.column,
        "field": issue.field, "message": issue.message, "hint": issue.hint,
    })
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let default = || vec![environment::path("DEFINITIONS_DIR").unwrap_or_else(|| PathBuf::from(DEFAULT_DIR))];
    let places = if args.places.is_empty() { default() } else { args.places.clone() };
    let (mut of_destinations, places): (Vec<_>, Vec<_>) =
        places.into_iter().partition(|place| destinations::is_place(place));
    of_destinations.extend(places.iter().filter_map(|place| destinations::place_in(place)));
    let buckets = definitions::read(&places)?;
    let destinations = destinations::read(&of_destinations)?;
    let sources = args.sources.read()?;
    let issues: Vec<&Issue> =
        buckets.issues.iter().chain(&destinations.issues).chain(&sources.issues).collect();
    let errors = issues.iter().filter(|issue| issue.is_error()).count();
    let files = buckets.files + destinations.files + sources.files;
    let ids: Vec<&str> = buckets.definitions.iter().map(|definition| definition.id.as_str()).collect();
    let kinds: Vec<&str> =
        destinations.destinations.iter().map(|definition| definition.description.id.as_str()).collect();
    let sources: Vec<&str> = sources.definitions.iter().map(|source| source.id.as_str()).collect();
    if args.json {
        let issues: Vec<Value> = issues.into_iter().map(document).collect();
        output::document(&json!({
            "ok": errors == 0, "files": files, "buckets": ids, "destinations": kinds, "sources": sources,
            "issues": issues,
        }))?;
    } else {
        issues.iter().for_each(output::data);
        let counted =
            [(ids.len(), "buckets"), (kinds.len(), "destinations"), (sources.len(), "webhook sources")];
        let counted = counted.iter().filter(|(count, what)| *count > 0 || *what == "buckets");
        let counted: Vec<String> = counted.map(|(count, what)| format!("{count} {what}")).collect();
        output::notice(format_args!("{files} files, {} in order, {errors} errors", counted.join(", ")));
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { Reason::Usage.into() })
}
