//! The delivery log (AP-51, OB-180, OB-181) and the figures of an endpoint (OB-162).

use std::collections::HashMap;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use mainspring_projections::{Attempt, Delivery, DeliveryFilter, DeliveryStatus, Order};
use mainspring_schemas::{DeliveryId, EndpointId, Timestamp, event::access::Scope};
use serde_json::{Value, json};

use super::reading::{ask, uuid};
use crate::{auth::require_admin, error::ApiError, query::Parameters, state::AppState};

/// Whether it waits for its endpoint: disabled (OB-88), or of a kind that nobody can deliver now (OB-204).
fn is_held(state: &AppState, delivery: &Delivery) -> bool {
    let waits = delivery.status == DeliveryStatus::Pending && !delivery.test;
    delivery.held || waits && state.lacks_kind(delivery.endpoint)
}

/// The state of a delivery of which an attempt is under way (OB-120). The log knows of pending ones only.
const SENDING: &str = "sending";

/// Deliveries of which an attempt is under way, and since when.
type InFlight = HashMap<DeliveryId, Timestamp>;

fn shape(state: &AppState, delivery: &Delivery, in_flight: &InFlight) -> Value {
    let pending = delivery.status == DeliveryStatus::Pending;
    let sending = in_flight.get(&delivery.id).copied().filter(|_| pending);
    json!({
        "id": delivery.id,
        "endpointId": delivery.endpoint,
        "webhookId": delivery.message.to_string(),
        "eventType": delivery.event_type,
        "contactId": delivery.contact,
        "test": delivery.test,
        "status": if sending.is_some() { SENDING } else { delivery.status.as_str() },
        "held": is_held(state, delivery),
        "replay": delivery.replay,
        "attemptCount": delivery.attempts,
        "nextRetryAt": delivery.next_attempt_at,
        "lastAttemptAt": sending.or(delivery.last_attempt_at),
        "responseStatus": delivery.response_status,
        "responseBodySnippet": delivery.response_snippet,
        "deliveredAt": delivery.delivered_at,
        "lastError": delivery.last_error,
        "errorClass": delivery.error_class,
        "createdAt": delivery.created_at,
        "updatedAt": delivery.updated_at,
    })
}

fn attempt(attempt: &Attempt) -> Value {
    json!({
        "n": attempt.n,
        "startedAt": attempt.started_at(),
        "durationMs": attempt.duration_ms,
        "result": attempt.result,
        "responseStatus": attempt.response_status,
        "responseBodySnippet": attempt.response_snippet,
        "errorClass": attempt.error_class,
        "error": attempt.error,
        "manual": attempt.manual,
        "secretCount": attempt.secret_count,
    })
}

/// The envelope as it was frozen; `null` once whom it is about was erased.
pub(super) fn envelope(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(bytes).map_err(ApiError::internal) }
}

