//! The `mainspring` binary.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Event-sourced engine for the customer lifecycle.
#[derive(Debug, Parser)]
#[command(name = "mainspring", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(commands::demo::Args),
    Bench(commands::bench::Args),
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Demo(args) => commands::demo::run(args),
        Command::Bench(args) => commands::bench::run(args),
    }
}
