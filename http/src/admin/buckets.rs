//! Buckets as operators see and switch them (BK-220..BK-222).

use std::collections::BTreeMap;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data, Path},
};
use mainspring_actors::{api::EngineError, bucket::BucketView};
use mainspring_projections::{BucketFigures, MemberFilter, StayStatus};
use mainspring_schemas::{
    BucketId,
    definition::{BucketDefinition, Reaction},
    event::access::Scope,
};
use serde_json::{Value, json};

use super::{reading::ask, stays::shapes};
use crate::{
    auth::require_admin,
    error::ApiError,
    json::{Members, members as body_members},
    query::Parameters,
    state::AppState,
};

/// Members shown with a bucket's details.
const RECENT: usize = 10;

pub(super) fn not_found() -> ApiError {
    ApiError::NotFound("Bucket not found".to_owned())
}

fn summary(view: &BucketView, figures: Option<&BucketFigures>) -> Value {
    let definition = &view.definition;
    let (active, left) = figures.map_or((0, 0), |figures| (figures.size, figures.left));
    let mut summary = json!({
        "id": definition.id,
        "name": definition.name,
        "enabled": view.enabled,
        "kind": definition.kind.unwrap_or_default(),
        "timeBased": definition.effective_time_based(),
        "entryLimit": definition.effective_entry_limit(),
        "counts": {"active": active, "left": left},
        "state": if view.building { "building" } else { "live" },
        "backfill": {"processed": view.processed, "total": view.total},
        "updatedAt": view.updated_at,
    });
    if let Some(description) = &definition.description {
        summary["description"] = json!(description);
    }
    summary
}

/// `GET /v1/admin/buckets`, in definition order.
pub(super) async fn list(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::Read)?;
    let mut parameters = Parameters::of(&request);
    let (limit, offset) = parameters.page();
    let enabled = parameters.boolean("enabled");
    parameters.check()?;
    let (figures, lag): (BTreeMap<BucketId, BucketFigures>, _) =
        ask(&state, |models| models.all_bucket_figures()).await?;
    let wanted = |view: &BucketView| enabled.is_none_or(|enabled| view.enabled == enabled);
    let views: Vec<BucketView> = state.engine.buckets().list().into_iter().filter(wanted).collect();
    let page = views.iter().skip(offset).take(limit);
    let buckets: Vec<Value> = page.map(|view| summary(view, figures.get(&view.definition.id))).collect();
    Ok(lag.ok().json(json!({"buckets": buckets, "total": views.len(), "limit": limit, "offset": offset})))
}

/// `GET /v1/admin/buckets/{id}`.
pub(super) async fn one(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::Read)?;
    let view = state.engine.buckets().get(&id).ok_or_else(not_found)?;
    let bucket = view.definition.id.clone();
    let ((figures, recent), lag) = ask(&state, move |models| {
        let filter = MemberFilter { bucket, status: StayStatus::Active, contact: None };
        Ok((models.bucket_figures(&filter.bucket)?, models.members(&filter, RECENT, 0)?))
    })
    .await?;
    // What only details show comes from the definition as it was written.
    let mut details = json!(view.definition);
    if let (Value::Object(details), Value::Object(summary)) = (&mut details, summary(&view, Some(&figures))) {
        details.extend(summary);
    }
    details["fastExpiry"] = json!(view.definition.fast_expiry.unwrap_or(false));
    details["syncToPostHog"] = json!(view.definition.sync_to_post_hog.unwrap_or(false));
    let reactions = view.definition.reactions.iter();
    details["feedsJourneys"] = reactions.map(|reaction| fed(&view.definition, reaction)).collect();
    details["recentMembers"] = Value::Array(shapes(&state, &recent).await);
    Ok(lag.ok().json(json!({ "bucket": details })))
}

/// What a transition of the bucket sets off: its own reactions, as the journeys they will be (BK-122, BK-227).
fn fed(definition: &BucketDefinition, reaction: &Reaction) -> Value {
    json!({
        "id": reaction.id(&definition.id),
        "name": format!("{} \u{2014} on {}", definition.name, reaction.kind()),
        "trigger": reaction.event(&definition.id),
        "sourceBucketId": definition.id,
        "owned": true,
    })
}

/// `PATCH /v1/admin/buckets/{id}`: the switch, hot (BK-200).
pub(super) async fn switch(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::JourneyAdmin)?;
    let mut members = body_members(&request, &body)?;
    let mut reader = Members::new(&mut members);
    if !reader.has("enabled") {
        reader.issues.invalid_type("enabled", "boolean", None);
    }
    let enabled = reader.boolean("enabled").unwrap_or_default();
    let enabled = reader.issues.into_result(enabled)?;
    let view = state.engine.buckets().switch(&id, enabled).await.map_err(|error| match error {
        EngineError::NotFound => not_found(),
        error => error.into(),
    })?;
    let definition = &view.definition;
    Ok(HttpResponse::Ok().json(json!({"bucket": {
        "id": definition.id, "name": definition.name, "enabled": view.enabled, "updatedAt": view.updated_at,
    }})))
}
