//! Endpoints of outbound webhooks.

use mainspring_schemas::Timestamp;
use serde_json::{Value, json};

use super::{Table, error, issues, members, site};
use crate::{
    http::Request,
    receiver::Receiver,
    server::{ADMIN, eventually},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ap_40_to_ap_47_endpoints_from_creation_to_deletion() {
    let receiver = Receiver::start().await;
    let site = site();
    let server = site.start();
    let mut table = Table::default();
    let body = json!({"url": receiver.url(), "eventTypes": ["bucket.entered", "bucket.entered", "contact.created"], "description": "shop"});
    let created = server.post("/v1/admin/webhooks", &body).await.expect(201);
    let id = created["id"].as_str().unwrap().to_owned();
    let secret = created["secret"].as_str().unwrap();
    table.same("AP-47", (secret.starts_with("whsec_"), secret.len()), (true, 50));
    table.same("AP-47", created["secretPrefix"].as_str(), secret.get(..12));
    table.same("AP-48", &created["eventTypes"], &json!(["bucket.entered", "contact.created"]));
    let path = format!("/v1/admin/webhooks/{id}");
    let shown = server.get(&path).await;
    let expected = json!({
        "id": id, "url": receiver.url(), "description": "shop", "kind": "webhook", "config": null, "status": "enabled",
        "organizationId": null, "lastDeliveryAt": null, "secretPrefix": created["secretPrefix"],
    });
    table.row("AP-42", &shown, 200, &expected);
    table.same("AP-42", members(&shown.json()).contains(&"secret"), false);
    table.row(
        "AP-40",
        &server.get("/v1/admin/webhooks").await,
        200,
        &json!({"total": 1, "endpoints": [{"id": id}]}),
    );

    table.row(
        "AP-43",
        &server.patch(&path, &json!({"description": null, "disabled": true})).await,
        200,
        &json!({"id": id, "description": null, "status": "disabled"}),
    );
    table.row(
        "AP-40",
        &server.get("/v1/admin/webhooks").await,
        200,
        &json!({"total": 1, "endpoints": [{"status": "disabled"}]}),
    );
    table.row(
        "AP-40",
        &server.get("/v1/admin/webhooks?includeDisabled=false").await,
        200,
        &json!({"total": 0, "endpoints": []}),
    );

    // OB-177: a test reaches a disabled endpoint, too.
    let test = server.send(Request::new("POST", &format!("{path}/test")).key(ADMIN)).await;
    table.row("AP-46", &test, 202, &json!({"enqueued": true, "eventType": "webhook.test"}));
    eventually("the test arrives", async || !receiver.arrivals().is_empty()).await;
    let arrival = receiver.arrivals()[0].request.clone();
    table.same("OB-176", arrival.header("webhook-id"), test.json()["webhookId"].as_str());
    let envelope = arrival.json();
    table.same("AP-46", &envelope["type"], &json!("webhook.test"));
    table.same("AP-46", members(&envelope["data"]), vec!["endpointId", "message", "sentAt", "to", "userId"]);

    let rotated = server.send(Request::new("POST", &format!("{path}/rotate-secret")).key(ADMIN)).await;
    table.row("AP-45", &rotated, 200, &json!({"id": id}));
    table.same("AP-45", rotated.json()["secret"] == created["secret"], false);
    let instant = |value: &Value| serde_json::from_value::<Timestamp>(value.clone()).unwrap();
    let rotated_at = instant(&server.get(&path).await.json()["updatedAt"]);
    let ends = instant(&rotated.json()["previousSecretExpiresAt"]);
    table.same("OB-94 a day if nobody says", ends, rotated_at.plus(24 * 3600 * 1000));
    let hard = server.post(&format!("{path}/rotate-secret"), &json!({"gracePeriodSeconds": 0})).await;
    table.row("OB-94 at once", &hard, 200, &json!({"previousSecretExpiresAt": null}));
    let overlap =
        server.post(&format!("{path}/rotate-secret"), &json!({"overlapHours": 1})).await.expect(200);
    table.same("AP-45", overlap["previousSecretExpiresAt"].is_string(), true);
    table.row(
        "AP-45",
        &server.post(&format!("{path}/rotate-secret"), &json!({"overlapHours": 169})).await,
        400,
        &json!({"success": false}),
    );
    server.send(Request::new("POST", &format!("{path}/test")).key(ADMIN)).await.expect(202);
    eventually("the second test arrives", async || receiver.arrivals().len() == 2).await;
    let signatures =
        receiver.arrivals()[1].request.header("webhook-signature").unwrap_or_default().to_owned();
    table.same(
        "AP-45 both secrets sign",
        signatures.split(' ').filter(|part| part.starts_with("v1,")).count(),
        2,
    );

    // Endpoints and secrets survive a restart.
    server.stop();
    let server = site.start();
    table.row(
        "AP-42",
        &server.get(&path).await,
        200,
        &json!({"secretPrefix": overlap["secretPrefix"], "status": "disabled"}),
    );
    let gone = error("Webhook endpoint not found");
    table.row("AP-44", &server.delete(&path).await, 200, &json!({"deleted": true}));
    table.row("AP-44", &server.delete(&path).await, 404, &gone);
    table.row("AP-42", &server.get(&path).await, 404, &gone);
    table.row("AP-43", &server.patch(&path, &json!({"disabled": false})).await, 404, &gone);
    table.row("AP-46", &server.post(&format!("{path}/test"), &json!({})).await, 404, &gone);
    table.row("AP-45", &server.post(&format!("{path}/rotate-secret"), &json!({})).await, 404, &gone);
    table.row("AP-42", &server.get("/v1/admin/webhooks/x").await, 400, &json!({"success": false}));
    table.row("AP-40", &server.get("/v1/admin/webhooks").await, 200, &json!({"total": 0}));
    table.end();
}

#[tokio::test]
async fn ap_41_to_ap_49_refused_endpoints() {
    let server = site()
        .with("OUTBOUND_WEBHOOK_ALLOW_HTTP", "false")
        .with("OUTBOUND_WEBHOOK_ALLOW_PRIVATE", "false")
        .start();
    let mut table = Table::default();
    let with = |key: &str, value: Value| {
        let mut body = json!({"url": "https://hooks.example.com/x", "eventTypes": ["bucket.entered"]});
        body[key] = value;
        body
    };
    for (id, body) in [
        ("AP-41", json!({})),
        ("AP-41", json!({"url": "https://hooks.example.com/x"})),
        ("AP-41", with("eventTypes", json!([]))),
        ("AP-48", with("eventTypes", json!(["bucket.exploded"]))),
        ("AP-48", with("eventTypes", json!(["webhook.test"]))),
        ("AP-48", with("kind", json!("fax"))),
        ("AP-41", with("description", json!("x".repeat(501)))),
        ("AP-41", with("disabled", json!("no"))),
    ] {
        table.row(id, &server.post("/v1/admin/webhooks", &body).await, 400, &json!({"success": false}));
    }
    for url in [
        "no url",
        "ftp://example.com/x",
        "javascript:alert(1)",
        "http://example.com/x",
        "https://user:pw@example.com/x",
        "https://127.0.0.1/x",
        "https://10.0.0.1/x",
        "https://169.254.169.254/latest",
        "https://[::1]/x",
        "https://localhost/x",
    ] {
        let answer = server.post("/v1/admin/webhooks", &with("url", json!(url))).await;
        table.same(&format!("AP-49 {url}"), answer.status(), 400);
    }
    let created = server.post("/v1/admin/webhooks", &with("disabled", json!(true))).await;
    table.row("AP-41", &created, 201, &json!({"status": "disabled"}));
    let path = format!("/v1/admin/webhooks/{}", created.json()["id"].as_str().unwrap_or_default());
    let inside = server.patch(&path, &json!({"url": "https://192.168.1.1/"})).await;
    table.same("OB-196", inside.status(), 400);
    table.row("OB-196", &server.get(&path).await, 200, &json!({"url": "https://hooks.example.com/x"}));
    table.end();
}

#[tokio::test]
async fn ob_75_ob_84_ob_200_settings_of_keyed_endpoints() {
    let site = site().with("OUTBOUND_WEBHOOK_ALLOW_PRIVATE", "false");
    let own = site.definitions().join("destinations");
    std::fs::create_dir(&own).unwrap();
    let crm = include_str!("../../../../examples/destinations/crm.yaml");
    std::fs::write(own.join("crm.yaml"), crm).unwrap();
    let server = site.start();
    let mut table = Table::default();
    let all = json!(["*"]);
    let body = |kind: &str, types: &Value, config: Value| json!({"url": "https://hooks.example.com/x", "kind": kind, "eventTypes": types, "config": config});
    for (id, body, code, path) in [
        ("OB-74", body("fax", &all, json!({})), "invalid_value", json!(["kind"])),
        ("OB-75", body("posthog", &all, json!({})), "custom", json!(["config", "apiKey"])),
        ("OB-75", body("posthog", &all, Value::Null), "custom", json!(["config", "apiKey"])),
        ("OB-75", body("posthog", &all, json!({"apiKey": 1})), "custom", json!(["config", "apiKey"])),
        ("OB-85", body("posthog", &all, json!({"apiKey": "***"})), "custom", json!(["config", "apiKey"])),
        (
            "OB-75",
            body("posthog", &all, json!({"apiKey": "k", "hots": "x"})),
            "custom",
            json!(["config", "hots"]),
        ),
        (
            "OB-224",
            body("posthog", &all, json!({"apiKey": "k", "syncPersons": "true"})),
            "custom",
            json!(["config", "syncPersons"]),
        ),
        (
            "OB-196",
            body("segment", &all, json!({"writeKey": "k", "host": "https://10.0.0.1"})),
            "custom",
            json!(["config", "host"]),
        ),
        (
            "OB-196",
            body("slack", &all, json!({"url": "ftp://hooks.slack.com/x"})),
            "custom",
            json!(["config", "url"]),
        ),
        ("OB-200", body("crm", &all, json!({"token": "t"})), "custom", json!(["eventTypes"])),
        (
            "OB-200",
            body("crm", &json!(["email.opened"]), json!({"token": "t"})),
            "custom",
            json!(["eventTypes"]),
        ),
        ("OB-260", body("crm", &json!(["email.bounced"]), json!({})), "custom", json!(["config", "token"])),
    ] {
        let answer = server.post("/v1/admin/webhooks", &body).await;
        table.same(id, (answer.status(), issues(&answer)), (400, vec![(code.to_owned(), path)]));
    }
    let mut masked = body("webhook", &all, Value::Null);
    masked["headers"] = json!({"authorization": "***", "x-tenant": "acme"});
    let answer = server.post("/v1/admin/webhooks", &masked).await;
    let expected = vec![("custom".to_owned(), json!(["headers", "authorization"]))];
    table.same("OB-85 of a header", (answer.status(), issues(&answer)), (400, expected));
    let mut elsewhere = body("slack", &all, Value::Null);
    elsewhere["url"] = json!("posthog://capture");
    table.same("OB-230 of posthog alone", server.post("/v1/admin/webhooks", &elsewhere).await.status(), 400);

    // OB-74: whatever is enabled.
    let config = json!({"url": "https://hooks.slack.com/services/T/B/secret", "username": "Main"});
    let created = server.post("/v1/admin/webhooks", &body("slack", &all, config)).await;
    let shown = json!({
        "url": "https://hooks.example.com/***", "secretPrefix": null,
        "config": {"url": "https://hooks.slack.com/***", "username": "Main"},
    });
    table.row("OB-84", &created, 201, &shown);
    table.same("OB-76", created.json()["secret"].clone(), Value::Null);
    let path = format!("/v1/admin/webhooks/{}", created.json()["id"].as_str().unwrap_or_default());
    table.row("OB-84", &server.get(&path).await, 200, &shown);
    table.row("OB-84", &server.get("/v1/admin/webhooks").await, 200, &json!({"endpoints": [shown]}));
    let back =
        json!({"url": shown["url"], "config": shown["config"], "kind": "slack", "description": "channel"});
    table.row("OB-85", &server.patch(&path, &back).await, 200, &shown);
    let unknown = server.patch(&path, &json!({"config": {"channel": "x"}})).await;
    table.same(
        "OB-75",
        (unknown.status(), issues(&unknown)),
        (400, vec![("custom".to_owned(), json!(["config", "channel"]))]),
    );
    let foreign = server.patch(&path, &json!({"kind": "posthog"})).await;
    table.same("OB-75 with the configuration of another kind", foreign.status(), 400);
    let signed = server.patch(&path, &json!({"kind": "webhook", "url": "https://hooks.example.com/y"})).await;
    table.row("OB-93", &signed, 200, &json!({"kind": "webhook", "url": "https://hooks.example.com/y"}));
    table.same("OB-93", signed.json()["secret"].is_string(), true);
    table.end();
}
