//! `mainspring demo`.

use std::process::ExitCode;

/// Shows the engine at work on a made-up shop.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build has no `demo`")
}
