//! `POST /v1/events` and its batch form (DP-01..DP-15).

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data},
};
use compact_str::CompactString;
use mainspring_actors::api::{EngineError, IngestOutcome};
use mainspring_schemas::event::access::Scope;
use serde_json::{Value, json};

use super::event_body::{EventBody, read, read_plain};
use crate::{
    auth::require,
    error::ApiError,
    headers::trace,
    json::{Members, members, says_json},
    state::AppState,
};

const BODY_KEY: &str = "idempotency-key";

/// The header's key; an empty one counts as absent (IK-01).
fn header_key(request: &HttpRequest) -> Result<Option<CompactString>, ApiError> {
    let Some(value) = request.headers().get(BODY_KEY) else { return Ok(None) };
    let key =
        value.to_str().map_err(|_| ApiError::BadRequest("Idempotency-Key must be plain text".to_owned()))?;
    if key.len() > 512 {
        return Err(ApiError::BadRequest("Idempotency-Key must be at most 512 characters".to_owned()));
    }
    Ok((!key.is_empty()).then(|| CompactString::from(key)))
}

fn answer(outcome: &IngestOutcome, lists: &[(String, bool)]) -> Value {
    let mut answer = json!({
        "stored": outcome.stored,
        "exits": [],
        "contactKey": outcome.contact_key,
        "contactId": outcome.contact_id,
    });
    match outcome.same_request {
        None => {
            answer["eventId"] = json!(outcome.event_id);
            answer["buckets"] = json!({"entered": outcome.entered, "left": outcome.left});
        }
        Some(same) => answer["duplicate"] = json!({"eventId": outcome.event_id, "sameRequest": same}),
    }
    // No list is defined yet, so each id is unknown; the event stands all the same (DP-13).
    if let (true, Some((id, _))) = (outcome.stored, lists.first()) {
        answer["listsError"] = json!(format!("Unknown list: {id}"));
    }
    answer
}

/// `POST /v1/events`.
pub(super) async fn ingest(
    state: Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    require(&state, &request, Scope::Ingest)?;
    let now = state.engine.now();
    let trace = trace(request.headers());
    let plain = if says_json(&request) { read_plain(&body, now, trace) } else { None };
    let EventBody { mut call, lists } = match plain {
        Some(body) => body?,
        None => read(members(&request, &body)?, now, trace)?,
    };
    if let Some(key) = header_key(&request)? {
        call.idempotency_key = Some(key);
    }
    let outcome = state.engine.ingest(call).await?;
    state.acknowledge(outcome.position);
    Ok(HttpResponse::Accepted().json(answer(&outcome, &lists)))
}

/// `POST /v1/events/batch`: each event as if sent alone, in order per contact.
pub(super) async fn ingest_batch(
    state: Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    require(&state, &request, Scope::Ingest)?;
    let mut members = members(&request, &body)?;
    let mut reader = Members::new(&mut members);
    let maximum = state.settings.max_batch;
    let events = match reader.take("events") {
        Some(Value::Array(events)) => {
            if events.is_empty() {
                reader.issues.too_small("events", "array", 1);
            } else if events.len() > maximum {
                reader.issues.too_big("events", "array", maximum as u64);
            }
            events
        }
        other => {
            reader.issues.invalid_type("events", "array", other.as_ref());
            Vec::new()
        }
    };
    let events = reader.issues.into_result(events)?;
    let now = state.engine.now();
    let trace = trace(request.headers());
    let mut calls = Vec::with_capacity(events.len());
    let mut results: Vec<Result<Vec<(String, bool)>, ApiError>> = Vec::with_capacity(events.len());
    for event in events {
        let read = match event {
            Value::Object(members) => read(members, now, trace),
            _ => Err(ApiError::BadRequest("each event must be an object".to_owned())),
        };
        results.push(read.map(|body| {
            calls.push(body.call);
            body.lists
        }));
    }
    let mut outcomes = state.engine.ingest_batch(calls).await.into_iter();
    let mut answers = Vec::with_capacity(results.len());
    for result in results {
        answers.push(match result {
            Ok(lists) => item(&state, outcomes.next(), &lists),
            Err(error) => refusal(error),
        });
    }
    Ok(HttpResponse::Accepted().json(json!({ "results": answers })))
}

fn item(
    state: &AppState,
    outcome: Option<Result<IngestOutcome, EngineError>>,
    lists: &[(String, bool)],
) -> Value {
    match outcome {
        Some(Ok(outcome)) => {
            state.acknowledge(outcome.position);
            answer(&outcome, lists)
        }
        Some(Err(error)) => refusal(error.into()),
        None => refusal(ApiError::Internal),
    }
}

/// A refused item tells its status beside its error, since the batch itself is accepted.
fn refusal(error: ApiError) -> Value {
    let status = actix_web::ResponseError::status_code(&error).as_u16();
    match error {
        ApiError::Invalid(issues) => {
            json!({"status": status, "error": "validation failed", "issues": issues})
        }
        error => json!({"status": status, "error": error.to_string()}),
    }
}
