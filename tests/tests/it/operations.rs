//! What operators see of a running server: health, metrics, and who changed what.

use serde_json::{Value, json};

use crate::{
    binary,
    http::Request,
    receiver::Receiver,
    server::{ADMIN, Server, Site, eventually},
};

async fn told(server: &Server, user: &str) {
    server.put("/v1/contacts", &json!({"userId": user, "properties": {"n": 1}})).await.expect(200);
}

async fn key(server: &Server, scopes: &[&str]) -> String {
    let body = json!({"name": "one of the tests", "scopes": scopes});
    server.post("/v1/admin/api-keys", &body).await.expect(201)["key"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn he_04_health_tells_of_log_queue_timers_and_disk() {
    let receiver = Receiver::with(|_| 500).await;
    let server = Site::new(&[]).start();
    server.subscribe(&receiver.url(), &["contact.*"]).await;
    told(&server, "u1").await;
    let health = async || server.get("/v1/health").await.expect(200);
    eventually("the endpoint is known to fail", async || health().await["outbound"]["failing"] == 1).await;
    let shown = health().await;
    assert_eq!(shown["outbound"]["pending"], 1);
    assert_eq!(shown["outbound"]["held"], 0);
    assert!(shown["outbound"].get("oldestPendingMs").is_some());
    for figure in ["position", "lastAppendMs", "bytes", "diskFree"] {
        assert!(shown["log"][figure].is_u64(), "{figure}: {shown}");
    }
    assert!(shown["log"]["bytes"].as_u64() > Some(0) && shown["log"]["diskFree"].as_u64() > Some(0));
    let models = &shown["projections"][0];
    assert_eq!(models["state"], "following");
    assert!(models["lagRecords"].is_u64() && models["lagMs"].is_i64(), "{models}");
    assert!(shown["timers"]["armed"].is_u64() && shown["timers"]["maxLatenessMs"].is_i64());
    assert_eq!(shown["timers"]["overdue"], 0);
    assert!(shown["warnings"].is_array() && shown["node"].is_string());
    assert_eq!(shown["components"]["worker"]["status"], "up");
    let open = server.send(Request::new("GET", "/v1/health")).await.expect(200);
    for detail in ["log", "outbound", "timers", "projections", "warnings", "node"] {
        assert!(open.get(detail).is_none(), "{detail} is nobody's business");
    }
    server.stop();
}

async fn metrics(server: &Server, key: &str) -> (u16, String) {
    let answer = server.send(Request::new("GET", "/metrics").key(key)).await;
    (answer.status(), String::from_utf8(answer.body.clone()).unwrap())
}

fn figure(text: &str, line: &str) -> Option<f64> {
    text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn he_06_ob_153_ws_97_metrics_for_those_who_may_read_them() {
    let receiver = Receiver::start().await;
    let site = Site::new(&[])
        .with("METRICS_TOKEN", "token-of-the-scraper")
        .with("STRIPE_WEBHOOK_SECRET", "whsec_of_the_tests");
    let server = site.start();
    server.subscribe(&receiver.url(), &["contact.*"]).await;
    told(&server, "somebody@example.com").await;
    let event = json!({"name": "x", "userId": "u1", "idempotencyKey": "k"});
    for _ in 0..2 {
        server.post("/v1/events", &event).await.expect(202);
    }
    server.post("/v1/events", &json!({"name": ""})).await.expect(400);
    server.send(Request::new("POST", "/v1/webhooks/stripe").body("{}")).await.expect(401);
    let text = async || metrics(&server, "token-of-the-scraper").await.1;
    let delivered = r#"mainspring_delivery_attempts_total{kind="webhook",result="delivered",class="none"}"#;
    eventually("the attempt is counted", async || figure(&text().await, delivered) == Some(1.0)).await;
    let shown = text().await;
    for (line, expected) in [
        (r#"mainspring_events_total{outcome="acknowledged"}"#, 1.0),
        (r#"mainspring_events_total{outcome="duplicate"}"#, 1.0),
        (r#"mainspring_events_total{outcome="refused"}"#, 1.0),
        (
            r#"mainspring_http_request_duration_seconds_count{method="POST",route="/v1/events",status="202"}"#,
            2.0,
        ),
        (r#"mainspring_delivery_attempt_duration_seconds_count{kind="webhook"}"#, 1.0),
        ("mainspring_deliveries_pending", 0.0),
        ("mainspring_endpoints_failing", 0.0),
        (r#"mainspring_source_requests_total{source="stripe",outcome="received"}"#, 1.0),
        (r#"mainspring_source_answers_total{source="stripe"}"#, 1.0),
        ("mainspring_accepting", 1.0),
    ] {
        assert_eq!(figure(&shown, line), Some(expected), "{line} in\n{shown}");
    }
    assert!(figure(&shown, "mainspring_log_bytes") > Some(0.0));
    assert!(shown.contains(r#"mainspring_source_rejected_total{source="stripe",reason="#), "{shown}");
    assert!(!shown.contains("somebody") && !shown.contains("127.0.0.1"), "LG-03");

    let read = key(&server, &["read"]).await;
    let ingest = key(&server, &["ingest"]).await;
    assert_eq!(metrics(&server, &read).await.0, 200);
    assert_eq!(metrics(&server, &ingest).await.0, 403);
    assert_eq!(metrics(&server, "anything").await.0, 401);
    server.send(Request::new("GET", "/metrics")).await.expect(401);
    let elsewhere = Request::new("GET", "/v1/admin/contacts").key("token-of-the-scraper");
    server.send(elsewhere).await.expect(401);
    server.stop();
}

async fn trail(server: &Server, query: &str) -> Vec<Value> {
    server.all(&format!("/v1/admin/audit-logs{query}"), "logs").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lg_11_ap_84_every_change_on_the_admin_plane_leaves_an_entry() {
    let receiver = Receiver::start().await;
    let site = Site::new(&[]);
    let server = site.start();
    let endpoint = server.subscribe(&receiver.url(), &["contact.*"]).await;
    let id = endpoint["id"].as_str().unwrap();
    let path = format!("/v1/admin/webhooks/{id}");
    let patch = Request::new("PATCH", &path).key(ADMIN).header("x-request-id", "the-patch");
    server.send(patch.json(&json!({"description": "secret plan", "disabled": true}))).await.expect(200);
    server.patch(&path, &json!({"rateLimit": "no number"})).await.expect(400);
    server.get(&path).await.expect(200);
    let admin = key(&server, &["full-admin"]).await;
    let rotate = Request::new("POST", &format!("{path}/rotate-secret")).key(&admin).json(&json!({}));
    server.send(rotate).await.expect(200);
    server.delete(&path).await.expect(200);

    let logs = trail(&server, "").await;
    let actions: Vec<&str> = logs.iter().map(|log| log["action"].as_str().unwrap()).collect();
    let expected = ["webhooks.delete", "webhooks.post", "api-keys.post", "webhooks.patch", "webhooks.post"];
    assert_eq!(actions, expected, "newest first, and only what changed something");
    let [_, rotated, key_made, patched, made] = &logs[..] else { panic!("{logs:?}") };
    assert_eq!((&made["resourceId"], &made["status"]), (&json!(id), &json!(201)), "of what was made, too");
    assert_eq!((&made["actor"], &made["actorKeyId"]), (&json!("legacy"), &json!(null)));
    assert_eq!(patched["detail"], json!({"fields": ["description", "disabled"]}));
    assert_eq!((&patched["requestId"], &patched["resourceId"]), (&json!("the-patch"), &json!(id)));
    assert_eq!((&patched["ipAddress"], &patched["resource"]), (&json!("127.0.0.1"), &json!("webhooks")));
    assert_eq!(rotated["actor"], "one of the tests");
    assert_eq!(rotated["actorKeyId"], key_made["resourceId"], "whose key it was");
    assert_eq!(rotated["route"], "/v1/admin/webhooks/{id}/rotate-secret");
    assert!(logs.iter().all(|log| log["requestId"].is_string() && log["id"].is_string()));
    let text = json!(logs).to_string();
    assert!(!text.contains("secret plan") && !text.contains("whsec_") && !text.contains("hsk_"));

    let count = async |query: &str| trail(&server, query).await.len();
    assert_eq!(count("?action=webhooks.post").await, 2);
    assert_eq!(count("?resource=api-keys").await, 1);
    assert_eq!(count("?actor=legacy").await, 4);
    let at = patched["createdAt"].as_str().unwrap();
    assert_eq!(count(&format!("?from={at}")).await + count(&format!("?to={at}")).await, 5 + 1);
    let page = server.get("/v1/admin/audit-logs?limit=2&offset=3").await.expect(200);
    assert_eq!((&page["total"], &page["logs"]), (&json!(5), &json!(logs[3..])));
    server.get("/v1/admin/audit-logs?from=yesterday").await.expect(400);
    let read = key(&server, &["read"]).await;
    server.send(Request::new("GET", "/v1/admin/audit-logs").key(&read)).await.expect(403);
    server.kill();

    let server = site.start();
    assert_eq!(trail(&server, "").await.len(), 6, "the entry was durable before the answer");
    server.stop();
    let output = binary::run(&["stream", "audit", "--data-dir", site.data().to_str().unwrap()]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains(&format!("legacy did webhooks.patch {id} (/v1/admin/webhooks/{{id}})")), "{said}");
    binary::assert_verified(&site.data());
}
