//! Redirect identity: a page that a tracked link led to learns who followed it (TK-01..TK-22).
//!
//! If an analytics provider is told of anything, it learns once per token that the caller's own session is the subject's
//! (TK-13, TK-15). The answer depends on the token only and does not wait for it (TK-14).

mod token;
mod used;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Bytes, Data},
};
use mainspring_actors::{Engine, api::Subject};
use mainspring_schemas::ContactId;
use serde_json::json;

pub use token::{Claims, IV_LEN, LIFE_SECONDS, TokenKeys};
pub(crate) use used::UsedTokens;

use crate::{
    auth::Plane,
    error::ApiError,
    json::{Members, members},
    server::{elsewhere, resource},
    state::AppState,
};

/// Registers the routes below `/v1/t`.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(resource("/v1/t/identify", Plane::Open, "POST").route(web::post().to(exchange)))
        .service(elsewhere("/v1/t", Plane::Open));
}

/// `POST /v1/t/identify` (TK-12).
async fn exchange(
    state: Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let mut members = members(&request, &body)?;
    let mut reader = Members::new(&mut members);
    let token = reader.text("token", true, 1, 2048).unwrap_or_default();
    let session = reader.text("currentDistinctId", false, 1, 200);
    reader.issues.into_result(())?;
    let now = state.engine.now().0.div_euclid(1000);
    let Some(claims) = state.settings.token_keys.open(&token, now) else { return Ok(refusal()) };
    let distinct_id = match state.engine.subject(&claims.distinct_id).await? {
        Subject::Known { contact, contact_key } => {
            if let Some(session) = session
                && state.engine.tells_analytics()
                && state.used_tokens.take(&token, now)
            {
                actix_web::rt::spawn(absorb(state.engine.clone(), contact, session));
            }
            contact_key.into()
        }
        Subject::Unknown => claims.distinct_id,
        Subject::Deleted => return Ok(refusal()),
    };
    let mut answer = json!({"distinctId": distinct_id, "src": claims.source});
    if let Some(id) = claims.email_send_id {
        answer["emailSendId"] = id.into();
    }
    Ok(HttpResponse::Ok().json(answer))
}

/// Has analytics told whose session it is. Nobody waits for it (TK-13).
async fn absorb(engine: Engine, contact: ContactId, session: String) {
    match engine.absorb_session(contact, &session).await {
        Ok(Some(_)) => tracing::info!(%contact, reason = "click_identify", "identity.merge.emitted"),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(%contact, reason = "click_identify", %error, "identity.merge.failed");
        }
    }
}

/// Not a word about why.
fn refusal() -> HttpResponse {
    HttpResponse::BadRequest().finish()
}
