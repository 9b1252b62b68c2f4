//! Deletion that erases (CT-74, GD-03): asked for by `?erase=true`, answered when the keys are destroyed.

use std::time::Duration;

use actix_web::HttpResponse;
use mainspring_actors::{Erased, api::EngineError};
use serde_json::json;

use crate::{error::ApiError, query::Parameters, state::AppState};

/// Whether the query asks for erasure: `erase=true`, or `mode=erase`.
pub fn wanted(parameters: &mut Parameters) -> bool {
    let by_mode = parameters.word("mode", &["erase", "delete"]) == Some("erase");
    parameters.boolean("erase").unwrap_or(false) || by_mode
}

/// The answer to an erasure: 200 once the read models have forgotten the person too, 202 if they still have to. Log,
/// snapshots and queue cannot show the person any more in either case.
///
/// # Errors
/// 404 if there is no such contact, 409 if its history is not sealed, and what any write may say.
pub async fn answer(state: &AppState, erased: Result<Erased, EngineError>) -> Result<HttpResponse, ApiError> {
    let erased = erased.map_err(|error| match error {
        EngineError::NotFound => ApiError::NotFound("Contact not found".to_owned()),
        error => error.into(),
    })?;
    state.acknowledge(erased.position);
    let patience = Duration::from_millis(state.settings.patience_ms);
    let forgotten = match erased.position {
        Some(position) => state.read_models.wait_for(position + 1, patience).await,
        None => true,
    };
    let mut response = if forgotten { HttpResponse::Ok() } else { HttpResponse::Accepted() };
    Ok(response.json(json!({
        "deleted": true, "erased": true, "contactId": erased.contact, "formerContacts": erased.former,
    })))
}
