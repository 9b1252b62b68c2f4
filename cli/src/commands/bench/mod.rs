//! `mainspring bench`.

use std::process::ExitCode;

/// Measures the engine on this machine.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build has no `bench`")
}