/// The words of a list with commas.
pub(super) fn words(text: Option<&str>) -> Vec<String> {
    let parts = text.unwrap_or_default().split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The state of a word.
pub(super) fn status_of(word: &str) -> Option<DeliveryStatus> {
    DeliveryStatus::ALL.into_iter().find(|status| status.as_str() == word)
}

fn parsed<T: std::str::FromStr>(parameters: &mut Parameters, key: &str) -> Option<T> {
    let text = parameters.text(key)?;
    let value = text.parse().ok();
    if value.is_none() {
        parameters.issues.invalid_format(key, "id");
    }
    value
}

async fn page(
    state: &AppState,
    request: &HttpRequest,
    endpoint: Option<EndpointId>,
) -> Result<HttpResponse, ApiError> {
    let mut parameters = Parameters::of(request);
    let limit = usize::try_from(parameters.integer("limit", 50, 1, 100)).unwrap_or(50);
    let (mut statuses, mut sending) = (Vec::new(), false);
    for word in words(parameters.text("status")) {
        match status_of(&word) {
            Some(status) => statuses.push(status),
            None if word == SENDING => sending = true,
            None => {
                let known = DeliveryStatus::ALL.iter().map(|status| status.as_str()).chain([SENDING]);
                parameters.issues.invalid_value("status", &known.collect::<Vec<_>>());
            }
        }
    }
    let in_flight = state.engine.endpoints().sending();
    let order = match parameters.word("order", &["asc", "desc"]) {
        Some("asc") => Order::Ascending,
        _ => Order::Descending,
    };
    let cursor = parameters.has("cursor").then(|| parameters.integer("cursor", 0, 0, u64::MAX));
    let filter = DeliveryFilter {
        statuses,
        in_flight: in_flight.keys().copied().collect(),
        sending,
        event_types: words(parameters.text("eventType")),
        message: parsed(&mut parameters, "webhookId"),
        endpoint: endpoint.or_else(|| parsed(&mut parameters, "endpointId")),
        contact: parsed(&mut parameters, "contact"),
        since: parameters.instant("since"),
        until: parameters.instant("until"),
        error_class: parameters.text("errorClass").map(str::to_owned),
    };
    parameters.check()?;
    let (deliveries, lag) =
        ask(state, move |models| models.deliveries(&filter, order, cursor, limit)).await?;
    let next =
        (deliveries.len() == limit).then(|| deliveries.last().map(|last| last.seq.to_string())).flatten();
    let deliveries: Vec<Value> =
        deliveries.iter().map(|delivery| shape(state, delivery, &in_flight)).collect();
    Ok(lag.ok().json(json!({"deliveries": deliveries, "nextCursor": next})))
}

/// 404 of a delivery.
pub(super) fn not_found() -> ApiError {
    ApiError::NotFound("Delivery not found".to_owned())
}

/// `GET /v1/admin/webhooks/deliveries`.
pub(super) async fn list(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    page(&state, &request, None).await
}

/// `GET /v1/admin/webhooks/{id}/deliveries`.
pub(super) async fn list_of_endpoint(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let id: EndpointId = uuid(&id)?;
    state.engine.endpoints().get(id).await?.ok_or_else(super::endpoints::not_found)?;
    page(&state, &request, Some(id)).await
}

/// `GET /v1/admin/webhooks/deliveries/{id}`.
pub(super) async fn one(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let id: DeliveryId = uuid(&id)?;
    let (detail, lag) = ask(&state, move |models| models.delivery(id)).await?;
    let detail = detail.ok_or_else(not_found)?;
    let mut answer = shape(&state, &detail.delivery, &state.engine.endpoints().sending());
    answer["payload"] = envelope(&detail.payload)?;
    answer["attempts"] = detail.attempts.iter().map(attempt).collect();
    Ok(lag.ok().json(answer))
}

const HOUR_MS: i64 = 3_600_000;

/// `GET /v1/admin/webhooks/{id}/stats` (OB-162). `pending` and `held` are as of now, all else is of the period: what ended
/// in it and how its attempts went. The rate is that of deliveries which ended, `null` if none did.
pub(super) async fn stats(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let id: EndpointId = uuid(&id)?;
    state.engine.endpoints().get(id).await?.ok_or_else(super::endpoints::not_found)?;
    let mut parameters = Parameters::of(&request);
    let period = parameters.word("period", &["24h", "7d", "30d"]).unwrap_or("24h");
    parameters.check()?;
    let hours = match period {
        "7d" => 7 * 24,
        "30d" => 30 * 24,
        _ => 24,
    };
    let since = state.engine.now().plus(-hours * HOUR_MS);
    let ((stats, counts), lag) =
        ask(&state, move |models| Ok((models.delivery_stats(id, since)?, models.delivery_counts(Some(id))?)))
            .await?;
    let held = if state.lacks_kind(id) { counts.pending } else { counts.held };
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    let rate = (stats.delivered + stats.failed > 0)
        .then(|| stats.delivered as f64 / (stats.delivered + stats.failed) as f64);
    Ok(lag.ok().json(json!({
        "period": period,
        "delivered": stats.delivered,
        "failed": stats.failed,
        "pending": counts.pending - held,
        "held": held,
        "attempts": stats.attempts,
        "successRate": rate,
        "p50Ms": stats.p50_ms,
        "p95Ms": stats.p95_ms,
        "byClass": stats.by_class,
    })))
}
