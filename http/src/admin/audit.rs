//! The audit trail of the admin plane: every successful change leaves an entry before it is answered (LG-11), and
//! operators can read them (AP-84).

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
    web::Data,
};
use mainspring_actors::{
    access::Principal,
    audit::{AuditEntry, AuditFilter},
};
use mainspring_schemas::event::{access::Scope, audit::Acted};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    address, auth::require_admin, error::ApiError, headers::RequestId, json::Given, query::Parameters,
    state::AppState,
};

/// Where the admin plane begins.
pub(crate) const PLANE: &str = "/v1/admin/";

/// The end of routes that ask with a body and change nothing.
const QUESTION: &str = "/preview";

/// Path parameters that say which thing a request is about.
const IDS: [&str; 2] = ["id", "taskId"];

fn changes(request: &ServiceRequest) -> bool {
    let changing = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    request.path().starts_with(PLANE)
        && changing.contains(request.method())
        && !request.path().ends_with(QUESTION)
}

/// Writes the entry of a change that succeeded.
pub(crate) async fn audit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let changes = changes(&request);
    let response = next.call(request).await?.map_into_boxed_body();
    if !changes || !response.status().is_success() {
        return Ok(response);
    }
    let mut made = None;
    let response = response.map_body(|_, body| match body.try_into_bytes() {
        Ok(bytes) => {
            made = id_in(&bytes);
            BoxBody::new(bytes)
        }
        Err(body) => body,
    });
    let request = response.request();
    let Some(state) = request.app_data::<Data<AppState>>().cloned() else { return Ok(response) };
    let Some(acted) = acted(&state, request, made, response.status().as_u16()) else { return Ok(response) };
    // The change is durable: failing now would deny what has happened. The log of the process is the second best place.
    if let Err(error) = state.engine.audit().add(acted.clone()).await {
        tracing::error!(%error, ?acted, "a change is missing from the audit trail");
    }
    Ok(response)
}

/// The id of the thing that an answer shows.
fn id_in(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Made {
        id: String,
    }
    serde_json::from_slice::<Made>(body).ok().map(|made| made.id)
}

fn acted(state: &AppState, request: &HttpRequest, made: Option<String>, status: u16) -> Option<Acted> {
    let route = request.match_pattern()?;
    let resource = route.strip_prefix(PLANE)?.split('/').next()?.to_owned();
    let extensions = request.extensions();
    let Principal { id: key, name: actor, .. } = extensions.get::<Principal>()?.clone();
    let named = IDS.iter().find_map(|name| request.match_info().get(name)).map(str::to_owned);
    Some(Acted {
        at: state.engine.now(),
        actor,
        key,
        action: format!("{resource}.{}", request.method().as_str().to_ascii_lowercase()),
        resource,
        resource_id: named.or(made),
        route,
        fields: extensions.get::<Given>().map(|given| given.0.clone()).unwrap_or_default(),
        status,
        request_id: extensions.get::<RequestId>().map(|id| id.0.clone()),
        ip_address: address::client(request, &state.settings.trusted_proxies).map(|ip| ip.to_string()),
    })
}

fn shape(entry: &AuditEntry) -> Value {
    let AuditEntry { id, acted } = entry;
    json!({
        "id": id,
        "actor": acted.actor,
        "actorType": "key",
        "actorKeyId": acted.key,
        "action": acted.action,
        "resource": acted.resource,
        "resourceId": acted.resource_id,
        "route": acted.route,
        "detail": (!acted.fields.is_empty()).then(|| json!({ "fields": acted.fields })),
        "status": acted.status,
        "requestId": acted.request_id,
        "ipAddress": acted.ip_address,
        "createdAt": acted.at,
    })
}

/// `GET /v1/admin/audit-logs`, newest first.
pub(super) async fn list(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let mut parameters = Parameters::of(&request);
    let (limit, offset) = parameters.page();
    let text = |key: &str| parameters.text(key).map(str::to_owned);
    let (actor, resource, action) = (text("actor"), text("resource"), text("action"));
    let (from, to) = (parameters.instant("from"), parameters.instant("to"));
    parameters.check()?;
    let filter = AuditFilter { actor, resource, action, from, to };
    let page = state.engine.audit().page(&filter, limit, offset).await?;
    let logs: Vec<Value> = page.entries.iter().map(shape).collect();
    Ok(HttpResponse::Ok().json(json!({"logs": logs, "total": page.total, "limit": limit, "offset": offset})))
}
