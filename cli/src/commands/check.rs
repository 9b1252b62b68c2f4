//! `mainspring check`.

use std::{path::PathBuf, process::ExitCode};

use mainspring_schemas::definition::Issue;
use serde_json::{Value, json};

use crate::{
    definitions::{self, DEFAULT_DIR},
    destinations, environment,
    exit::Reason,
    output,
};

/// Checks definition files, destinations included, without starting anything.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every problem is a line `file:line:column: error: field: message`. Exit code 2 if there is an error. Destinations stand
in a folder `destinations` of a directory; it can also be named itself.

Example: mainspring check ./definitions")]
pub struct Args {
    /// Directories or files [env: DEFINITIONS_DIR] [default: ./definitions]
    #[arg(value_name = "DIR")]
    places: Vec<PathBuf>,
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
    let issues: Vec<&Issue> = buckets.issues.iter().chain(&destinations.issues).collect();
    let errors = issues.iter().filter(|issue| issue.is_error()).count();
    let files = buckets.files + destinations.files;
    let ids: Vec<&str> = buckets.definitions.iter().map(|definition| definition.id.as_str()).collect();
    let kinds: Vec<&str> =
        destinations.destinations.iter().map(|definition| definition.description.id.as_str()).collect();
    if args.json {
        let issues: Vec<Value> = issues.into_iter().map(document).collect();
        output::document(&json!({
            "ok": errors == 0, "files": files, "buckets": ids, "destinations": kinds, "issues": issues,
        }))?;
    } else {
        for issue in issues {
            output::data(issue);
        }
        let (buckets, destinations) = (ids.len(), kinds.len());
        let also = if destinations > 0 { format!(", {destinations} destinations") } else { String::new() };
        output::notice(format_args!("{files} files, {buckets} buckets{also} in order, {errors} errors"));
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { Reason::Usage.into() })
}
