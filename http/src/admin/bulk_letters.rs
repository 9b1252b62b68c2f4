//! Many dead letters at once (DL-05): `POST /v1/admin/dlq/retry` and `POST /v1/admin/dlq/discard`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data},
};
use mainspring_projections::{DeadLetterFilter, ReadModels};
use mainspring_schemas::{EndpointId, event::access::Scope};
use serde_json::json;

use super::{dead_letters::SOURCE, reading::ask, redelivery::caught_up};
use crate::{
    auth::require_admin,
    error::ApiError,
    json::{Members, members},
    state::AppState,
};

/// Most letters of one call: what one append holds without making others wait.
const MOST: u64 = 1_000;

/// Which letters, how many at most, and whether they are only counted.
#[derive(Debug, PartialEq)]
struct Asked {
    filter: DeadLetterFilter,
    limit: usize,
    /// Only counts.
    dry_run: bool,
    /// Whether letters of the source exist at all.
    ours: bool,
}

/// Reads a request. A member that means nothing is refused: a filter with a slip of the pen would match everything.
fn read(request: &HttpRequest, body: &Bytes, retriable: bool) -> Result<Asked, ApiError> {
    let mut members = members(request, body)?;
    let mut reader = Members::new(&mut members);
    let ours = reader.text("source", false, 1, 64).is_none_or(|source| source == SOURCE);
    let endpoint = reader.text("endpointId", false, 1, 64);
    let parsed: Option<EndpointId> = endpoint.as_deref().and_then(|id| id.parse().ok());
    if endpoint.is_some() && parsed.is_none() {
        reader.issues.invalid_format("endpointId", "uuid");
    }
    let since = reader.instant("since");
    let dry_run = reader.boolean("dryRun").unwrap_or(false);
    if !reader.has("limit") {
        reader.issues.invalid_type("limit", "number", None);
    }
    let limit = reader.integer("limit", 1, MOST).and_then(|limit| usize::try_from(limit).ok()).unwrap_or(1);
    reader.refuse_others();
    let statuses = vec!["pending".to_owned()];
    let filter =
        DeadLetterFilter { statuses, endpoint: parsed, since, retriable, ..DeadLetterFilter::default() };
    reader.issues.into_result(Asked { filter, limit, dry_run, ours })
}

/// What is done with letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Retry,
    Discard,
}

/// Does it with the oldest that match. `remaining` says how many more there are.
async fn settle(
    state: &AppState,
    request: &HttpRequest,
    body: &Bytes,
    verb: Verb,
) -> Result<HttpResponse, ApiError> {
    require_admin(state, request, Scope::FullAdmin)?;
    let Asked { filter, limit, dry_run, ours } = read(request, body, verb == Verb::Retry)?;
    let limit = if dry_run { 0 } else { limit };
    // What was settled a moment ago must not be settled again.
    caught_up(state).await?;
    let question = move |models: &ReadModels| {
        Ok((models.oldest_dead_letters(&filter, limit)?, models.dead_letter_count(&filter)?))
    };
    let (letters, matched) = if ours { ask(state, question).await?.0 } else { (Vec::new(), 0) };
    let endpoints = state.engine.endpoints();
    let done = match verb {
        Verb::Retry => endpoints.retry_letters(&letters).await?,
        Verb::Discard => endpoints.discard_letters(&letters).await?,
    };
    state.acknowledge(done.position);
    let word = if verb == Verb::Retry { "queued" } else { "discarded" };
    let remaining = matched.saturating_sub(done.settled as u64);
    Ok(HttpResponse::Ok().json(json!({word: done.settled, "remaining": remaining})))
}

/// `POST /v1/admin/dlq/retry`: delivers again what there is something left to send of and somebody to send it to.
pub(super) async fn retry(
    state: Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    settle(&state, &request, &body, Verb::Retry).await
}

/// `POST /v1/admin/dlq/discard`: puts letters away.
pub(super) async fn discard(
    state: Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    settle(&state, &request, &body, Verb::Discard).await
}
