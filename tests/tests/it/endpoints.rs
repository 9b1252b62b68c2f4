//! Endpoints over HTTP: their limits, and their credentials, which no file shows (OB-82, OB-86, OB-112).

use std::{fs, path::Path};

use mainspring_schemas::event::{DomainEvent, EndpointEvent};
use serde_json::{Value, json};

use crate::{
    binary,
    erasure::traces,
    journal,
    receiver::Receiver,
    server::{Server, Site, eventually},
};

const CONFIG: &str = "credential-of-the-config";
const HEADER: &str = "credential-of-the-header";

async fn create(server: &Server, url: &str) -> Value {
    let body = json!({
        "url": url, "eventTypes": ["contact.*"], "config": {"apiKey": CONFIG},
        "headers": {"Authorization": HEADER, "X-Tenant": "acme"}, "rateLimit": 100, "ordering": "contact",
    });
    server.post("/v1/admin/webhooks", &body).await.expect(201)
}

async fn announce(server: &Server, receiver: &Receiver) {
    let before = receiver.arrivals().len();
    let call = json!({"userId": "u1", "properties": {"n": before}});
    server.put("/v1/contacts", &call).await.expect(200);
    eventually("the receiver is told", async || receiver.arrivals().len() > before).await;
}

/// Stops the server; says whether what it wrote to its log shows a credential.
fn stop_and_search(mut server: Server, credentials: &[&str]) {
    server.process.terminate();
    let (code, stderr) = server.process.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!credentials.iter().any(|credential| stderr.contains(credential)), "{stderr}");
}

