//! A contact's stays in buckets, all in one place (BK-229).

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use mainspring_projections::StayStatus;
use mainspring_schemas::event::access::Scope;
use serde_json::{Value, json};

use super::{contacts::named, reading::ask, stays::shapes};
use crate::{auth::require_admin, error::ApiError, query::Parameters, state::AppState};

/// `GET /v1/admin/contacts/{id}/buckets`: active and ended stays, newest first.
pub(super) async fn list(
    state: Data<AppState>,
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::Read)?;
    let mut parameters = Parameters::of(&request);
    let (limit, offset) = parameters.page();
    let status = parameters.word("status", &["active", "left"]).map(|status| match status {
        "left" => StayStatus::Left,
        _ => StayStatus::Active,
    });
    parameters.check()?;
    let contact = named(&state, &name).await?;
    let ((stays, total, names), lag) = ask(&state, move |models| {
        let stays = models.contact_stays(contact, status, limit, offset)?;
        Ok((stays, models.contact_stay_count(contact, status)?, models.bucket_names()?))
    })
    .await?;
    let mut shapes: Vec<Value> = shapes(&state, &stays).await;
    for (shape, stay) in shapes.iter_mut().zip(&stays) {
        // The name of now, also of a bucket that was retired.
        shape["bucketName"] = json!(names.get(&stay.bucket).map_or(stay.bucket.as_str(), String::as_str));
    }
    Ok(lag.ok().json(json!({"stays": shapes, "total": total, "limit": limit, "offset": offset})))
}
