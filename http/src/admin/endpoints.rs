//! Endpoints of outbound webhooks (AP-40..AP-50, OB-170..OB-177).

use std::collections::BTreeMap;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data, Path},
};
use mainspring_actors::{
    api::EngineError,
    endpoint::{EndpointPatch, EndpointView, headers},
};
use mainspring_projections::{Endpoint, ReadModels};
use mainspring_schemas::{
    EndpointId, Timestamp,
    catalog::is_subscription,
    destination::MASK,
    endpoint_health::EndpointHealth,
    event::access::Scope,
    event::endpoint::{EndpointSettings, Ordering},
};
use serde_json::{Value, json};

use super::{
    destinations::{Given, check, concealed, shown_config, shown_url},
    reading::{ask, uuid},
};
use crate::{
    auth::require_admin,
    error::ApiError,
    json::{Members, members},
    query::Parameters,
    state::AppState,
};

/// Most requests per second that a limit can say (OB-82).
const MAX_RATE: u64 = 1_000;

/// Most seconds an old secret goes on signing beside the new one: a week (AP-45).
const MAX_GRACE_SECONDS: u64 = 7 * 24 * 3600;

/// How many seconds that is if nobody says: a day (OB-94).
const DEFAULT_GRACE_SECONDS: u64 = 24 * 3600;

pub(super) fn not_found() -> ApiError {
    ApiError::NotFound("Webhook endpoint not found".to_owned())
}

fn of_engine(error: EngineError) -> ApiError {
    match error {
        EngineError::NotFound => not_found(),
        error => error.into(),
    }
}

/// How an endpoint is doing, in a word (OB-81, OB-145, OB-151).
fn health_of(disabled: bool, health: &EndpointHealth, now: Timestamp) -> &'static str {
    match disabled {
        true => "paused",
        false if health.is_throttled(now) => "throttled",
        false if health.is_failing() => "failing",
        false => "healthy",
    }
}

fn shape(state: &AppState, view: &EndpointView, row: Option<&Endpoint>, pending: u64) -> Value {
    let health = row.map(|row| row.health).unwrap_or_default();
    // Of a disabled endpoint the failures before are history.
    let disables_at = health.disables_at(state.settings.auto_disable_ms).filter(|_| !view.disabled);
    let headers: BTreeMap<&String, &str> = view.settings.headers.keys().map(|name| (name, MASK)).collect();
    json!({
        "id": view.id,
        "url": shown_url(state, &view.settings),
        "description": view.settings.description,
        "eventTypes": view.settings.event_types,
        "secretPrefix": view.secret_prefix,
        "kind": view.settings.kind,
        "config": shown_config(state, &view.settings),
        "status": if view.disabled { "disabled" } else { "enabled" },
        "organizationId": null,
        "lastDeliveryAt": row.and_then(|row| row.last_delivery_at),
        "createdAt": view.created_at,
        "updatedAt": view.updated_at,
        "disabledReason": view.disabled_reason,
        "disabledAt": view.disabled_at,
        "previousSecretExpiresAt": view.previous_secret_expires_at,
        "rateLimit": view.settings.rate_limit,
        "headers": headers,
        "ordering": view.settings.ordering,
        "health": health_of(view.disabled, &health, state.engine.now()),
        "consecutiveFailures": health.consecutive_failures,
        "failingSince": health.failing_since,
        "disablesAt": disables_at,
        "lastFailureAt": health.last_failure_at,
        "lastError": row.and_then(|row| row.last_error.as_deref()),
        "pendingDeliveries": pending,
    })
}

async fn shown(state: &AppState, view: &EndpointView) -> Result<Value, ApiError> {
    let id = view.id;
    let ((row, counts), _) =
        ask(state, move |models| Ok((models.endpoint(id)?, models.delivery_counts(Some(id))?))).await?;
    Ok(shape(state, view, row.as_ref(), counts.pending))
}

