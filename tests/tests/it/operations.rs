//! What operators see of a running server: health, metrics, and who changed what.

use serde_json::json;

use crate::{
    http::Request,
    receiver::Receiver,
    server::{Server, Site, eventually},
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
