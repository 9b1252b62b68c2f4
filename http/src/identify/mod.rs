//! Redirect identity: a page that a tracked link led to learns who followed it (TK-01..TK-22).
//!
//! The caller's own id is checked and otherwise left alone: only an analytics provider could fold it into the subject,
//! and there is none (AA-10). Nothing is written to a contact, and the answer depends on the token only (TK-14).

mod token;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Bytes, Data},
};
use mainspring_actors::api::Subject;
use serde_json::json;

pub use token::{Claims, IV_LEN, LIFE_SECONDS, TokenKeys};

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
    reader.text("currentDistinctId", false, 1, 200);
    reader.issues.into_result(())?;
    let now = state.engine.now().0.div_euclid(1000);
    let Some(claims) = state.settings.token_keys.open(&token, now) else { return Ok(refusal()) };
    let distinct_id = match state.engine.subject(&claims.distinct_id).await? {
        Subject::Known { contact_key, .. } => contact_key.into(),
        Subject::Unknown => claims.distinct_id,
        Subject::Deleted => return Ok(refusal()),
    };
    let mut answer = json!({"distinctId": distinct_id, "src": claims.source});
    if let Some(id) = claims.email_send_id {
        answer["emailSendId"] = id.into();
    }
    Ok(HttpResponse::Ok().json(answer))
}

/// Not a word about why.
fn refusal() -> HttpResponse {
    HttpResponse::BadRequest().finish()
}