fn shown_by_the_stream_command(data: &Path, endpoint: &str) -> String {
    let stream = format!("endpoint-{endpoint}");
    let output =
        binary::command().args(["stream", &stream, "--json", "--data-dir"]).arg(data).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_86_no_file_and_no_line_shows_a_credential_and_deliveries_go_on_after_restarts() {
    let site = Site::new(&[]).with("LOG_LEVEL", "debug");
    let server = site.start();
    let receiver = Receiver::start().await;
    let created = create(&server, &receiver.url()).await;
    let (id, secret) = (created["id"].as_str().unwrap(), created["secret"].as_str().unwrap().to_owned());
    let path = format!("/v1/admin/webhooks/{id}");
    assert_eq!(created["headers"], json!({"authorization": "***", "x-tenant": "***"}));
    assert_eq!(created["config"], json!({"apiKey": "***"}));
    announce(&server, &receiver).await;
    let rotated = server.post(&format!("{path}/rotate-secret"), &json!({"gracePeriodSeconds": 3600})).await;
    let newer = rotated.expect(200)["secret"].as_str().unwrap().to_owned();
    // What is read can be written back, and keeps what it does not show (OB-85).
    let shown = server.get(&path).await.expect(200);
    let mut back = shown["headers"].clone();
    back["x-new"] = json!("visible-to-nobody");
    let change = json!({"headers": back, "config": shown["config"], "rateLimit": null});
    let changed = server.patch(&path, &change).await.expect(200);
    assert_eq!((&changed["rateLimit"], &changed["ordering"]), (&json!(null), &json!("contact")));
    let credentials = [CONFIG, HEADER, &secret, &newer, "visible-to-nobody"];
    announce(&server, &receiver).await;
    let all_files = || traces(&site.data(), &credentials);
    assert_eq!(all_files(), Vec::<String>::new(), "while it runs");
    stop_and_search(server, &credentials);
    assert_eq!(all_files(), Vec::<String>::new(), "when it is stopped");

    let server = site.start();
    announce(&server, &receiver).await;
    let last = receiver.arrivals().pop().unwrap().request;
    assert_eq!(
        (last.header("authorization"), last.header("x-new")),
        (Some(HEADER), Some("visible-to-nobody"))
    );
    assert_eq!(last.header("webhook-signature").unwrap().split(' ').count(), 2);

    // With the endpoint its key goes, and an older file of keys brings nothing back.
    stop_and_search(server, &credentials);
    let keys = fs::read(site.data().join("secrets/data-keys")).unwrap();
    let stored = journal::read(&site.data()).await;
    let kept = stored.iter().any(|entry| {
        matches!(&entry.event, DomainEvent::Endpoint(EndpointEvent::Created(created))
            if created.settings.headers["authorization"] == HEADER)
    });
    assert!(kept, "whoever has the keys can read it");
    let shown = shown_by_the_stream_command(&site.data(), id);
    assert!(!credentials.iter().any(|text| shown.contains(text)), "but is not shown it: {shown}");
    let server = site.start();
    server.delete(&path).await.expect(200);
    stop_and_search(server, &credentials);
    fs::write(site.data().join("secrets/data-keys"), keys).unwrap();
    stop_and_search(site.start(), &credentials);
    let shown = shown_by_the_stream_command(&site.data(), id);
    assert!(
        shown.contains("endpoint.created") && !credentials.iter().any(|text| shown.contains(text)),
        "{shown}"
    );
    binary::assert_verified(&site.data());

    // The read models of a deleted endpoint can be made anew without its key.
    fs::remove_dir_all(site.data().join("read-models")).unwrap();
    let server = site.start();
    let history = server.get("/v1/admin/webhooks/deliveries?status=delivered").await.expect(200);
    assert_eq!(history["deliveries"].as_array().unwrap().len(), 3);
    server.stop();
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_82_ob_112_limits_and_headers_are_checked() {
    let site = Site::new(&[]);
    let server = site.start();
    let base = json!({"url": "https://hooks.example.com/x", "eventTypes": ["*"]});
    let with = |key: &str, value: Value| {
        let mut body = base.clone();
        body[key] = value;
        body
    };
    let many: serde_json::Map<String, Value> = (0..21).map(|n| (format!("x-{n}"), json!("v"))).collect();
    for bad in [
        with("rateLimit", json!(0)),
        with("rateLimit", json!(1001)),
        with("rateLimit", json!(1.5)),
        with("ordering", json!("endpoint")),
        with("headers", json!(["a"])),
        with("headers", json!({"Host": "a"})),
        with("headers", json!({"content-TYPE": "a"})),
        with("headers", json!({"Webhook-Id": "a"})),
        with("headers", json!({"x-a": "line\nend"})),
        with("headers", json!({"x-a": 1})),
        with("headers", json!({"x-a": "1", "X-A": "2"})),
        with("headers", Value::Object(many)),
    ] {
        let answer = server.post("/v1/admin/webhooks", &bad).await;
        assert_eq!(answer.status(), 400, "{bad}");
        assert_eq!(answer.json()["error"]["name"], "ZodError");
    }
    let created = server.post("/v1/admin/webhooks", &base).await.expect(201);
    assert_eq!((&created["rateLimit"], &created["headers"]), (&json!(null), &json!({})));
    assert_eq!((&created["ordering"], &created["health"]), (&json!("none"), &json!("healthy")));
    assert_eq!((&created["disablesAt"], &created["consecutiveFailures"]), (&json!(null), &json!(0)));
    let path = format!("/v1/admin/webhooks/{}", created["id"].as_str().unwrap());
    let changed = server.patch(&path, &json!({"rateLimit": 7, "headers": {"x-a": "b"}})).await.expect(200);
    assert_eq!((&changed["rateLimit"], &changed["headers"]), (&json!(7), &json!({"x-a": "***"})));
    let cleared = server.patch(&path, &json!({"headers": null, "rateLimit": null})).await.expect(200);
    assert_eq!((&cleared["rateLimit"], &cleared["headers"]), (&json!(null), &json!({})));
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_151_ob_88_health_is_told_and_what_is_held_is_discarded() {
    let site = Site::new(&[]).with("OUTBOUND_WEBHOOK_HOLD", "0");
    let server = site.start();
    let receiver = Receiver::with(|_| 500).await;
    let created = server.subscribe(&receiver.url(), &["contact.*"]).await;
    let path = format!("/v1/admin/webhooks/{}", created["id"].as_str().unwrap());
    server.put("/v1/contacts", &json!({"userId": "u1", "properties": {"n": 1}})).await.expect(200);
    eventually("it fails", async || server.get(&path).await.expect(200)["health"] == "failing").await;
    let shown = server.get(&path).await.expect(200);
    assert!(shown["consecutiveFailures"].as_u64().unwrap() >= 5);
    assert!(shown["disablesAt"].as_str() > shown["failingSince"].as_str());
    let paused = server.patch(&path, &json!({"disabled": true})).await.expect(200);
    assert_eq!((&paused["health"], &paused["disablesAt"]), (&json!("paused"), &json!(null)));
    eventually("nothing is held", async || server.get(&path).await.expect(200)["pendingDeliveries"] == 0)
        .await;
    let listed = server.get("/v1/admin/webhooks/deliveries?status=discarded").await.expect(200);
    assert_eq!(listed["deliveries"].as_array().unwrap().len(), 1);
    let healthy = server.patch(&path, &json!({"disabled": false})).await.expect(200);
    assert_eq!((&healthy["health"], &healthy["consecutiveFailures"]), (&json!("healthy"), &json!(0)));
    server.stop();
    binary::assert_verified(&site.data());
}
