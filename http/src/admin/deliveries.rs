//! The delivery log and the dead letters (AP-51, AP-85, OB-155, OB-180, OB-181).

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use mainspring_projections::{
    Attempt, DeadLetter, DeadLetterFilter, Delivery, DeliveryFilter, DeliveryStatus, Order,
};
use mainspring_schemas::{DeliveryId, EndpointId, event::access::Scope};
use serde_json::{Value, json};

use super::reading::{ask, uuid};
use crate::{auth::require_admin, error::ApiError, query::Parameters, state::AppState};

/// Where dead letters come from (OB-154).
const SOURCE: &str = "webhook-delivery";

fn shape(delivery: &Delivery) -> Value {
    json!({
        "id": delivery.id,
        "endpointId": delivery.endpoint,
        "webhookId": delivery.message.to_string(),
        "eventType": delivery.event_type,
        "contactId": delivery.contact,
        "test": delivery.test,
        "status": delivery.status.as_str(),
        "held": delivery.held,
        "attemptCount": delivery.attempts,
        "nextRetryAt": delivery.next_attempt_at,
        "lastAttemptAt": delivery.last_attempt_at,
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
    })
}

/// The envelope as it was frozen.
fn envelope(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).map_err(ApiError::internal)
}

fn words(text: Option<&str>) -> Vec<String> {
    let parts = text.unwrap_or_default().split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
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
    let mut statuses = Vec::new();
    for word in words(parameters.text("status")) {
        match DeliveryStatus::ALL.into_iter().find(|status| status.as_str() == word) {
            Some(status) => statuses.push(status),
            None => {
                parameters.issues.invalid_value("status", &DeliveryStatus::ALL.map(DeliveryStatus::as_str))
            }
        }
    }
    let order = match parameters.word("order", &["asc", "desc"]) {
        Some("asc") => Order::Ascending,
        _ => Order::Descending,
    };
    let cursor = parameters.has("cursor").then(|| parameters.integer("cursor", 0, 0, u64::MAX));
    let filter = DeliveryFilter {
        statuses,
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
    let deliveries: Vec<Value> = deliveries.iter().map(shape).collect();
    Ok(lag.ok().json(json!({"deliveries": deliveries, "nextCursor": next})))
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
    let detail = detail.ok_or_else(|| ApiError::NotFound("Delivery not found".to_owned()))?;
    let mut answer = shape(&detail.delivery);
    answer["payload"] = envelope(&detail.payload)?;
    answer["attempts"] = detail.attempts.iter().map(attempt).collect();
    Ok(lag.ok().json(answer))
}

fn dead_letter(entry: &DeadLetter) -> Result<Value, ApiError> {
    Ok(json!({
        "id": entry.id,
        "source": SOURCE,
        "sourceId": entry.id,
        "payload": {
            "endpointId": entry.endpoint,
            "url": entry.url,
            "kind": entry.kind,
            "eventType": entry.event_type,
            "webhookId": entry.message.to_string(),
            "body": envelope(&entry.body)?,
        },
        "error": entry.error,
        "retryCount": entry.retry_count,
        "status": entry.status,
        "retriedAt": entry.retried_at,
        "createdAt": entry.created_at,
    }))
}

/// `GET /v1/admin/dlq`, newest first. Entries show bodies, so reading them takes full rights (OB-156).
pub(super) async fn dead_letters(
    state: Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let mut parameters = Parameters::of(&request);
    let (limit, offset) = parameters.page();
    let status = parameters.word("status", &["pending", "retried", "discarded"]).map(str::to_owned);
    let ours = parameters.text("source").is_none_or(|source| source == SOURCE);
    parameters.check()?;
    let filter = DeadLetterFilter { status, id: None };
    let ((entries, total), lag) = ask(&state, move |models| {
        Ok((models.dead_letters(&filter, limit, offset)?, models.dead_letter_count(&filter)?))
    })
    .await?;
    let (entries, total) = if ours { (entries, total) } else { (Vec::new(), 0) };
    let entries = entries.iter().map(dead_letter).collect::<Result<Vec<Value>, _>>()?;
    Ok(lag.ok().json(json!({"entries": entries, "total": total, "limit": limit, "offset": offset})))
}
