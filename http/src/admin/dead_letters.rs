//! The dead letters (AP-85..AP-87, OB-154..OB-156).

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use mainspring_projections::{DeadLetter, DeadLetterFilter};
use mainspring_schemas::{DeliveryId, event::access::Scope};
use serde_json::{Value, json};

use super::{
    deliveries::{envelope, words},
    masking,
    reading::{ask, uuid},
    redelivery::requeue,
};
use crate::{auth::require_admin, error::ApiError, query::Parameters, state::AppState};

/// Where dead letters come from (OB-154).
pub(super) const SOURCE: &str = "webhook-delivery";

const STATUSES: [&str; 3] = ["pending", "retried", "discarded"];

/// Where the entry's request goes: by the endpoint's configuration of now, unless it is gone or of another kind.
fn request_url(state: &AppState, entry: &DeadLetter) -> String {
    let live = state.engine.endpoints().live(entry.endpoint).filter(|live| live.settings.kind == entry.kind);
    let resolved = live.and_then(|live| (state.settings.request_url)(&live, entry));
    masking::url(&entry.kind, resolved.as_ref().unwrap_or(&entry.url))
}

fn shape(state: &AppState, entry: &DeadLetter) -> Result<Value, ApiError> {
    Ok(json!({
        "id": entry.id,
        "source": SOURCE,
        "sourceId": entry.id,
        "payload": {
            "endpointId": entry.endpoint,
            "url": request_url(state, entry),
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
pub(super) async fn list(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let mut parameters = Parameters::of(&request);
    let (limit, offset) = parameters.page();
    let statuses = words(parameters.text("status"));
    if statuses.iter().any(|status| !STATUSES.contains(&status.as_str())) {
        parameters.issues.invalid_value("status", &STATUSES);
    }
    let ours = parameters.text("source").is_none_or(|sources| sources.split(',').any(|one| one == SOURCE));
    parameters.check()?;
    let filter = DeadLetterFilter { statuses, ..DeadLetterFilter::default() };
    let ((entries, total), lag) = ask(&state, move |models| {
        Ok((models.dead_letters(&filter, limit, offset)?, models.dead_letter_count(&filter)?))
    })
    .await?;
    let (entries, total) = if ours { (entries, total) } else { (Vec::new(), 0) };
    let entries = entries.iter().map(|entry| shape(&state, entry)).collect::<Result<Vec<Value>, _>>()?;
    Ok(lag.ok().json(json!({"entries": entries, "total": total, "limit": limit, "offset": offset})))
}

async fn entry(state: &AppState, id: &str) -> Result<DeadLetter, ApiError> {
    let id: DeliveryId = uuid(id)?;
    let filter = DeadLetterFilter { id: Some(id), ..DeadLetterFilter::default() };
    let (found, _) = ask(state, move |models| models.dead_letters(&filter, 1, 0)).await?;
    found.into_iter().next().ok_or_else(|| ApiError::NotFound("DLQ entry not found".to_owned()))
}

/// `POST /v1/admin/dlq/{id}/retry`: delivers again (DL-03); if that fails too, the entry opens again.
pub(super) async fn retry(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let entry = entry(&state, &id).await?;
    if entry.status != "pending" {
        return Err(ApiError::Conflict("Entry is not in pending state".to_owned()));
    }
    requeue(&state, entry.id).await?;
    Ok(HttpResponse::Ok().json(json!({"retried": true, "deliveryId": entry.id})))
}

/// `DELETE /v1/admin/dlq/{id}`: puts the entry away; may be repeated.
pub(super) async fn discard(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let entry = entry(&state, &id).await?;
    if entry.status != "discarded" {
        let position = state.engine.endpoints().discard_letter(entry.endpoint, entry.id).await?;
        state.acknowledge(Some(position));
    }
    Ok(HttpResponse::Ok().json(json!({"discarded": true})))
}
