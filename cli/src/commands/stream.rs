//! placeholder
use std::process::ExitCode;
/// Shows a stream.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: x")]
pub struct Args {}
/// Runs the command.
pub fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
