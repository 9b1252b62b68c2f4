//! `mainspring deliveries`: what was sent and how it went, and sending it again, on a data directory that no process uses.

mod again;

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use mainspring_projections::{
    Attempt, Delivery, DeliveryDetail, DeliveryFilter, DeliveryStatus, Order, RecoverySpan,
};
use mainspring_schemas::{DeliveryId, EndpointId, RecoveryId, Timestamp};
use serde_json::{Value, json};

use super::places::DataDirArgument;
use crate::{
    compose::{Options, System},
    exit::Fault,
    instant, output,
};

/// How long closing may take.
const GRACE: Duration = Duration::from_secs(10);

/// Lists, shows and repeats deliveries. The server must not be running; beside a running one, the admin API does the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is to be sent again leaves when the server runs again. Beside a running server use
GET /v1/admin/webhooks/deliveries, POST /v1/admin/webhooks/deliveries/{id}/retry, POST /v1/admin/webhooks/{id}/recover, POST /v1/admin/webhooks/{id}/replay,
GET /v1/admin/webhooks/recoveries/{taskId}. `mainspring webhooks` is the same command.

Examples:
  mainspring deliveries list --status failed
  mainspring deliveries show 4f0c7a9e-3c1b-5d52-9a0e-2f1d7c1f0b11
  mainspring deliveries retry 4f0c7a9e-3c1b-5d52-9a0e-2f1d7c1f0b11
  mainspring deliveries recover --endpoint 0197b6c2-5a0e-7cc3-8a4e-3f1f6ad0b7f1 --since 2026-06-01")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Lists deliveries, newest first
    #[command(after_help = "Example: mainspring deliveries list --status failed,pending --event 'bucket.*'")]
    List {
        /// Only in these states: pending, delivered, failed, discarded
        #[arg(long, value_delimiter = ',', value_parser = status)]
        status: Vec<DeliveryStatus>,
        /// Only of these types or patterns
        #[arg(long, value_delimiter = ',', value_name = "TYPE")]
        event: Vec<String>,
        /// Only to this endpoint
        #[arg(long, value_name = "ID")]
        endpoint: Option<EndpointId>,
        /// Only made at this instant or later
        #[arg(long, value_name = "INSTANT", value_parser = instant::argument)]
        since: Option<Timestamp>,
        /// At most this many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
        limit: u16,
        #[command(flatten)]
        common: Common,
    },
    /// Shows one delivery with its envelope and attempts
    #[command(after_help = "Example: mainspring deliveries show 4f0c7a9e-3c1b-5d52-9a0e-2f1d7c1f0b11 --json")]
    Show {
        /// The delivery's id
        id: DeliveryId,
        #[command(flatten)]
        common: Common,
    },
    /// Makes deliveries due again, whatever became of them
    #[command(after_help = "Example: mainspring deliveries retry 4f0c7a9e-3c1b-5d52-9a0e-2f1d7c1f0b11")]
    Retry {
        /// The deliveries' ids
        #[arg(required = true)]
        ids: Vec<DeliveryId>,
        #[command(flatten)]
        common: Common,
    },
    /// Makes everything of a span of time due again at one endpoint
    #[command(
        after_help = "Example: mainspring deliveries recover --endpoint 0197b6c2-5a0e-7cc3-8a4e-3f1f6ad0b7f1 --since 2026-06-01 --include-missed"
    )]
    Recover {
        /// The endpoint
        #[arg(long, value_name = "ID")]
        endpoint: EndpointId,
        /// Made at this instant or later
        #[arg(long, value_name = "INSTANT", value_parser = instant::argument)]
        since: Timestamp,
        /// Made at this instant or before; now if absent
        #[arg(long, value_name = "INSTANT", value_parser = instant::argument)]
        until: Option<Timestamp>,
        /// In these states: failed, delivered, discarded
        #[arg(long, value_delimiter = ',', default_value = "failed", value_parser = status)]
        status: Vec<DeliveryStatus>,
        /// Only of these types or patterns
        #[arg(long, value_delimiter = ',', value_name = "TYPE")]
        event: Vec<String>,
        /// Also what the endpoint never got
        #[arg(long)]
        include_missed: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Sends again what one endpoint was sent before, for a new receiver or one that lost data
    #[command(after_help = "\
Everything goes out in the order of the log, at the endpoint's own rate, with the message ids and bodies of then. Each of
these requests has the header `Webhook-Replay: true`.

Example: mainspring deliveries replay --endpoint 0197b6c2-5a0e-7cc3-8a4e-3f1f6ad0b7f1 --from 2026-06-01 --to 2026-06-02")]
    Replay {
        /// The endpoint
        #[arg(long, value_name = "ID")]
        endpoint: EndpointId,
        /// Made at this instant or later
        #[arg(long, value_name = "INSTANT", value_parser = instant::argument)]
        from: Timestamp,
        /// Made at this instant or before
        #[arg(long, value_name = "INSTANT", value_parser = instant::argument)]
        to: Timestamp,
        /// Only of these types or patterns
        #[arg(long, value_delimiter = ',', value_name = "TYPE")]
        events: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Shows how far a recovery or a replay is
    #[command(after_help = "Example: mainspring deliveries progress 0197b6c2-5a0e-7cc3-8a4e-3f1f6ad0b7f1")]
    Progress {
        /// The task's id, as `recover` and `replay` told it
        task: RecoveryId,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

fn status(text: &str) -> Result<DeliveryStatus, String> {
    let known = DeliveryStatus::ALL.into_iter().find(|status| status.as_str() == text.trim());
    known.ok_or_else(|| {
        format!("expected one of {}", DeliveryStatus::ALL.map(DeliveryStatus::as_str).join(", "))
    })
}

fn document(delivery: &Delivery) -> Value {
    json!({
        "id": delivery.id, "endpointId": delivery.endpoint, "webhookId": delivery.message.to_string(),
        "eventType": delivery.event_type, "contactId": delivery.contact, "test": delivery.test,
        "status": delivery.status.as_str(), "held": delivery.held, "replay": delivery.replay,
        "attemptCount": delivery.attempts,
        "nextRetryAt": delivery.next_attempt_at, "lastAttemptAt": delivery.last_attempt_at,
        "responseStatus": delivery.response_status, "deliveredAt": delivery.delivered_at,
        "lastError": delivery.last_error, "errorClass": delivery.error_class, "createdAt": delivery.created_at,
        "updatedAt": delivery.updated_at,
    })
}

fn attempt(attempt: &Attempt) -> Value {
    json!({
        "n": attempt.n, "startedAt": attempt.started_at(), "durationMs": attempt.duration_ms,
        "result": attempt.result, "responseStatus": attempt.response_status,
        "responseBodySnippet": attempt.response_snippet, "errorClass": attempt.error_class,
        "error": attempt.error, "manual": attempt.manual, "secretCount": attempt.secret_count,
    })
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let common = match &args.action {
        Action::List { common, .. }
        | Action::Show { common, .. }
        | Action::Retry { common, .. }
        | Action::Recover { common, .. }
        | Action::Replay { common, .. }
        | Action::Progress { common, .. } => common,
    };
    let (data, json) = (common.data_dir.existing()?, common.json);
    actix_web::rt::System::new().block_on(async {
        let system = System::open(Options::new(data)).await?;
        let done = act(&system, args.action, json).await;
        system.stop(GRACE).await;
        done
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn act(system: &System, action: Action, json: bool) -> anyhow::Result<()> {
    match action {
        Action::List { status, event, endpoint, since, limit, .. } => {
            let filter = DeliveryFilter {
                statuses: status,
                event_types: event,
                endpoint,
                since,
                ..DeliveryFilter::default()
            };
            let found =
                system.read_models.deliveries(&filter, Order::Descending, None, usize::from(limit))?;
            list(&found, json)
        }
        Action::Show { id, .. } => show(&known(system, id)?, json),
        Action::Retry { ids, .. } => {
            for id in &ids {
                again::retry(system, *id).await.with_context(|| format!("delivery {id}"))?;
            }
            if json {
                return output::document(&json!({"retried": ids}));
            }
            output::notice(format_args!("{} leave when the server runs again", ids.len()));
            Ok(())
        }
        Action::Recover { endpoint, since, until, status, event, include_missed, .. } => {
            let until = until.unwrap_or_else(|| system.engine.now());
            let span =
                RecoverySpan { endpoint, since, until, statuses: status, event_types: event, include_missed };
            again::recover(system, span, json).await
        }
        Action::Replay { endpoint, from, to, events, .. } => {
            let span = RecoverySpan {
                endpoint,
                since: from,
                until: to,
                statuses: vec![DeliveryStatus::Delivered],
                event_types: events,
                include_missed: false,
            };
            again::recover(system, span, json).await
        }
        Action::Progress { task, .. } => again::progress(system, task, json),
    }
}

fn list(deliveries: &[Delivery], json: bool) -> anyhow::Result<()> {
    if json {
        return output::document(&deliveries.iter().map(document).collect::<Vec<_>>());
    }
    let rows = deliveries.iter().map(|delivery| {
        [
            delivery.id.to_string(),
            delivery.created_at.to_string(),
            delivery.event_type.clone(),
            delivery.status.as_str().to_owned(),
            delivery.attempts.to_string(),
            delivery.next_attempt_at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
            delivery.last_error.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    });
    output::table(["ID", "MADE", "TYPE", "STATUS", "ATTEMPTS", "NEXT", "LAST ERROR"], rows);
    Ok(())
}

fn known(system: &System, id: DeliveryId) -> anyhow::Result<DeliveryDetail> {
    let found = system.read_models.delivery(id)?;
    found.ok_or_else(|| Fault::usage(format!("there is no delivery {id}")).into())
}

fn show(detail: &DeliveryDetail, json: bool) -> anyhow::Result<()> {
    let payload: Value = match detail.payload.as_slice() {
        [] => Value::Null,
        bytes => serde_json::from_slice(bytes)?,
    };
    if json {
        let mut answer = document(&detail.delivery);
        answer["payload"] = payload;
        answer["attempts"] = detail.attempts.iter().map(attempt).collect();
        return output::document(&answer);
    }
    list(std::slice::from_ref(&detail.delivery), false)?;
    output::data(payload);
    let rows = detail.attempts.iter().map(|attempt| {
        [
            attempt.n.to_string(),
            attempt.started_at().to_string(),
            format!("{} ms", attempt.duration_ms),
            attempt.response_status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
            if attempt.manual { "manual" } else { "-" }.to_owned(),
            attempt.error.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    });
    output::table(["ATTEMPT", "STARTED", "TOOK", "STATUS", "ASKED", "ERROR"], rows);
    Ok(())
}
