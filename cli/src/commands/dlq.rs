//! `mainspring dlq`: deliveries that were given up, on a data directory that no process uses.

use std::{process::ExitCode, time::Duration};

use mainspring_actors::{api::EngineError, endpoint::LettersSettled};
use mainspring_projections::{DeadLetter, DeadLetterFilter};
use mainspring_schemas::{EndpointId, Timestamp};
use serde_json::{Value, json};

use super::places::DataDirArgument;
use crate::{
    compose::{Options, System},
    instant, output,
};

/// How long closing may take.
const GRACE: Duration = Duration::from_secs(10);

/// Letters settled before looking for more.
const PAGE: usize = 1_000;

/// Lists, retries and puts away what was given up. The server must not be running; beside a running one, the admin API
/// does the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is retried leaves when the server runs again. Beside a running server use GET /v1/admin/dlq,
POST /v1/admin/dlq/retry and POST /v1/admin/dlq/discard. `mainspring deliveries show` shows one with its envelope.

Examples:
  mainspring dlq list
  mainspring dlq retry --endpoint 0197b6c2-5a0e-7cc3-8a4e-3f1f6ad0b7f1 --since 2026-06-01 --limit 500
  mainspring dlq discard --limit 100 --dry-run")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Lists what was given up, newest first
    #[command(after_help = "Example: mainspring dlq list --status pending,retried")]
    List {
        /// Only in these states: pending, retried, discarded
        #[arg(long, value_delimiter = ',', default_value = "pending", value_parser = ["pending", "retried", "discarded"])]
        status: Vec<String>,
        #[command(flatten)]
        of: Of,
        /// At most this many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
        limit: u16,
        #[command(flatten)]
        common: Common,
    },
    /// Makes what was given up due again, oldest first, with a fresh schedule; not for disabled endpoints
    #[command(after_help = "Example: mainspring dlq retry --since 2026-06-01 --limit 500")]
    Retry {
        #[command(flatten)]
        bulk: Bulk,
        #[command(flatten)]
        common: Common,
    },
    /// Puts what was given up away, oldest first
    #[command(after_help = "Example: mainspring dlq discard --limit 500 --dry-run")]
    Discard {
        #[command(flatten)]
        bulk: Bulk,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct Of {
    /// Only of this endpoint
    #[arg(long, value_name = "ID")]
    endpoint: Option<EndpointId>,
    /// Only given up at this instant or later
    #[arg(long, value_name = "INSTANT", value_parser = instant::argument)]
    since: Option<Timestamp>,
}

#[derive(Debug, clap::Args)]
struct Bulk {
    #[command(flatten)]
    of: Of,
    /// At most this many
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Only say how many there are
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// What is done with many letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Retry,
    Discard,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let common = match &args.action {
        Action::List { common, .. } | Action::Retry { common, .. } | Action::Discard { common, .. } => common,
    };
    let (data, json) = (common.data_dir.existing()?, common.json);
    actix_web::rt::System::new().block_on(async {
        let system = System::open(Options::new(data)).await?;
        let done = match args.action {
            Action::List { status, of, limit, .. } => list(&system, filter(&of, status, false), limit, json),
            Action::Retry { bulk, .. } => settle(&system, &bulk, Verb::Retry, json).await,
            Action::Discard { bulk, .. } => settle(&system, &bulk, Verb::Discard, json).await,
        };
        system.stop(GRACE).await;
        done
    })?;
    Ok(ExitCode::SUCCESS)
}

fn filter(of: &Of, statuses: Vec<String>, retriable: bool) -> DeadLetterFilter {
    DeadLetterFilter { statuses, endpoint: of.endpoint, since: of.since, retriable, id: None }
}

fn document(letter: &DeadLetter) -> Value {
    json!({
        "id": letter.id, "endpointId": letter.endpoint, "kind": letter.kind, "eventType": letter.event_type,
        "webhookId": letter.message.to_string(), "error": letter.error, "retryCount": letter.retry_count,
        "status": letter.status, "retriedAt": letter.retried_at, "createdAt": letter.created_at,
    })
}

fn list(system: &System, filter: DeadLetterFilter, limit: u16, json: bool) -> anyhow::Result<()> {
    let letters = system.read_models.dead_letters(&filter, usize::from(limit), 0)?;
    if json {
        return output::document(&letters.iter().map(document).collect::<Vec<_>>());
    }
    let rows = letters.into_iter().map(|letter| {
        let (id, endpoint, at) =
            (letter.id.to_string(), letter.endpoint.to_string(), letter.created_at.to_string());
        [id, at, endpoint, letter.event_type, letter.status, letter.error]
    });
    output::table(["ID", "GIVEN UP", "ENDPOINT", "TYPE", "STATUS", "ERROR"], rows);
    Ok(())
}

async fn settle(system: &System, bulk: &Bulk, verb: Verb, json: bool) -> anyhow::Result<()> {
    let filter = filter(&bulk.of, vec!["pending".to_owned()], verb == Verb::Retry);
    let limit = if bulk.dry_run { 0 } else { usize::try_from(bulk.limit)? };
    let mut settled = 0;
    while settled < limit {
        let done = page(system, &filter, PAGE.min(limit - settled), verb).await?;
        if done.settled == 0 {
            break;
        }
        settled += done.settled;
        system.settled().await?;
    }
    let remaining = system.read_models.dead_letter_count(&filter)?;
    let word = if verb == Verb::Retry { "queued" } else { "discarded" };
    if json {
        return output::document(&json!({word: settled, "remaining": remaining}));
    }
    output::notice(format_args!("{settled} {word}, {remaining} remaining"));
    Ok(())
}

async fn page(
    system: &System,
    filter: &DeadLetterFilter,
    limit: usize,
    verb: Verb,
) -> anyhow::Result<LettersSettled> {
    let letters = system.read_models.oldest_dead_letters(filter, limit)?;
    let endpoints = system.engine.endpoints();
    let done: Result<LettersSettled, EngineError> = match verb {
        Verb::Retry => endpoints.retry_letters(&letters).await,
        Verb::Discard => endpoints.discard_letters(&letters).await,
    };
    Ok(done?)
}
