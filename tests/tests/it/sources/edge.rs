//! The steps of WS-02 and what bounds them.

use serde_json::json;

use super::{CLERK, callback, clerk, clerk_at, contacts, posthog, refused, seconds, site};
use crate::{
    http::{Connection, Request},
    server::{ADMIN, Site},
};

#[tokio::test]
async fn ws_01_ws_02_other_methods_and_refusals_in_order() {
    let server = site().start();
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        refused(&server.send(Request::new(method, "/v1/webhooks/clerk")).await, 404, "Not Found");
    }
    refused(&server.send(callback("clerk", "not json")).await, 401, "Invalid webhook signature");
    refused(&server.send(callback("posthog", "not json")).await, 401, "Invalid webhook secret");
    // An API key proves nothing here (WS-01).
    refused(&server.send(callback("clerk", "{}").key(ADMIN)).await, 401, "Invalid webhook signature");
    let answer = server.send(clerk("m1", &json!({"data": "x"}))).await.expect(400);
    assert_eq!(answer["error"], "Invalid payload");
    let of_type = "Invalid input: expected string, received undefined";
    let of_data = "Invalid input: expected object, received string";
    assert_eq!(
        answer["details"],
        json!({"formErrors": [], "fieldErrors": {"type": [of_type], "data": [of_data]}})
    );
    let wrong = json!({"type": "user.created", "data": {"id": 7}});
    server.send(clerk("m2", &wrong)).await.expect(400);
    // WS-06: neither the content type nor the query string matters.
    let body = json!({"event": {"event": "e", "distinct_id": "u"}}).to_string();
    let request = Request::new("POST", "/v1/webhooks/posthog?secret=wrong")
        .header("content-type", "text/plain")
        .header("Authorization", &format!("Bearer {}", super::POSTHOG));
    server.send(request.body(body)).await.expect(200);
}

#[tokio::test]
async fn ss_17_ws_02_a_large_body_is_refused_before_it_is_verified() {
    let server = site().with("WEBHOOK_SOURCE_MAX_BODY", "2000").start();
    for size in [2001, 2 * 1024 * 1024] {
        let mut connection = Connection::open(server.address).await.unwrap();
        let head = format!("POST /v1/webhooks/clerk HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n");
        connection.write(head.as_bytes()).await.unwrap();
        connection.write(&[b' '; 2001]).await.unwrap();
        refused(&connection.answer(false).await.unwrap(), 413, "Payload too large");
    }
    refused(&server.send(callback("clerk", vec![b' '; 2000])).await, 401, "Invalid webhook signature");
    // Larger than what other routes take, if so wished.
    let server = site().with("WEBHOOK_SOURCE_MAX_BODY", "3000000").with("MAX_BODY_BYTES", "1000").start();
    let large = json!({"type": "session.created", "data": {"x": "y".repeat(2_000_000)}});
    super::skipped(&server.send(clerk("m1", &large)).await);
}

#[tokio::test]
async fn ws_27_a_body_is_never_decoded_before_it_is_verified() {
    let server = site().start();
    let body = json!({"type": "session.created"}).to_string();
    let encoded = clerk_at("m1", seconds(0), body).header("content-encoding", "gzip");
    super::skipped(&server.send(encoded).await);
}

#[tokio::test]
async fn ws_95_failed_verifications_are_limited_and_verified_requests_are_not() {
    let server = site().with("TRUSTED_PROXIES", "127.0.0.1").start();
    let from = |request: Request, address: &str| request.header("x-forwarded-for", address);
    let event =
        |n: u32| posthog(&json!({"event": {"event": "e", "distinct_id": "u", "uuid": n.to_string()}}));
    for n in 0..70 {
        server.send(from(event(n), "203.0.113.7")).await.expect(200);
    }
    for _ in 0..60 {
        refused(
            &server.send(from(callback("clerk", "{}"), "203.0.113.7")).await,
            401,
            "Invalid webhook signature",
        );
    }
    let answer = server.send(from(callback("clerk", "{}"), "203.0.113.7")).await;
    refused(&answer, 429, "Rate limit exceeded");
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() <= 60);
    // What is proved passes, whoever else failed at this address.
    server.send(from(event(71), "203.0.113.7")).await.expect(200);
    refused(
        &server.send(from(callback("clerk", "{}"), "203.0.113.8")).await,
        401,
        "Invalid webhook signature",
    );
    refused(&server.send(from(callback("nobody", "{}"), "203.0.113.7")).await, 404, "Unknown webhook source");
}

#[tokio::test]
async fn ws_22_ws_44_secrets_of_a_file_rotate_and_are_never_said() {
    let site = Site::new(&[]).with("LOG_LEVEL", "info");
    let secrets = site.root().join("secrets");
    std::fs::write(&secrets, format!("whsec_bmV3\n{CLERK}\n")).unwrap();
    let mut server = site.with("CLERK_WEBHOOK_SECRET_FILE", secrets.to_str().unwrap()).start();
    let body =
        json!({"type": "waitlistEntry.created", "data": {"email_address": "very-private@example.com"}});
    server.send(clerk("m1", &body)).await.expect(200);
    server.send(clerk_at("m2", seconds(-900), body.to_string())).await.expect(401);
    assert_eq!(contacts(&server).await.len(), 1);
    server.process.terminate();
    let (_, said) = server.process.end();
    let line =
        said.lines().find(|line| line.contains("webhook source mounted")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("clerk") && line.contains("signature") && line.contains("svix"), "{line}");
    assert!(
        !said.contains("bmV3") && !said.contains("Y2xlcmsg") && !said.contains("very-private"),
        "WS-54: {said}"
    );
}
