//! `PUT`, `GET find` and `DELETE /v1/contacts` (DP-20..DP-28, CT-40..CT-60).

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data},
};
use mainspring_actors::api::{EngineError, Identity, UpsertCall};
use mainspring_schemas::event::{access::Scope, contact::Via};
use serde_json::json;

use crate::{
    auth::require,
    erasure,
    error::ApiError,
    headers::trace,
    json::{Members, members},
    query::Parameters,
    state::AppState,
};

fn no_identity() -> ApiError {
    ApiError::from(EngineError::NoIdentity)
}

/// `PUT /v1/contacts`.
pub(super) async fn upsert(
    state: Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    require(&state, &request, Scope::Ingest)?;
    let mut members = members(&request, &body)?;
    let mut reader = Members::new(&mut members);
    let email = reader.email("email");
    let user_id = reader.text("userId", false, 1, 512);
    let anonymous_id = reader.text("anonymousId", false, 1, 200);
    let properties = reader.properties("properties").unwrap_or_default();
    let lists = reader.lists("lists").unwrap_or_default();
    reader.issues.into_result(())?;
    let identity = Identity::new(user_id.as_deref(), email.as_deref(), anonymous_id.as_deref());
    if identity.external.is_none() && identity.email.is_none() {
        return Err(no_identity());
    }
    // Judged before any effect (HT-35, DP-24). No list is defined yet, so each id is unknown.
    if let Some((id, _)) = lists.first() {
        return Err(ApiError::BadRequest(format!("Unknown list: {id}")));
    }
    let call = UpsertCall { identity, properties, via: Via::Attached, trace: trace(request.headers()) };
    let outcome = state.engine.upsert(call).await?;
    state.acknowledge(outcome.position);
    Ok(HttpResponse::Ok().json(json!({
        "id": outcome.id,
        "created": outcome.created,
        "linked": outcome.linked,
        "merged": outcome.merged,
        "contactKey": outcome.contact_key,
    })))
}

/// `GET /v1/contacts/find`: asks the contacts themselves, so it sees what was just acknowledged.
pub(super) async fn find(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    require(&state, &request, Scope::Ingest)?;
    let mut parameters = Parameters::of(&request);
    let (user_id, email) = (parameters.key("userId", 512), parameters.key("email", 320));
    parameters.check()?;
    let identity = Identity::new(user_id.as_deref(), email.as_deref(), None);
    if identity.keys().next().is_none() {
        return Err(no_identity());
    }
    let found = state.engine.find(&identity).await?;
    let contacts: Vec<_> = found.into_iter().map(|view| view.contact).collect();
    Ok(HttpResponse::Ok().json(json!({ "contacts": contacts })))
}

/// `DELETE /v1/contacts`, keys in the body or, for proxies that drop it, in the query.
pub(super) async fn delete(
    state: Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    require(&state, &request, Scope::Ingest)?;
    let mut members = members(&request, &body)?;
    let mut reader = Members::new(&mut members);
    let email = reader.text("email", false, 0, 320);
    let user_id = reader.text("userId", false, 0, 512);
    reader.issues.into_result(())?;
    let mut parameters = Parameters::of(&request);
    let erases = erasure::wanted(&mut parameters);
    let (user_id, email) =
        (user_id.or_else(|| parameters.key("userId", 512)), email.or_else(|| parameters.key("email", 320)));
    parameters.check()?;
    let identity = Identity::new(user_id.as_deref(), email.as_deref(), None);
    if identity.keys().next().is_none() {
        return Err(no_identity());
    }
    if erases {
        require(&state, &request, Scope::FullAdmin)?;
        return erasure::answer(&state, state.engine.erase(&identity).await).await;
    }
    let deletion = state.engine.delete(&identity).await.map_err(|error| match error {
        EngineError::NotFound => ApiError::NotFound("Contact not found".to_owned()),
        error => error.into(),
    })?;
    state.acknowledge(Some(deletion.position));
    Ok(HttpResponse::Ok().json(json!({ "deleted": true })))
}
