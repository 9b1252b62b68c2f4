//! Inbound webhook sources as operators see them (WS-98, WS-99).

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data, Path},
};
use mainspring_schemas::event::access::Scope;
use serde_json::{Value, json};

use crate::{
    auth::require_admin,
    error::ApiError,
    json::{Members, members},
    sources::{
        headers::Headers,
        mounted,
        source::{Meaning, Refusal, Source},
        verify::{Request, Verified},
    },
    state::AppState,
};

/// `GET /v1/admin/webhook-sources`.
pub(super) async fn list(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let now = state.engine.now();
    let mounted = mounted::all(&state.settings.sources, &state.engine).await?;
    let sources: Vec<Value> = mounted
        .iter()
        .map(|mounted| {
            let source = mounted.source;
            let mut shown = json!(source.statistics.figures(now));
            let about = json!({
                "id": source.id, "name": source.name, "variant": source.auth.variant(),
                "scheme": source.auth.scheme_name(), "path": format!("/v1/webhooks/{}", source.id),
                "envKey": source.auth.env(), "secretConfigured": mounted.secrets().is_some(),
                "open": mounted.is_open(),
            });
            if let (Value::Object(shown), Value::Object(about)) = (&mut shown, about) {
                shown.extend(about);
            }
            shown
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({ "sources": sources })))
}

/// `POST /v1/admin/webhook-sources/{id}/preview`: what a payload would mean. Nothing is verified, nothing ingested.
pub(super) async fn preview(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let unknown = || ApiError::NotFound("Unknown webhook source".to_owned());
    let mounted = mounted::find(&state.settings.sources, &state.engine, &id).await?.ok_or_else(unknown)?;
    let mut members = members(&request, &body)?;
    let mut reader = Members::new(&mut members);
    let payload = reader.take("body");
    if payload.is_none() {
        reader.issues.invalid_type("body", "object", None);
    }
    let given = reader.properties("headers").unwrap_or_default();
    let mut pairs = Vec::with_capacity(given.len());
    for (name, value) in &given {
        match value {
            Value::String(value) => pairs.push((name.as_str(), value.as_str())),
            other => reader.issues.invalid_type("headers", "string", Some(other)),
        }
    }
    reader.issues.into_result(())?;
    // A text is the body as it would be sent.
    let body = match payload {
        Some(Value::String(text)) => text,
        payload => payload.unwrap_or_default().to_string(),
    };
    let headers: Headers = pairs.into_iter().collect();
    let callback = Request { headers: &headers, body: body.as_bytes(), now: state.engine.now() };
    Ok(HttpResponse::Ok().json(meaning(mounted.source, callback)))
}

fn meaning(source: &Source, callback: Request<'_>) -> Value {
    match source.interpret(callback, &Verified::default()) {
        Ok(Meaning::Event(event)) => json!({"shape": "ok", "event": event}),
        Ok(Meaning::Skipped(why)) => json!({"shape": "ok", "skipped": true, "reason": why}),
        Err(Refusal::Mismatch(mismatch)) => json!({ "shape": mismatch }),
        Err(refusal) => json!({"shape": {"formErrors": [refusal.reason()], "fieldErrors": {}}}),
    }
}
