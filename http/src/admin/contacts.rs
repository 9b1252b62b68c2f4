//! Contacts as operators see them (AP-01, AP-02, AP-05, BK-229).

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use mainspring_actors::api::{ContactView, EngineError};
use mainspring_projections::{Contact, ContactFilter, ContactOrder};
use mainspring_schemas::{BucketId, ContactId, event::access::Scope};
use serde_json::{Value, json};

use super::reading::ask;
use crate::{auth::require_admin, erasure, error::ApiError, query::Parameters, state::AppState};

pub(super) fn not_found() -> ApiError {
    ApiError::NotFound("Contact not found".to_owned())
}

fn row(contact: &Contact) -> Value {
    let mut row = json!(contact.public());
    row["anonymousId"] = json!(contact.anonymous_id);
    row["contactKey"] = json!(contact.contact_key());
    row
}

fn whole(view: &ContactView) -> Value {
    let mut whole = json!(view.contact);
    whole["anonymousId"] = json!(view.anonymous_id);
    whole["discordId"] = json!(view.discord_id);
    whole["contactKey"] = json!(view.contact_key);
    let keys = view.keys.iter().map(|key| {
        json!({"kind": key.kind, "value": key.value, "primary": key.primary, "since": key.since, "via": key.via})
    });
    whole["keys"] = keys.collect();
    whole["version"] = json!(view.version);
    whole["wakeAt"] = json!(view.wake_at);
    whole
}

/// `GET /v1/admin/contacts`.
pub(super) async fn list(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::Read)?;
    let mut parameters = Parameters::of(&request);
    let (limit, offset) = parameters.page();
    let search = parameters.text("search").map(str::to_owned);
    let bucket = parameters.text("bucket").map(BucketId::new);
    parameters.check()?;
    let bucket = match bucket {
        Some(Ok(bucket)) => Some(bucket),
        Some(Err(_)) => return Err(ApiError::NotFound("Bucket not found".to_owned())),
        None => None,
    };
    let filter = ContactFilter { search, bucket };
    let ((contacts, total), lag) = ask(&state, move |models| {
        let page = models.contacts(&filter, ContactOrder::LastSeen, limit, offset)?;
        Ok((page, models.contact_count(&filter)?))
    })
    .await?;
    let contacts: Vec<Value> = contacts.iter().map(row).collect();
    Ok(lag.ok().json(json!({"contacts": contacts, "total": total, "limit": limit, "offset": offset})))
}

/// The contact a path names, by its id or any of its keys.
pub(super) async fn named(state: &AppState, name: &str) -> Result<ContactId, ApiError> {
    state.engine.resolve(name).await?.ok_or_else(not_found)
}

/// `GET /v1/admin/contacts/{id}`: asks the contact itself.
pub(super) async fn one(
    state: Data<AppState>,
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::Read)?;
    let contact = named(&state, &name).await?;
    let view = state.engine.contact(contact).await?.ok_or_else(not_found)?;
    Ok(HttpResponse::Ok().json(json!({"contact": whole(&view), "preferences": null})))
}

/// `GET /v1/admin/contacts/{id}/buckets`: all stays, newest first.
pub(super) async fn stays(
    state: Data<AppState>,
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::Read)?;
    let contact = named(&state, &name).await?;
    let (stays, lag) = ask(&state, move |models| models.stays_of(contact)).await?;
    let stays: Vec<Value> = stays.iter().map(super::buckets::stay).collect();
    Ok(lag.ok().json(json!({ "stays": stays })))
}

/// `DELETE /v1/admin/contacts/{id}`.
pub(super) async fn delete(
    state: Data<AppState>,
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let mut parameters = Parameters::of(&request);
    let erases = erasure::wanted(&mut parameters);
    parameters.check()?;
    if erases {
        // Also one who is deleted already, whom only the id still names.
        let contact = match name.parse() {
            Ok(contact) => contact,
            Err(_) => named(&state, &name).await?,
        };
        return erasure::answer(&state, state.engine.erase_contact(contact).await).await;
    }
    let contact = named(&state, &name).await?;
    let deletion = state.engine.delete_contact(contact).await.map_err(|error| match error {
        EngineError::NotFound => not_found(),
        error => error.into(),
    })?;
    state.acknowledge(Some(deletion.position));
    Ok(HttpResponse::Ok().json(json!({ "deleted": true })))
}
