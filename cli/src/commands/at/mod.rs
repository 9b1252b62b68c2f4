//! `mainspring at`: what was true at a past instant, from the log alone.

mod contact;
mod members;

use std::process::ExitCode;

use mainspring_schemas::Timestamp;

use crate::instant;

/// Shows what was true at a past instant. The server must not be running.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Read from the log alone. A transition counts from the instant it was decided for: what fell due while the server was down
is true from its due instant on.

Examples:
  mainspring at 2026-06-01T12:00:00Z members power-users
  mainspring at 2026-06-01 members power-users --count
  mainspring at 2026-06-01 contact anna@example.com --json")]
pub struct Args {
    /// The instant
    #[arg(value_name = "INSTANT", value_parser = instant::argument)]
    instant: Timestamp,
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, clap::Subcommand)]
enum Question {
    Members(members::Args),
    Contact(contact::Args),
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.question {
        Question::Members(question) => members::run(args.instant, question)?,
        Question::Contact(question) => contact::run(args.instant, question)?,
    }
    Ok(ExitCode::SUCCESS)
}
