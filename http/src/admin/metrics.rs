//! Numbers over everything (AP-60, BK-224..BK-226).

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use mainspring_projections::{Period, PeriodPoint};
use mainspring_schemas::{Timestamp, event::access::Scope};
use serde_json::{Value, json};

use super::reading::ask;
use crate::{auth::require_admin, error::ApiError, query::Parameters, state::AppState};

/// The span of a series if none is asked for, in milliseconds.
const THIRTY_DAYS: i64 = 30 * 24 * 3_600_000;

/// `GET /v1/admin/metrics/overview`. What does not exist yet counts nothing.
pub(super) async fn overview(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::Read)?;
    let ((contacts, overview), lag) =
        ask(&state, |models| Ok((models.contact_total()?, models.bucket_overview()?))).await?;
    Ok(lag.ok().json(json!({
        "totalContacts": contacts,
        "activeJourneys": 0,
        "activeBuckets": overview.active_buckets,
        "bucketMembers": overview.bucket_members,
        "emailsSent24h": 0,
        "emailsSent7d": 0,
        "emailsSent30d": 0,
        "bounceRate30d": 0,
        "unsubscribeRate": 0,
    })))
}

/// `GET /v1/admin/metrics/buckets`.
pub(super) async fn buckets(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::Read)?;
    let (figures, lag) = ask(&state, |models| models.all_bucket_figures()).await?;
    let now = state.engine.now();
    let rows = state.engine.buckets().list().into_iter().map(|view| {
        let figures = figures.get(&view.definition.id);
        json!({
            "bucketId": view.definition.id,
            "name": view.definition.name,
            "size": figures.map_or(0, |figures| figures.size),
            "entered": figures.map_or(0, |figures| figures.entered),
            "left": figures.map_or(0, |figures| figures.left),
            "avgDwellSecs": figures.and_then(|figures| figures.avg_dwell_secs(now)),
        })
    });
    Ok(lag.ok().json(json!({ "buckets": rows.collect::<Vec<Value>>() })))
}

fn point(point: &PeriodPoint) -> Value {
    // The form clients parse: `2026-06-03 00:00:00+00`.
    let start = point.start.to_string();
    let date = start.get(..10).unwrap_or_default();
    json!({"date": format!("{date} 00:00:00+00"), "entered": point.entered, "left": point.left})
}

/// `GET /v1/admin/metrics/buckets/{id}`.
pub(super) async fn bucket(
    state: Data<AppState>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::Read)?;
    let mut parameters = Parameters::of(&request);
    let period = match parameters.word("period", &["day", "week", "month"]) {
        Some("week") => Period::Week,
        Some("month") => Period::Month,
        _ => Period::Day,
    };
    let now: Timestamp = state.engine.now();
    let to = parameters.instant("to").unwrap_or(now);
    let from = parameters.instant("from").unwrap_or_else(|| to.plus(-THIRTY_DAYS));
    parameters.check()?;
    let bucket = state.engine.buckets().get(&id).ok_or_else(super::buckets::not_found)?.definition.id.clone();
    let shown = bucket.clone();
    let ((figures, points), lag) = ask(&state, move |models| {
        Ok((models.bucket_figures(&bucket)?, models.bucket_points(&bucket, period, from, to)?))
    })
    .await?;
    let points: Vec<Value> = points.iter().map(point).collect();
    Ok(lag.ok().json(json!({"bucketId": shown, "size": figures.size, "points": points})))
}
