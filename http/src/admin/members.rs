//! Members of a bucket as operators see them (BK-210, BK-211, BK-223).

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use mainspring_actors::bucket::BucketView;
use mainspring_projections::{MemberCursor, MemberFilter, PageSize, StayStatus};
use mainspring_schemas::event::access::Scope;
use serde_json::json;

use super::{buckets::not_found, reading::ask, stays::shapes};
use crate::{auth::require_admin, error::ApiError, query::Parameters, state::AppState};

/// Longest key a caller can name somebody by, in characters (HT-53).
const LONGEST_KEY: u64 = 512;

fn named(state: &AppState, id: &str) -> Result<BucketView, ApiError> {
    state.engine.buckets().get(id).ok_or_else(not_found)
}

/// `GET /v1/admin/buckets/{id}/members`: newest first by `offset`, or in the order of ids by `cursor`.
pub(super) async fn list(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::Read)?;
    let parameters = Parameters::of(&request);
    if parameters.has("cursor") {
        by_cursor(&state, parameters, &id).await
    } else {
        by_offset(&state, parameters, &id).await
    }
}

async fn by_offset(
    state: &Data<AppState>,
    mut parameters: Parameters,
    id: &str,
) -> Result<HttpResponse, ApiError> {
    let (limit, offset) = parameters.page();
    let status = match parameters.word("status", &["active", "left"]) {
        Some("left") => StayStatus::Left,
        _ => StayStatus::Active,
    };
    let user = parameters.key("userId", LONGEST_KEY);
    parameters.check()?;
    let bucket = named(state, id)?.definition.id.clone();
    let contact = match user {
        None => None,
        Some(user) => match state.engine.resolve(&user).await? {
            Some(contact) => Some(contact),
            None => {
                let nobody = json!({"members": [], "total": 0, "limit": limit, "offset": offset});
                return Ok(HttpResponse::Ok().json(nobody));
            }
        },
    };
    let filter = MemberFilter { bucket, status, contact };
    let ((stays, total), lag) = ask(state, move |models| {
        Ok((models.members(&filter, limit, offset)?, models.member_count(&filter)?))
    })
    .await?;
    let members = shapes(state, &stays).await;
    Ok(lag.ok().json(json!({"members": members, "total": total, "limit": limit, "offset": offset})))
}

/// Active members, stable under whatever joins and leaves between two pages (BK-211, HT-62). An empty cursor begins.
async fn by_cursor(
    state: &Data<AppState>,
    mut parameters: Parameters,
    id: &str,
) -> Result<HttpResponse, ApiError> {
    let (limit, _) = parameters.page();
    for key in ["offset", "status", "userId"] {
        if parameters.has(key) {
            parameters.issues.custom(key, "cannot be combined with cursor");
        }
    }
    let after = match parameters.text("cursor").map(str::parse::<MemberCursor>) {
        None => None,
        Some(Ok(cursor)) => Some(cursor),
        Some(Err(_)) => {
            parameters.issues.invalid_format("cursor", "cursor");
            None
        }
    };
    parameters.check()?;
    let bucket = named(state, id)?.definition.id.clone();
    let size = PageSize::new(limit).unwrap_or_default();
    let (page, lag) = ask(state, move |models| models.bucket_members(&bucket).page(after, size)).await?;
    let members = shapes(state, &page.members).await;
    let next = page.cursor.map(|cursor| cursor.to_string());
    Ok(lag.ok().json(json!({"members": members, "count": page.count, "limit": limit, "nextCursor": next})))
}

/// `GET /v1/admin/buckets/{id}/members/{userId}`: whether somebody is a member, by any key; the contact itself answers.
/// Nobody by that key is no member (BK-210).
pub(super) async fn one(
    state: Data<AppState>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::Read)?;
    let (id, user) = path.into_inner();
    let bucket = named(&state, &id)?.definition.id.clone();
    let view = match state.engine.resolve(&user).await? {
        Some(contact) => state.engine.contact(contact).await?,
        None => None,
    };
    let stay = view.and_then(|view| view.stays.into_iter().find(|stay| stay.bucket == bucket));
    let Some(stay) = stay.map(|stay| stay.stay) else {
        return Ok(HttpResponse::Ok().json(json!({ "member": false })));
    };
    let (row, lag) = ask(&state, move |models| models.stay(stay)).await?;
    // Without a row the read models have to catch up, and the contact's word is enough. A row that has ended is newer.
    let member = row.as_ref().is_none_or(|row| row.status == StayStatus::Active);
    let mut answer = json!({ "member": member });
    if let Some(row) = row.filter(|_| member) {
        answer["stay"] = json!(shapes(&state, &[row]).await.pop());
    }
    Ok(lag.ok().json(answer))
}
