//! Sending again, and how far that is.

use mainspring_actors::{api::EngineError, endpoint::RecoveryRequest};
use mainspring_projections::{DeliveryStatus, RecoverySpan};
use mainspring_schemas::{DeliveryId, RecoveryId, catalog::is_subscription};
use serde_json::json;

use super::known;
use crate::{compose::System, exit::Fault, output};

/// Makes one delivery due again.
pub(super) async fn retry(system: &System, id: DeliveryId) -> anyhow::Result<()> {
    let detail = known(system, id)?;
    if detail.payload.is_empty() {
        return Err(Fault::usage("its contact was erased; there is nothing left to send").into());
    }
    system.engine.endpoints().requeue(detail.delivery.endpoint, id).await.map_err(refused)?;
    Ok(())
}

fn refused(error: EngineError) -> anyhow::Error {
    match error {
        EngineError::NotFound => Fault::usage("its endpoint does not exist any more").into(),
        EngineError::State(reason) => Fault::usage(reason).into(),
        error => error.into(),
    }
}

/// Why a span makes no sense, if it does not.
fn fault(span: &RecoverySpan) -> Option<String> {
    if span.statuses.contains(&DeliveryStatus::Pending) {
        return Some("--status: what is pending goes out anyway".to_owned());
    }
    if span.until < span.since {
        return Some("the span ends before it begins".to_owned());
    }
    let unknown = span.event_types.iter().find(|pattern| !is_subscription(pattern))?;
    Some(format!("there is no event type {unknown}"))
}

/// Asks for a span to be delivered again.
pub(super) async fn recover(system: &System, span: RecoverySpan, json: bool) -> anyhow::Result<()> {
    if let Some(fault) = fault(&span) {
        return Err(Fault::usage(fault).into());
    }
    let busy = system.read_models.running_recoveries()?;
    if let Some(other) = busy.iter().find(|recovery| recovery.span.endpoint == span.endpoint) {
        return Err(Fault::usage(format!("recovery {} of this endpoint is running", other.id)).into());
    }
    let end = system.engine.log().durable_end();
    let matched = system.read_models.recoverable_total(&span, end)?;
    let endpoint = span.endpoint;
    let request = RecoveryRequest {
        since: span.since,
        until: span.until,
        statuses: span.statuses.iter().map(|status| status.as_str().to_owned()).collect(),
        event_types: span.event_types,
        include_missed: span.include_missed,
        matched,
        end,
    };
    let (task, _) = system.engine.endpoints().recover(endpoint, request).await.map_err(refused)?;
    if json {
        return output::document(&json!({"taskId": task, "matched": matched}));
    }
    output::notice(format_args!("task {task}: {matched} deliveries leave when the server runs again"));
    Ok(())
}

/// Shows how far a recovery or a replay is.
pub(super) fn progress(system: &System, task: RecoveryId, json: bool) -> anyhow::Result<()> {
    let found = system.read_models.recovery(task)?;
    let found = found.ok_or_else(|| Fault::usage(format!("there is no task {task}")))?;
    if json {
        return output::document(&json!({
            "taskId": found.id, "endpointId": found.span.endpoint, "status": found.status,
            "matched": found.matched, "queued": found.queued, "missed": found.missed,
            "delivered": found.delivered, "failed": found.failed, "pending": found.pending,
            "startedAt": found.started_at, "endedAt": found.ended_at,
        }));
    }
    let figures = [found.matched, found.queued, found.delivered, found.failed, found.pending];
    let [matched, queued, delivered, failed, pending] = figures.map(|figure| figure.to_string());
    let row = [found.status, matched, queued, delivered, failed, pending];
    output::table(["STATUS", "MATCHED", "QUEUED", "DELIVERED", "FAILED", "PENDING"], [row]);
    Ok(())
}
