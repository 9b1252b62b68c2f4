//! `mainspring serve`.

use std::process::ExitCode;

/// Runs the server.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: mainspring serve --data-dir ./data --listen 127.0.0.1:3002")]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not part of this build")
}
