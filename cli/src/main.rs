//! The `mainspring` binary: composition of the crates, and the operator's commands.
//!
//! Data goes to stdout, everything else to stderr. How a process ends stands in [`exit`].

mod commands;
mod compose;
mod definitions;
mod destinations;
mod environment;
mod exit;
mod grace;
mod identity;
mod instant;
mod interrupt;
mod logging;
mod output;
mod progress;
mod shutdown;
mod sources;
mod wire;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::logging::Loudness;

/// Measured faster than the system's allocator under many small records.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Event-sourced engine for the customer lifecycle.
#[derive(Debug, Parser)]
#[command(name = "mainspring", version, about, after_help = HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 damaged data, 4 data of a newer version,
            5 in use, 6 differences found, 130 interrupted

Example: mainspring serve --data-dir ./data --definitions ./definitions";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(commands::serve::Args),
    Check(commands::check::Args),
    Keys(commands::keys::Args),
    Contact(commands::contact::Args),
    #[command(visible_alias = "webhooks")]
    Deliveries(commands::deliveries::Args),
    Dlq(commands::dlq::Args),
    Import(commands::import::Args),
    Stream(commands::stream::Args),
    At(commands::at::Args),
    Backtest(commands::backtest::Args),
    Rebuild(commands::rebuild::Args),
    Verify(commands::verify::Args),
    Demo(commands::demo::Args),
    Bench(commands::bench::Args),
    Version(commands::version::Args),
}

fn main() -> ExitCode {
    run(Arguments::parse().command).unwrap_or_else(|error| {
        output::failure(&error);
        exit::reason(&error).into()
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let loudness = if matches!(command, Command::Serve(_)) { Loudness::Service } else { Loudness::Tool };
    logging::start(loudness)?;
    match command {
        Command::Serve(args) => commands::serve::run(args),
        Command::Check(args) => commands::check::run(&args),
        Command::Keys(args) => commands::keys::run(args),
        Command::Contact(args) => commands::contact::run(args),
        Command::Deliveries(args) => commands::deliveries::run(args),
        Command::Dlq(args) => commands::dlq::run(args),
        Command::Import(args) => commands::import::run(args),
        Command::Stream(args) => commands::stream::run(&args),
        Command::At(args) => commands::at::run(&args),
        Command::Backtest(args) => commands::backtest::run(&args),
        Command::Rebuild(args) => commands::rebuild::run(&args),
        Command::Verify(args) => commands::verify::run(&args),
        Command::Demo(args) => commands::demo::run(args),
        Command::Bench(args) => commands::bench::run(args),
        Command::Version(args) => commands::version::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn oc_01_every_command_shows_an_example() {
        let mut command = Arguments::command();
        command.build();
        command.clone().debug_assert();
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{}", sub.get_name());
            assert!(sub.get_about().is_some(), "{}", sub.get_name());
        }
    }
}
