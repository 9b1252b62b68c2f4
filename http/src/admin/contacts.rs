//! Contacts as operators see and change them (CT-80..CT-85, AP-01..AP-05, AP-08, BK-229).

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data, Path},
};
use mainspring_actors::api::{ContactView, EditCall, EngineError, Identity, TimelineEvent, UpsertCall};
use mainspring_projections::{Contact, ContactFilter, ContactKey, ContactOrder, ProjectionError};
use mainspring_schemas::{
    BucketId, ContactId,
    event::{access::Scope, contact::Via},
};
use serde_json::{Value, json};

use super::reading::ask;
use crate::{
    auth::require_admin,
    erasure,
    error::ApiError,
    headers::trace,
    json::{Members, members},
    query::Parameters,
    state::AppState,
};

/// Kinds of entries of a timeline (CT-85).
const TIMELINE_KINDS: [&str; 3] = ["event", "journey", "email"];

pub(super) fn not_found() -> ApiError {
    ApiError::NotFound("Contact not found".to_owned())
}

fn of_engine(error: EngineError) -> ApiError {
    match error {
        EngineError::NotFound => not_found(),
        error => error.into(),
    }
}

/// A contact of a list, with its keys (CT-05).
fn row(contact: &Contact, keys: &[ContactKey]) -> Value {
    let mut row = json!(contact.public());
    row["anonymousId"] = json!(contact.anonymous_id);
    row["discordId"] = json!(contact.discord_id);
    row["timezone"] = Value::Null;
    row["contactKey"] = json!(contact.contact_key());
    let keys = keys.iter().map(|key| {
        json!({"kind": key.kind, "value": key.value, "primary": key.primary, "since": key.since, "via": key.via})
    });
    row["keys"] = keys.collect();
    row
}

fn whole(view: &ContactView) -> Value {
    let mut whole = json!(view.contact);
    whole["anonymousId"] = json!(view.anonymous_id);
    whole["discordId"] = json!(view.discord_id);
    // Analytics knows it (CT-10), but is only told, never asked.
    whole["timezone"] = Value::Null;
    whole["contactKey"] = json!(view.contact_key);
    let keys = view.keys.iter().map(|key| {
        json!({"kind": key.kind, "value": key.value, "primary": key.primary, "since": key.since, "via": key.via})
    });
    whole["keys"] = keys.collect();
    let conflicts = view.conflicts.iter().map(|(kind, other)| json!({"kind": kind, "otherContactId": other}));
    whole["conflicts"] = conflicts.collect();
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
        let rows: Result<Vec<Value>, ProjectionError> =
            page.iter().map(|contact| Ok(row(contact, &models.contact_keys(contact.id)?))).collect();
        Ok((rows?, models.contact_count(&filter)?))
    })
    .await?;
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

/// A contact after a change, with everything an operator may see.
async fn changed(state: &AppState, contact: ContactId) -> Result<Value, ApiError> {
    let view = state.engine.contact(contact).await?.ok_or_else(not_found)?;
    Ok(json!({ "contact": whole(&view) }))
}

/// `POST /v1/admin/contacts`: creates, or changes whom the keys name; 201 either way (CT-82).
pub(super) async fn create(
    state: Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let mut members = members(&request, &body)?;
    let mut reader = Members::new(&mut members);
    let external_id = reader.text("externalId", false, 1, 512);
    let email = reader.email("email");
    let properties = reader.properties("properties").unwrap_or_default();
    let identity = Identity::new(external_id.as_deref(), email.as_deref(), None);
    if reader.issues.0.is_empty() && identity.keys().next().is_none() {
        reader.issues.custom("", "Provide at least one of externalId or email");
    }
    reader.issues.into_result(())?;
    let call = UpsertCall { identity, properties, via: Via::Attached, trace: trace(request.headers()) };
    let outcome = state.engine.upsert(call).await?;
    state.acknowledge(outcome.position);
    Ok(HttpResponse::Created().json(changed(&state, outcome.id).await?))
}

/// `PATCH /v1/admin/contacts/{id}`: changes that contact and no other (CT-83).
pub(super) async fn edit(
    state: Data<AppState>,
    request: HttpRequest,
    name: Path<String>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let mut parameters = Parameters::of(&request);
    let merge = parameters.boolean("merge").unwrap_or(false);
    parameters.check()?;
    let mut members = members(&request, &body)?;
    let mut reader = Members::new(&mut members);
    let email = reader.email("email");
    let properties = reader.properties("properties").unwrap_or_default();
    reader.issues.into_result(())?;
    let contact = named(&state, &name).await?;
    let Identity { email, .. } = Identity::new(None, email.as_deref(), None);
    let call = EditCall { contact, email, properties, merge, trace: trace(request.headers()) };
    let outcome = state.engine.edit(call).await.map_err(of_engine)?;
    state.acknowledge(outcome.position);
    Ok(HttpResponse::Ok().json(changed(&state, outcome.id).await?))
}

fn entry(event: TimelineEvent) -> Value {
    let data = json!({
        "id": event.id, "event": event.name, "properties": event.properties, "source": event.source.as_str(),
    });
    json!({"type": "event", "timestamp": event.at, "data": data})
}

/// `GET /v1/admin/contacts/{id}/timeline`: events so far; nothing makes entries of the other kinds yet.
pub(super) async fn timeline(
    state: Data<AppState>,
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::Read)?;
    let mut parameters = Parameters::of(&request);
    let (limit, offset) = parameters.page();
    let kind = parameters.word("type", &TIMELINE_KINDS);
    parameters.check()?;
    let contact = named(&state, &name).await?;
    let timeline = state.engine.timeline(contact, limit, offset).await?.ok_or_else(not_found)?;
    let shows_events = kind.is_none_or(|kind| kind == "event");
    let (entries, total) = if shows_events {
        (timeline.events.into_iter().map(entry).collect(), timeline.total)
    } else {
        (Vec::new(), 0)
    };
    let page = json!({"timeline": entries, "total": total, "limit": limit, "offset": offset});
    Ok(HttpResponse::Ok().json(page))
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
        let contact = state.engine.to_erase(&name).await?.ok_or_else(not_found)?;
        return erasure::answer(&state, state.engine.erase_contact(contact).await).await;
    }
    let contact = named(&state, &name).await?;
    let deletion = state.engine.delete_contact(contact).await.map_err(of_engine)?;
    state.acknowledge(Some(deletion.position));
    Ok(HttpResponse::Ok().json(json!({ "deleted": true })))
}

/// `POST /v1/admin/contacts/{id}/restore`: undoes a deletion, by the contact's id or a key it had (GD-02).
pub(super) async fn restore(
    state: Data<AppState>,
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let contact = state.engine.deleted(&name).await?.ok_or_else(not_found)?;
    let restored = state.engine.restore(contact).await.map_err(of_engine)?;
    state.acknowledge(Some(restored.position));
    let mut answer = changed(&state, restored.contact).await?;
    let lost = restored.lost_keys.iter().map(|key| json!({"kind": key.kind, "value": key.value}));
    answer["lostKeys"] = lost.collect();
    answer["buckets"] = json!(restored.entered);
    Ok(HttpResponse::Ok().json(answer))
}
