//! `POST /v1/webhooks/{sourceId}`: the steps of WS-02, in their order.

use std::time::Instant;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError as _,
    web::{Bytes, Data, Path, Payload},
};
use mainspring_actors::api::EngineError;
use mainspring_schemas::Timestamp;
use serde_json::json;

use super::{
    event::SourceEvent,
    headers::Headers,
    ingest::{Ingested, ingest},
    mounted::{self, Mounted},
    source::{Meaning, Refusal},
    statistics::Ending,
    verify::Request,
};
use crate::{address, error::ApiError, headers::trace, slow_bodies::is_late, state::AppState};

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotConfigured { signature: true } => {
                Self::Unauthorized("Webhook signature not configured")
            }
            Refusal::NotConfigured { signature: false } => {
                Self::Unauthorized("Webhook secret not configured")
            }
            Refusal::Unproven { signature: true, .. } => Self::Unauthorized("Invalid webhook signature"),
            Refusal::Unproven { signature: false, .. } => Self::Unauthorized("Invalid webhook secret"),
            Refusal::Malformed => Self::InvalidPayload(json!("Malformed JSON")),
            Refusal::Mismatch(mismatch) => Self::InvalidPayload(json!(mismatch)),
        }
    }
}

/// Receives one callback.
pub(crate) async fn receive(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let unknown = || ApiError::NotFound("Unknown webhook source".to_owned());
    let mounted = mounted::find(&state.settings.sources, &state.engine, &id).await?.ok_or_else(unknown)?;
    let source = mounted.source;
    let began = Instant::now();
    let now = state.engine.now();
    source.statistics.received(now);
    let (ending, answer) = match answer(&state, &mounted, &request, payload, now).await {
        Ok((ending, answer)) => (ending, Ok(answer)),
        Err((reason, error)) if error.status_code().is_server_error() => {
            tracing::warn!(source = %source.id, reason, "a webhook could not be taken; its sender will retry");
            (Ending::Failed, Err(error))
        }
        Err((reason, error)) => {
            tracing::debug!(source = %source.id, reason, "a webhook was refused");
            (Ending::Rejected(reason), Err(error))
        }
    };
    source.statistics.ended(now, ending, began.elapsed());
    answer
}

/// What is answered, or the reason for operators and the error for the caller.
async fn answer(
    state: &AppState,
    mounted: &Mounted<'_>,
    request: &HttpRequest,
    payload: Payload,
    now: Timestamp,
) -> Result<(Ending, HttpResponse), (&'static str, ApiError)> {
    let source = mounted.source;
    let body = read(payload, state.settings.source_max_body).await?;
    let headers = Headers::from(request.headers());
    let signed = Request { headers: &headers, body: &body, now };
    let verified = source
        .authenticate(mounted.secrets(), signed)
        .map_err(|refusal| unverified(state, request, refusal))?;
    if mounted.is_open() {
        source.statistics.unauthenticated(now);
    } else {
        source.statistics.verified(now, verified.signed_at);
    }
    let meaning = source.interpret(signed, &verified);
    let event = match meaning.map_err(|refusal| (refusal.reason(), refusal.into()))? {
        Meaning::Event(event) => *event,
        Meaning::Skipped(why) => {
            tracing::debug!(source = %source.id, why, "a webhook was skipped");
            return Ok((Ending::Skipped, skipped()));
        }
    };
    let told = told(&event);
    match ingest(state, source, event, trace(request.headers())).await {
        Ok(Ingested::Stored) => Ok((Ending::Ingested, taken(told, true))),
        Ok(Ingested::Erased) => Ok((Ending::Ingested, taken(told, false))),
        Ok(Ingested::Repeated) => Ok((Ending::Duplicate, taken(told, false))),
        Ok(Ingested::Nobody) | Err(EngineError::NoIdentity) => Ok((Ending::Skipped, skipped())),
        Err(error) => Err(refused(error)),
    }
}

/// What a caller is told who proved nothing. Failures are counted per address, and who failed too often is told to wait
/// (WS-95). That is looked at only here, so that nobody's failures refuse what a provider proved from the same address:
/// a proof costs little before it fails (WS-96).
fn unverified(state: &AppState, request: &HttpRequest, refusal: Refusal) -> (&'static str, ApiError) {
    let client = address::client(request, &state.settings.trusted_proxies).map(address::network);
    let client = client.map(|client| client.to_string()).unwrap_or_default();
    match state.failed_webhooks.take(&client, Instant::now()) {
        Ok(_) => (refusal.reason(), refusal.into()),
        Err(limited) => ("rate_limited", limited),
    }
}

/// The body as it came, never decoded (WS-27).
async fn read(payload: Payload, limit: usize) -> Result<Bytes, (&'static str, ApiError)> {
    match payload.to_bytes_limited(limit).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if error.as_error().is_some_and(is_late) => Err(("body_late", ApiError::TooSlow)),
        Ok(Err(_)) => Err(("body_unreadable", ApiError::BadRequest("The body could not be read".to_owned()))),
        Err(_) => Err(("too_large", ApiError::TooLarge)),
    }
}

fn skipped() -> HttpResponse {
    HttpResponse::Ok().json(json!({"ok": true, "skipped": true}))
}

/// Name and user id as the transform gave them.
fn told(event: &SourceEvent) -> (String, Option<String>) {
    (event.event.clone(), event.user_id.clone())
}

fn taken((event, user_id): (String, Option<String>), stored: bool) -> HttpResponse {
    // Journeys that ended because of it: there are none yet.
    let mut body = json!({"ok": true, "event": event, "exits": [], "stored": stored});
    if let Some(user_id) = user_id {
        body["userId"] = user_id.into();
    }
    HttpResponse::Ok().json(body)
}

/// Whatever the engine cannot do now, the provider shall try again (WS-02, step 9).
fn refused(error: EngineError) -> (&'static str, ApiError) {
    match error {
        EngineError::Refused(reason) => ("invalid_payload", ApiError::InvalidPayload(json!(reason))),
        EngineError::LogFailed(cause) | EngineError::Unwritable(cause) => {
            tracing::error!(%cause, "a webhook could not be stored");
            ("storage", ApiError::Overloaded)
        }
        _ => ("overloaded", ApiError::Overloaded),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ws_02_ss_15_what_cannot_be_stored_is_told_to_come_again() {
        for error in [EngineError::LogFailed("disk".to_owned()), EngineError::Overloaded] {
            let answer = refused(error).1.error_response();
            assert_eq!(answer.status(), 503);
            assert!(answer.headers().contains_key("retry-after"));
        }
    }
}