/// `GET /v1/admin/webhooks`, newest first.
pub(super) async fn list(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::Read)?;
    let mut parameters = Parameters::of(&request);
    let (limit, offset) = parameters.page();
    let include_disabled = parameters.boolean("includeDisabled").unwrap_or(true);
    parameters.check()?;
    let page = move |models: &ReadModels| {
        let rows = models.endpoints(include_disabled, limit, offset)?;
        let mut page = Vec::with_capacity(rows.len());
        for row in rows {
            let pending = models.delivery_counts(Some(row.id))?.pending;
            page.push((row, pending));
        }
        Ok((page, models.endpoint_count(include_disabled)?))
    };
    let ((rows, total), lag) = ask(&state, page).await?;
    let mut endpoints = Vec::with_capacity(rows.len());
    for (row, pending) in &rows {
        // The engine knows the newest settings; one deleted a moment ago is left out.
        if let Some(view) = state.engine.endpoints().get(row.id).await? {
            endpoints.push(shape(&state, &view, Some(row), *pending));
        }
    }
    Ok(lag.ok().json(json!({"endpoints": endpoints, "total": total, "limit": limit, "offset": offset})))
}

fn read_types(reader: &mut Members<'_>, required: bool) -> Option<Vec<String>> {
    let types = reader.texts("eventTypes", required)?;
    if types.iter().any(|name| !is_subscription(name)) {
        let known: Vec<&str> = mainspring_schemas::catalog::subscribable().collect();
        reader.issues.invalid_value("eventTypes", &known);
    }
    Some(types)
}

fn read_rate_limit(reader: &mut Members<'_>) -> Option<u16> {
    reader.integer("rateLimit", 1, MAX_RATE).and_then(|rate| u16::try_from(rate).ok())
}

/// Added headers, checked (OB-112). The issue names the header, never its value.
fn read_headers(reader: &mut Members<'_>) -> Option<BTreeMap<String, String>> {
    let mut headers = Vec::new();
    for (name, value) in reader.properties("headers")? {
        match value {
            Value::String(value) => headers.push((name, value)),
            other => reader.issues.invalid_type(&format!("headers.{name}"), "string", Some(&other)),
        }
    }
    match headers::checked(headers) {
        Ok(headers) => Some(headers),
        Err((name, refusal)) => {
            let path = if name.is_empty() { "headers".to_owned() } else { format!("headers.{name}") };
            reader.issues.custom(&path, refusal.to_string());
            None
        }
    }
}

fn read_ordering(reader: &mut Members<'_>) -> Option<Ordering> {
    match reader.text("ordering", false, 1, 32)?.as_str() {
        "none" => Some(Ordering::None),
        "contact" => Some(Ordering::Contact),
        _ => {
            reader.issues.invalid_value("ordering", &["none", "contact"]);
            None
        }
    }
}

/// A member that `null` clears.
fn clearable<T>(
    reader: &mut Members<'_>,
    key: &str,
    read: impl FnOnce(&mut Members<'_>) -> Option<T>,
) -> Option<Option<T>> {
    if reader.is_null(key) {
        reader.take(key);
        return Some(None);
    }
    read(reader).map(Some)
}

/// `POST /v1/admin/webhooks`.
pub(super) async fn create(
    state: Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let mut members = members(&request, &body)?;
    let mut reader = Members::new(&mut members);
    let url = reader.text("url", true, 1, 2048);
    let event_types = read_types(&mut reader, true);
    let description = reader.text("description", false, 0, 500);
    let disabled = reader.boolean("disabled").unwrap_or(false);
    let kind = reader.text("kind", false, 1, 128);
    let config = clearable(&mut reader, "config", |reader| reader.properties("config")).flatten();
    let rate_limit = clearable(&mut reader, "rateLimit", read_rate_limit).flatten();
    let headers = clearable(&mut reader, "headers", read_headers).flatten().unwrap_or_default();
    let ordering = clearable(&mut reader, "ordering", read_ordering).flatten().unwrap_or_default();
    reader.issues.into_result(())?;
    let settings = EndpointSettings {
        url: url.unwrap_or_default(),
        description,
        event_types: event_types.unwrap_or_default(),
        kind: kind.unwrap_or_else(|| "webhook".to_owned()),
        config,
        rate_limit,
        headers,
        ordering,
        ..EndpointSettings::default()
    };
    check(&state, &settings, Given::ALL)?;
    let settings = concealed(&state, settings);
    let (view, secret) = state.engine.endpoints().create(settings, disabled).await?;
    state.acknowledge(Some(view.position));
    let mut answer = shape(&state, &view, None, 0);
    if let Some(secret) = secret {
        answer["secret"] = json!(secret);
    }
    Ok(HttpResponse::Created().json(answer))
}

/// `GET /v1/admin/webhooks/{id}`.
pub(super) async fn one(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::Read)?;
    let id: EndpointId = uuid(&id)?;
    let view = state.engine.endpoints().get(id).await?.ok_or_else(not_found)?;
    Ok(HttpResponse::Ok().json(shown(&state, &view).await?))
}

