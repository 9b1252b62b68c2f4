//! `mainspring check`.

use std::{path::PathBuf, process::ExitCode};

use mainspring_schemas::definition::Issue;
use serde_json::{Value, json};

use crate::{
    definitions::{self, DEFAULT_DIR},
    environment,
    exit::Reason,
    output,
    sources::SourceArguments,
};

/// Checks definitions of buckets and webhook sources without starting anything.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every problem is a line `file:line:column: error: field: message`. Exit code 2 if there is an error.

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
    let loaded = definitions::read(&places)?;
    let sources = args.sources.read()?;
    let issues = || loaded.issues.iter().chain(&sources.issues);
    let errors = issues().filter(|issue| issue.is_error()).count();
    let files = loaded.files + sources.files;
    let ids: Vec<&str> = loaded.definitions.iter().map(|definition| definition.id.as_str()).collect();
    if args.json {
        let issues: Vec<Value> = issues().map(document).collect();
        let sources: Vec<&str> = sources.definitions.iter().map(|source| source.id.as_str()).collect();
        output::document(&json!({
            "ok": errors == 0, "files": files, "buckets": ids, "sources": sources, "issues": issues,
        }))?;
    } else {
        issues().for_each(output::data);
        let sources = match sources.definitions.len() {
            0 => String::new(),
            count => format!(" {count} webhook sources,"),
        };
        output::notice(format_args!(
            "{files} files, {} buckets in order,{sources} {errors} errors",
            ids.len()
        ));
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { Reason::Usage.into() })
}
