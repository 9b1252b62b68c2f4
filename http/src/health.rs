//! How the system is, for people, load balancers and supervisors (HE-01..HE-05).

use actix_web::{HttpRequest, HttpResponse, web::Data};
use mainspring_projections::RunnerStatus;
use mainspring_schemas::event::access::Scope;
use serde_json::json;

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

/// `GET /v1/health`: always 200; details only for a key that may read.
pub(crate) async fn health(state: Data<AppState>, request: HttpRequest) -> HttpResponse {
    let engine = state.engine.health();
    let runner = state.read_models.status();
    let database = if engine.accepting { "up" } else { "down" };
    let stopped = stopped(&runner);
    let following = stopped.is_none();
    let in_step = json!({"applied": state.settings.build, "required": state.settings.build, "inSync": true, "pending": []});
    let mut body = json!({
        "status": if engine.accepting && following { "healthy" } else { "degraded" },
        "uptime": state.started.elapsed().as_secs(),
        "timestamp": state.engine.now(),
        "version": CONTRACT,
        "build": {"version": state.settings.build},
        "components": {
            "database": {"status": database, "latencyMs": 0},
            "redis": {"status": "up", "latencyMs": 0, "note": "not used"},
            "worker": {"status": if following { "up" } else { "down" }},
        },
        "schema": {"engine": in_step, "client": in_step},
        "activity": {"windowHours": 24, "journeys": null, "emails": null},
    });
    if require(&state, &request, Scope::Read).is_ok() {
        let position = state.read_models.position();
        body["log"] = json!({ "position": engine.log_position });
        body["projections"] = json!([{
            "name": "read-models",
            "position": position,
            "lagRecords": engine.log_position.saturating_sub(position),
            "state": if following { "following" } else { "stopped" },
        }]);
        body["contacts"] = json!({ "inMemory": engine.live_contacts });
        body["timers"] = json!({ "armed": engine.armed_timers });
        body["refusedCalls"] = json!(engine.refused_calls);
        body["identity"] = json!({
            "refusedKeys": engine.refused_keys,
            "conflicts": engine.identity_conflicts,
            "reusedIdempotencyKeys": engine.reused_keys,
        });
        body["reason"] = json!(engine.reason);
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