/// `PATCH /v1/admin/webhooks/{id}`.
pub(super) async fn update(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let id: EndpointId = uuid(&id)?;
    let mut members = members(&request, &body)?;
    let mut reader = Members::new(&mut members);
    let patch = EndpointPatch {
        url: reader.text("url", false, 1, 2048),
        event_types: read_types(&mut reader, false),
        description: clearable(&mut reader, "description", |reader| {
            reader.text("description", false, 0, 500)
        }),
        disabled: reader.boolean("disabled"),
        kind: reader.text("kind", false, 1, 128),
        config: clearable(&mut reader, "config", |reader| reader.properties("config")),
        rate_limit: clearable(&mut reader, "rateLimit", read_rate_limit),
        headers: clearable(&mut reader, "headers", read_headers).map(Option::unwrap_or_default),
        ordering: clearable(&mut reader, "ordering", read_ordering).map(Option::unwrap_or_default),
    };
    let patch = reader.issues.into_result(patch)?;
    let given = Given {
        kind: patch.kind.is_some(),
        url: patch.url.is_some(),
        event_types: patch.event_types.is_some(),
        config: patch.config.is_some(),
        headers: patch.headers.is_some(),
    };
    let kinds = |kind: &str| state.destination(kind);
    let accept = |settings: &EndpointSettings| check(&state, settings, given);
    let updated = state.engine.endpoints().update_if(id, patch, kinds, accept).await;
    let (view, secret) = updated.map_err(of_engine)??;
    state.acknowledge(Some(view.position));
    let mut answer = shown(&state, &view).await?;
    if let Some(secret) = secret {
        answer["secret"] = json!(secret);
    }
    Ok(HttpResponse::Ok().json(answer))
}

/// `DELETE /v1/admin/webhooks/{id}`.
pub(super) async fn delete(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let position = state.engine.endpoints().delete(uuid(&id)?).await.map_err(of_engine)?;
    state.acknowledge(Some(position));
    Ok(HttpResponse::Ok().json(json!({ "deleted": true })))
}

/// `POST /v1/admin/webhooks/{id}/rotate-secret`: the one answer, besides creation, that shows the secret.
pub(super) async fn rotate_secret(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let id: EndpointId = uuid(&id)?;
    let mut members = members(&request, &body)?;
    let mut reader = Members::new(&mut members);
    let seconds = reader.integer("gracePeriodSeconds", 0, MAX_GRACE_SECONDS);
    let hours = reader.integer("overlapHours", 0, MAX_GRACE_SECONDS / 3600);
    let grace = seconds.or(hours.map(|hours| hours * 3600)).unwrap_or(DEFAULT_GRACE_SECONDS);
    let grace = u32::try_from(reader.issues.into_result(grace)?).unwrap_or(u32::MAX);
    let rotated = state.engine.endpoints().rotate(id, grace).await.map_err(of_engine)?;
    Ok(HttpResponse::Ok().json(json!({
        "id": id,
        "secret": rotated.secret,
        "secretPrefix": rotated.secret_prefix,
        "previousSecretExpiresAt": rotated.previous_expires_at,
    })))
}

/// `POST /v1/admin/webhooks/{id}/test`.
pub(super) async fn test(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let test = state.engine.endpoints().test(uuid(&id)?).await.map_err(of_engine)?;
    state.acknowledge(Some(test.position));
    Ok(HttpResponse::Accepted().json(json!({
        "enqueued": true,
        "eventType": mainspring_schemas::catalog::WEBHOOK_TEST,
        "deliveryId": test.delivery,
        "webhookId": test.message.to_string(),
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob_81_health_is_one_word_of_four() {
        let now = Timestamp(1_000);
        let health = |consecutive_failures, throttled_until: Option<i64>| EndpointHealth {
            consecutive_failures,
            throttled_until: throttled_until.map(Timestamp),
            ..EndpointHealth::default()
        };
        for (disabled, health, word) in [
            (false, health(0, None), "healthy"),
            (false, health(4, None), "healthy"),
            (false, health(5, None), "failing"),
            (false, health(5, Some(1_000)), "failing"),
            (false, health(1, Some(1_001)), "throttled"),
            (true, health(9, Some(1_001)), "paused"),
        ] {
            assert_eq!(health_of(disabled, &health, now), word);
        }
    }
}
