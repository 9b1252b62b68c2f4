//! Logs: to stderr, human on a terminal, one JSON object per line otherwise.

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::{environment, exit::Fault, output};

/// How much a command says by itself when nobody sets `LOG_LEVEL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loudness {
    /// A service: what happens.
    Service,
    /// A tool: only what is wrong.
    Tool,
}

/// Starts logging. `LOG_LEVEL` is one of the words of CF-12.
pub fn start(loudness: Loudness) -> anyhow::Result<()> {
    let filter = match environment::text("LOG_LEVEL").as_deref() {
        None if loudness == Loudness::Tool => "warn",
        None | Some("info") => "info",
        Some("error") => "error",
        Some("warn") => "warn",
        Some("http") => "info,http=debug,mainspring_http=debug",
        Some("debug") => {
            "info,mainspring=debug,mainspring_actors=debug,mainspring_eventlog=debug,\
                          mainspring_projections=debug,mainspring_outbound=debug,mainspring_http=debug"
        }
        Some(_) => return Err(Fault::usage("LOG_LEVEL: expected error, warn, info, http or debug").into()),
    };
    let registry = tracing_subscriber::registry().with(EnvFilter::new(filter));
    let started = if output::on_terminal() {
        registry.with(fmt::layer().with_writer(std::io::stderr).with_target(false)).try_init()
    } else {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
    };
    started.map_err(|error| anyhow::anyhow!("logging cannot start: {error}"))
}
