//! API keys (AP-80..AP-83).

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data, Path},
};
use mainspring_actors::{
    access::{KeyInfo, NewKey},
    api::EngineError,
};
use mainspring_schemas::event::access::Scope;
use serde_json::{Value, json};

use super::reading::uuid;
use crate::{
    auth::require_admin,
    error::ApiError,
    json::{Members, members},
    query::Parameters,
    state::AppState,
};

fn shape(key: &KeyInfo) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "keyPrefix": key.prefix,
        "scopes": key.scopes,
        "createdBy": key.created_by,
        "lastUsedAt": key.last_used_at,
        "revokedAt": key.revoked_at,
        "expiresAt": key.expires_at,
        "createdAt": key.created_at,
    })
}

/// `GET /v1/admin/api-keys`, newest first.
pub(super) async fn list(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let mut parameters = Parameters::of(&request);
    let (limit, offset) = parameters.page();
    let include_revoked = parameters.boolean("includeRevoked").unwrap_or(false);
    parameters.check()?;
    let keys = state.engine.keys().list(include_revoked);
    let page: Vec<Value> = keys.iter().skip(offset).take(limit).map(shape).collect();
    Ok(HttpResponse::Ok().json(json!({"keys": page, "total": keys.len(), "limit": limit, "offset": offset})))
}

fn read_scopes(reader: &mut Members<'_>) -> Vec<Scope> {
    let Some(words) = reader.texts("scopes", false) else { return vec![Scope::Read] };
    let mut scopes = Vec::with_capacity(words.len());
    for word in words {
        match Scope::ALL.into_iter().find(|scope| scope.as_str() == word) {
            Some(scope) if scopes.contains(&scope) => {}
            Some(scope) => scopes.push(scope),
            None => reader.issues.invalid_value("scopes", &Scope::ALL.map(Scope::as_str)),
        }
    }
    scopes
}

/// `POST /v1/admin/api-keys`: the one answer that shows the key.
pub(super) async fn create(
    state: Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let principal = require_admin(&state, &request, Scope::FullAdmin)?;
    let mut members = members(&request, &body)?;
    let mut reader = Members::new(&mut members);
    let name = reader.text("name", true, 1, 100).unwrap_or_default();
    let scopes = read_scopes(&mut reader);
    let expires_at = reader.instant("expiresAt");
    reader.issues.into_result(())?;
    if scopes.iter().any(|scope| !principal.allows(*scope)) {
        return Err(ApiError::Forbidden);
    }
    let new = NewKey { name, scopes, expires_at, created_by: Some(principal.name) };
    let created = state.engine.keys().create(new).await?;
    let info = &created.info;
    Ok(HttpResponse::Created().json(json!({
        "id": info.id,
        "name": info.name,
        "key": created.key,
        "keyPrefix": info.prefix,
        "scopes": info.scopes,
        "expiresAt": info.expires_at,
        "createdAt": info.created_at,
    })))
}

/// `GET /v1/admin/api-keys/self`: who the caller is.
pub(super) async fn own(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let principal = require_admin(&state, &request, Scope::Read)?;
    let answer =
        json!({"actor": "api-key", "id": principal.id, "name": principal.name, "scopes": principal.scopes});
    Ok(HttpResponse::Ok().json(answer))
}

/// `DELETE /v1/admin/api-keys/{id}`, effective at once (AU-10).
pub(super) async fn revoke(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    state.engine.keys().revoke(uuid(&id)?).await.map_err(|error| match error {
        EngineError::NotFound => ApiError::NotFound("API key not found or already revoked".to_owned()),
        error => error.into(),
    })?;
    Ok(HttpResponse::Ok().json(json!({ "revoked": true })))
}
