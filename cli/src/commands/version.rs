//! `mainspring version`.

use std::process::ExitCode;

use mainspring_projections::Projection;
use serde_json::{Map, json};

use crate::output;

/// Shows the version of the program and of what it stores.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: mainspring version --json")]
pub struct Args {
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let version = env!("CARGO_PKG_VERSION");
    let models =
        Projection::ALL.map(|projection| (projection.name().to_owned(), projection.schema_version()));
    if args.json {
        let models: Map<_, _> = models.into_iter().map(|(name, version)| (name, json!(version))).collect();
        output::document(&json!({
            "version": version, "logStores": ["embedded"], "readStores": ["sqlite"], "readModels": models,
        }))?;
    } else {
        output::data(format_args!("mainspring {version}"));
        output::data("log: embedded; read models: sqlite");
        let models = models.map(|(name, version)| format!("{name} {version}"));
        output::data(format_args!("schema versions: {}", models.join(", ")));
    }
    Ok(ExitCode::SUCCESS)
}
