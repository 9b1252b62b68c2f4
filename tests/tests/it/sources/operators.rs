//! What operators see of sources.

use serde_json::json;

use super::{callback, clerk, contacts, refused, site};
use crate::http::Request;

#[tokio::test]
async fn ws_97_ws_98_figures_of_every_source() {
    let server = site().with("WEBHOOK_ALLOW_UNAUTHENTICATED", "posthog").start();
    let known = json!({"type": "waitlistEntry.created", "data": {"email_address": "a@example.com"}});
    server.send(clerk("m1", &known)).await.expect(200);
    server.send(clerk("m1", &known)).await.expect(200);
    server.send(clerk("m2", &json!({"type": "session.created"}))).await.expect(200);
    server.send(callback("clerk", "{}")).await.expect(401);
    let listed = server.get("/v1/admin/webhook-sources").await.expect(200);
    let sources = listed["sources"].as_array().unwrap();
    let ids: Vec<&str> = sources.iter().map(|source| source["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["clerk", "posthog", "segment", "stripe", "supabase"]);
    let clerk = &sources[0];
    for (member, expected) in [
        ("name", json!("Clerk")),
        ("variant", json!("signature")),
        ("scheme", json!("svix")),
        ("path", json!("/v1/webhooks/clerk")),
        ("envKey", json!("CLERK_WEBHOOK_SECRET")),
        ("secretConfigured", json!(true)),
        ("open", json!(false)),
        ("lastRejectReason", json!("signature_absent")),
    ] {
        assert_eq!(clerk[member], expected, "{member}");
    }
    let counts = json!({
        "received": 4, "verified": 3, "unauthenticated": 0, "rejected": 1, "skipped": 1, "ingested": 1,
        "duplicate": 1, "failed": 0,
    });
    assert_eq!(clerk["counts24h"], counts);
    assert!(clerk["lastReceivedAt"].is_string() && clerk["lastRejectedAt"].is_string());
    assert!(
        clerk["clockDifferenceSecs"].as_f64().unwrap().abs() < 60.0 && clerk["latencyMsMean"].is_number()
    );
    assert_eq!(
        (&sources[1]["variant"], &sources[1]["open"]),
        (&json!("match"), &json!(false)),
        "it has a secret"
    );
    refused(&server.send(Request::new("GET", "/v1/admin/webhook-sources")).await, 401, "Unauthorized");
}

#[tokio::test]
async fn ws_99_a_source_is_tried_without_effects() {
    let server = site().start();
    let path = "/v1/admin/webhook-sources/clerk/preview";
    let body = json!({"type": "user.created", "data": {"id": "user_1"}});
    let event = json!({
        "event": "contact.created", "userId": "user_1",
        "eventProperties": {"source": "clerk", "clerkUserId": "user_1", "_clerkEvent": "user.created"},
        "contactProperties": {"clerkUserId": "user_1"},
    });
    let answer = server.post(path, &json!({"body": body, "headers": {"svix-id": "m1"}})).await.expect(200);
    assert_eq!(answer, json!({"shape": "ok", "event": event}));
    let as_text = server.post(path, &json!({"body": body.to_string()})).await.expect(200);
    assert_eq!(as_text, answer);
    let skipped = server.post(path, &json!({"body": {"type": "x"}})).await.expect(200);
    assert_eq!(skipped["skipped"], true);
    let wrong = server.post(path, &json!({"body": {}})).await.expect(200);
    assert!(wrong["shape"]["fieldErrors"]["type"].is_array(), "{wrong}");
    server.post(path, &json!({})).await.expect(400);
    server.post("/v1/admin/webhook-sources/nobody/preview", &json!({"body": {}})).await.expect(404);
    let keyless = Request::new("POST", path).json(&json!({"body": {}}));
    refused(&server.send(keyless).await, 401, "Unauthorized");
    let ingest =
        server.post("/v1/admin/api-keys", &json!({"name": "k", "scopes": ["read"]})).await.expect(201);
    let request = Request::new("POST", path).key(ingest["key"].as_str().unwrap()).json(&json!({"body": {}}));
    server.send(request).await.expect(403);
    assert!(contacts(&server).await.is_empty());
    assert_eq!(
        server.get("/v1/admin/webhook-sources").await.expect(200)["sources"][0]["counts"]["received"],
        0
    );
}
