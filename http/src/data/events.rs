//! `POST /v1/events` and its batch form (DP-01..DP-15).

use std::borrow::Cow;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data},
};
use compact_str::CompactString;
use mainspring_actors::api::{EngineError, IngestOutcome};
use mainspring_schemas::{BucketId, ContactId, RecordId, Timestamp, event::access::Scope};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

use super::event_body::{EventBody, read, read_of_operator, read_plain};
use crate::{
    auth::{require, require_admin},
    error::ApiError,
    headers::trace,
    issues::Issue,
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

/// What a caller is told about an event (DP-11).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    stored: bool,
    /// Journeys that ended because of it: there are none yet.
    exits: [(); 0],
    contact_key: CompactString,
    contact_id: ContactId,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<RecordId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    buckets: Option<Transitions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<Duplicate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lists_error: Option<String>,
}

/// Buckets that changed in the same append.
#[derive(Serialize)]
struct Transitions {
    entered: Vec<BucketId>,
    left: Vec<BucketId>,
}

/// The event that a repeat repeats (IK-02).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Duplicate {
    event_id: RecordId,
    same_request: bool,
}

fn answer(outcome: IngestOutcome, lists: &[(String, bool)]) -> Answer {
    let stored = outcome.same_request.is_none();
    // No list is defined yet, so each id is unknown; the event stands all the same (DP-13).
    let unknown = lists.first().filter(|_| outcome.stored).map(|(id, _)| format!("Unknown list: {id}"));
    Answer {
        stored: outcome.stored,
        exits: [],
        contact_key: outcome.contact_key,
        contact_id: outcome.contact_id,
        event_id: stored.then_some(outcome.event_id),
        buckets: stored.then_some(Transitions { entered: outcome.entered, left: outcome.left }),
        duplicate: outcome
            .same_request
            .map(|same_request| Duplicate { event_id: outcome.event_id, same_request }),
        lists_error: unknown,
    }
}

/// `POST /v1/events`.
pub(super) async fn ingest(
    state: Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    require(&state, &request, Scope::Ingest)?;
    let taken = take_one(&state, &request, &body).await.inspect_err(|_| state.metrics.event(REFUSED))?;
    Ok(HttpResponse::Accepted().json(taken))
}

/// What became of an event that was refused, as metrics name it.
const REFUSED: &str = "refused";

/// Tells what became of an event that was taken.
fn taken(state: &AppState, outcome: IngestOutcome, lists: &[(String, bool)]) -> Answer {
    state.acknowledge(outcome.position);
    state.metrics.event(if outcome.same_request.is_none() { "acknowledged" } else { "duplicate" });
    answer(outcome, lists)
}

async fn take_one(state: &AppState, request: &HttpRequest, body: &Bytes) -> Result<Answer, ApiError> {
    let now = state.engine.now();
    let trace = trace(request.headers());
    let plain = if says_json(request) { read_plain(body, now, trace) } else { None };
    let event = match plain {
        Some(body) => body?,
        None => read(members(request, body)?, now, trace)?,
    };
    store(state, request, event).await
}

/// `POST /v1/admin/events`: an event that an operator sends by hand (IG-50).
pub(crate) async fn ingest_by_operator(
    state: Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::JourneyAdmin)?;
    let trace = trace(request.headers());
    let event = read_of_operator(members(&request, &body)?, state.engine.now(), trace)?;
    Ok(HttpResponse::Accepted().json(store(&state, &request, event).await?))
}

/// Takes an event in, and tells what became of it.
async fn store(state: &AppState, request: &HttpRequest, event: EventBody) -> Result<Answer, ApiError> {
    let EventBody { mut call, lists } = event;
    if let Some(key) = header_key(request)? {
        call.idempotency_key = Some(key);
    }
    let outcome = state.engine.ingest(call).await?;
    Ok(taken(state, outcome, &lists))
}

/// The usual batch: its events are read one by one, without a tree of the whole.
#[derive(Deserialize)]
struct Batch<'b> {
    #[serde(borrow)]
    events: Vec<&'b RawValue>,
}

/// The events of a batch as they stand in its body.
fn raw_events<'b>(
    state: &AppState,
    request: &HttpRequest,
    body: &'b Bytes,
) -> Result<Vec<Cow<'b, RawValue>>, ApiError> {
    let maximum = state.settings.max_batch;
    let plain = says_json(request).then(|| serde_json::from_slice::<Batch<'_>>(body).ok()).flatten();
    if let Some(batch) = plain.filter(|batch| (1..=maximum).contains(&batch.events.len())) {
        return Ok(batch.events.into_iter().map(Cow::Borrowed).collect());
    }
    let mut members = members(request, body)?;
    let mut reader = Members::new(&mut members);
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
    events
        .iter()
        .map(|event| serde_json::value::to_raw_value(event).map(Cow::Owned).map_err(ApiError::internal))
        .collect()
}

fn read_item(event: &RawValue, now: Timestamp, trace: Option<Uuid>) -> Result<EventBody, ApiError> {
    if let Some(body) = read_plain(event.get().as_bytes(), now, trace) {
        return body;
    }
    match serde_json::from_str(event.get()) {
        Ok(Value::Object(members)) => read(members, now, trace),
        _ => Err(ApiError::BadRequest("each event must be an object".to_owned())),
    }
}

/// What became of one event of a batch.
#[derive(Serialize)]
#[serde(untagged)]
enum Item {
    Taken(Answer),
    Refused {
        status: u16,
        error: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        issues: Vec<Issue>,
    },
}

/// `POST /v1/events/batch`: each event as if sent alone, in order per contact.
pub(super) async fn ingest_batch(
    state: Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    require(&state, &request, Scope::Ingest)?;
    let events = raw_events(&state, &request, &body)?;
    let now = state.engine.now();
    let trace = trace(request.headers());
    let mut calls = Vec::with_capacity(events.len());
    let mut results: Vec<Result<Vec<(String, bool)>, ApiError>> = Vec::with_capacity(events.len());
    for event in events {
        results.push(read_item(&event, now, trace).map(|body| {
            calls.push(body.call);
            body.lists
        }));
    }
    let mut outcomes = state.engine.ingest_batch(calls).await.into_iter();
    let mut answers = Vec::with_capacity(results.len());
    for result in results {
        answers.push(match result {
            Ok(lists) => item(&state, outcomes.next(), &lists),
            Err(error) => refusal(&state, error),
        });
    }
    Ok(HttpResponse::Accepted().json(Results { results: answers }))
}

/// One result per event, in their order.
#[derive(Serialize)]
struct Results {
    results: Vec<Item>,
}

fn item(
    state: &AppState,
    outcome: Option<Result<IngestOutcome, EngineError>>,
    lists: &[(String, bool)],
) -> Item {
    match outcome {
        Some(Ok(outcome)) => Item::Taken(taken(state, outcome, lists)),
        Some(Err(error)) => refusal(state, error.into()),
        None => refusal(state, ApiError::Internal),
    }
}

/// A refused item tells its status beside its error, since the batch itself is accepted.
fn refusal(state: &AppState, error: ApiError) -> Item {
    state.metrics.event(REFUSED);
    let status = actix_web::ResponseError::status_code(&error).as_u16();
    let text = error.to_string();
    let issues = if let ApiError::Invalid(issues) = error { issues } else { Vec::new() };
    Item::Refused { status, error: text, issues }
}
