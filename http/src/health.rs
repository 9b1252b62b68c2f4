//! How the system is, for people, load balancers and supervisors (HE-01..HE-05).

mod findings;
mod verdict;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use mainspring_projections::RunnerStatus;
use mainspring_schemas::{Timestamp, event::access::Scope};
use serde_json::json;

pub(crate) use self::findings::Findings;
use self::verdict::{Signs, Verdict};
use crate::{auth::require, state::AppState};

/// Version of the wire contract, not of the build (HT-01).
const CONTRACT: &str = "0.0.1";

/// Why the read models do not follow the log any more.
fn stopped(status: &RunnerStatus) -> Option<String> {
    match status {
        RunnerStatus::Failed(reason) | RunnerStatus::Retrying(reason) => Some(reason.clone()),
        RunnerStatus::Stopped => Some("they were stopped".to_owned()),
        RunnerStatus::Starting | RunnerStatus::Rebuilding { .. } | RunnerStatus::Following => None,
    }
}

/// What the read models do, in one word.
fn doing(status: &RunnerStatus) -> &'static str {
    match status {
        RunnerStatus::Starting => "starting",
        RunnerStatus::Rebuilding { .. } => "rebuilding",
        RunnerStatus::Following => "following",
        RunnerStatus::Retrying(_) => "retrying",
        RunnerStatus::Failed(_) | RunnerStatus::Stopped => "stopped",
    }
}

/// `GET /v1/health`: always 200; details only for a key that may read.
pub(crate) async fn health(state: Data<AppState>, request: HttpRequest) -> HttpResponse {
    let found = state.findings.get(&state).await;
    let engine = state.engine.health();
    let runner = state.read_models.status();
    let disk = state.background.disk();
    let ended = state.background.ended();
    let age = |since: Option<Timestamp>| since.map(|at| found.at.since(at));
    let queue = found.queue.unwrap_or_default();
    let signs = Signs {
        refusing: (!engine.accepting).then(|| engine.reason.clone().unwrap_or_default()),
        stopped: stopped(&runner),
        silent: found.queue.is_none(),
        ended,
        disk,
        timers_late: found.timers_late,
        deliveries_late: age(queue.overdue_since).unwrap_or(0),
    };
    let Verdict { degraded, warnings } = signs.verdict();
    let database = if engine.accepting { "up" } else { "down" };
    let working = signs.stopped.is_none() && signs.ended.is_empty();
    let in_step = json!({"applied": state.settings.build, "required": state.settings.build, "inSync": true, "pending": []});
    let mut body = json!({
        "status": if degraded { "degraded" } else { "healthy" },
        "uptime": state.started.elapsed().as_secs(),
        "timestamp": state.engine.now(),
        "version": CONTRACT,
        "build": {"version": state.settings.build},
        "components": {
            "database": {"status": database, "latencyMs": 0},
            "redis": {"status": "up", "latencyMs": 0, "note": "not used"},
            "worker": {"status": if working { "up" } else { "down" }},
        },
        "schema": {"engine": in_step, "client": in_step},
        "activity": {"windowHours": 24, "journeys": null, "emails": null},
    });
    if require(&state, &request, Scope::Read).is_ok() {
        let position = state.read_models.position();
        body["node"] = json!(state.settings.node);
        body["log"] = json!({
            "position": engine.log_position,
            "lastAppendMs": found.appended_ago,
            "bytes": state.background.log_bytes(),
            "diskFree": disk.map(|disk| disk.free),
        });
        body["projections"] = json!([{
            "name": "read-models",
            "position": position,
            "lagRecords": engine.log_position.saturating_sub(position),
            "lagMs": found.lag,
            "state": doing(&runner),
        }]);
        body["outbound"] = json!({
            "pending": queue.pending,
            "held": queue.held,
            "oldestPendingMs": age(queue.due_since),
            "failing": queue.failing,
        });
        body["contacts"] = json!({ "inMemory": engine.live_contacts });
        body["timers"] = json!({
            "armed": engine.armed_timers,
            "overdue": found.overdue,
            "maxLatenessMs": found.timers_late,
        });
        body["refusedCalls"] = json!(engine.refused_calls);
        body["identity"] = json!({
            "refusedKeys": engine.refused_keys,
            "conflicts": engine.identity_conflicts,
            "reusedIdempotencyKeys": engine.reused_keys,
        });
        body["reason"] = json!(engine.reason);
        body["warnings"] = json!(warnings);
    }
    HttpResponse::Ok().json(body)
}

/// `GET /v1/health/live`: the process can answer at all.
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "live": true }))
}

/// `GET /v1/health/ready`: whether requests should be sent here.
pub(crate) async fn ready(state: Data<AppState>) -> HttpResponse {
    let mut reasons = Vec::new();
    if !state.is_ready() {
        reasons.push(state.engine.health().reason.unwrap_or_else(|| "starting or stopping".to_owned()));
    }
    if let Some(reason) = stopped(&state.read_models.status()) {
        reasons.push(format!("read models stopped: {reason}"));
    }
    if reasons.is_empty() {
        HttpResponse::Ok().json(json!({ "ready": true }))
    } else {
        HttpResponse::ServiceUnavailable().json(json!({"ready": false, "reasons": reasons}))
    }
}
