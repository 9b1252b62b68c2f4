//! Sending again: one delivery (OB-160), or of a span of time what failed or was missed (OB-161) or delivered (OC-93).

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data, Path},
};
use mainspring_actors::{api::EngineError, endpoint::RecoveryRequest};
use mainspring_projections::{DeliveryStatus, Recovery, RecoverySpan};
use mainspring_schemas::{
    DeliveryId, EndpointId, RecoveryId,
    catalog::{is_subscription, subscribable},
    event::access::Scope,
};
use serde_json::{Value, json};

use super::{
    deliveries::{not_found, status_of},
    endpoints,
    reading::{ask, uuid},
};
use crate::{
    auth::require_admin,
    error::ApiError,
    json::{Members, members},
    state::AppState,
};

/// Waits until the read models show everything that is durable: what is decided now rests on it.
pub(super) async fn caught_up(state: &AppState) -> Result<u64, ApiError> {
    let end = state.engine.log().durable_end();
    let patience = Duration::from_millis(state.settings.patience_ms.max(5_000));
    if state.read_models.wait_for(end, patience).await { Ok(end) } else { Err(ApiError::Overloaded) }
}

/// Makes a delivery due again. A delivery about somebody who was erased has no body any more.
pub(super) async fn requeue(state: &AppState, id: DeliveryId) -> Result<(), ApiError> {
    caught_up(state).await?;
    let (detail, _) = ask(state, move |models| models.delivery(id)).await?;
    let detail = detail.ok_or_else(not_found)?;
    if detail.payload.is_empty() {
        let reason = "The contact of this delivery was erased; there is nothing left to send";
        return Err(ApiError::Conflict(reason.to_owned()));
    }
    let requeued = state.engine.endpoints().requeue(detail.delivery.endpoint, id).await;
    let position = requeued.map_err(|error| match error {
        EngineError::NotFound => ApiError::Conflict("Endpoint is deleted".to_owned()),
        error => error.into(),
    })?;
    state.acknowledge(Some(position));
    Ok(())
}

/// `POST /v1/admin/webhooks/deliveries/{id}/retry`.
pub(super) async fn retry(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let id: DeliveryId = uuid(&id)?;
    requeue(&state, id).await?;
    Ok(HttpResponse::Accepted().json(json!({"retried": true, "deliveryId": id})))
}

/// What a recovery and a replay have in common: the span and the types.
fn read_span(state: &AppState, endpoint: EndpointId, reader: &mut Members<'_>) -> RecoverySpan {
    let now = state.engine.now();
    if !reader.has("since") {
        reader.issues.invalid_type("since", "string", None);
    }
    let since = reader.instant("since").unwrap_or(now);
    let until = reader.instant("until").unwrap_or(now);
    if until < since {
        reader.issues.custom("until", "must not be before since");
    }
    let event_types = reader.texts("eventTypes", false).unwrap_or_default();
    if event_types.iter().any(|pattern| !is_subscription(pattern)) {
        let known: Vec<&str> = subscribable().collect();
        reader.issues.invalid_value("eventTypes", &known);
    }
    RecoverySpan { endpoint, since, until, statuses: Vec::new(), event_types, include_missed: false }
}

fn read_statuses(reader: &mut Members<'_>) -> Vec<DeliveryStatus> {
    let words = reader.texts("status", false).unwrap_or_else(|| vec!["failed".to_owned()]);
    let known = |word: &String| status_of(word).filter(|status| RecoverySpan::STATUSES.contains(status));
    let statuses: Vec<DeliveryStatus> = words.iter().filter_map(known).collect();
    if statuses.len() < words.len() {
        reader.issues.invalid_value("status", &RecoverySpan::STATUSES.map(DeliveryStatus::as_str));
    }
    statuses
}

/// `POST /v1/admin/webhooks/{id}/recover`. `matched` counts deliveries there are; messages that never had one are counted
/// as they are found.
pub(super) async fn recover(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let mut members = members(&request, &body)?;
    let mut reader = Members::new(&mut members);
    let span = RecoverySpan {
        statuses: read_statuses(&mut reader),
        include_missed: reader.boolean("includeMissed").unwrap_or(false),
        ..read_span(&state, uuid(&id)?, &mut reader)
    };
    let span = reader.issues.into_result(span)?;
    start(&state, span).await
}

/// `POST /v1/admin/webhooks/{id}/replay`: sends again what was delivered, and says so in each request (OC-93).
pub(super) async fn replay(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let mut members = members(&request, &body)?;
    let mut reader = Members::new(&mut members);
    let span = read_span(&state, uuid(&id)?, &mut reader);
    let span = RecoverySpan { statuses: vec![DeliveryStatus::Delivered], ..span };
    let span = reader.issues.into_result(span)?;
    start(&state, span).await
}

async fn start(state: &AppState, span: RecoverySpan) -> Result<HttpResponse, ApiError> {
    let id = span.endpoint;
    state.engine.endpoints().get(id).await?.ok_or_else(endpoints::not_found)?;
    let end = caught_up(state).await?;
    let wanted = span.clone();
    let (matched, _) = ask(state, move |models| models.recoverable_total(&wanted, end)).await?;
    let asked = RecoveryRequest {
        since: span.since,
        until: span.until,
        statuses: span.statuses.iter().map(|status| status.as_str().to_owned()).collect(),
        event_types: span.event_types,
        include_missed: span.include_missed,
        matched,
        end,
    };
    let started = state.engine.endpoints().recover(id, asked).await;
    let (task, position) = started.map_err(|error| match error {
        EngineError::NotFound => endpoints::not_found(),
        error => error.into(),
    })?;
    state.acknowledge(Some(position));
    Ok(HttpResponse::Accepted().json(json!({"taskId": task, "matched": matched})))
}

fn shape(recovery: &Recovery) -> Value {
    json!({
        "taskId": recovery.id,
        "endpointId": recovery.span.endpoint,
        "status": recovery.status,
        "matched": recovery.matched,
        "queued": recovery.queued,
        "missed": recovery.missed,
        "delivered": recovery.delivered,
        "failed": recovery.failed,
        "pending": recovery.pending,
        "since": recovery.span.since,
        "until": recovery.span.until,
        "startedAt": recovery.started_at,
        "endedAt": recovery.ended_at,
    })
}

/// `GET /v1/admin/webhooks/recoveries/{taskId}`.
pub(super) async fn progress(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let id: RecoveryId = uuid(&id)?;
    let (found, lag) = ask(&state, move |models| models.recovery(id)).await?;
    let found = found.ok_or_else(|| ApiError::NotFound("Recovery not found".to_owned()))?;
    Ok(lag.ok().json(shape(&found)))
}
