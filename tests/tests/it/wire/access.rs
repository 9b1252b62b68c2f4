//! Section 2 and API keys: who may do what, in which order that is judged.

use serde_json::{Value, json};

use super::{Table, error, key, members, site};
use crate::{
    http::Request,
    server::{ADMIN, Server},
};

const SCOPES: [&str; 4] = ["ingest", "read", "journey-admin", "full-admin"];

async fn get(server: &Server, path: &str, key: &str) -> crate::http::Message {
    server.send(Request::new("GET", path).key(key)).await
}

#[tokio::test]
async fn au_20_to_au_25_every_route_asks_for_its_scope() {
    let server = site().start();
    let mut table = Table::default();
    let mut keys = Vec::new();
    for scope in SCOPES {
        keys.push((scope, key(&server, &[scope]).await));
    }
    let id = "00000000-0000-7000-8000-000000000000";
    let ladder = |lowest: &str| match lowest {
        "ingest" => vec!["ingest", "full-admin"],
        "read" => vec!["read", "journey-admin", "full-admin"],
        "journey-admin" => vec!["journey-admin", "full-admin"],
        _ => vec!["full-admin"],
    };
    for (lowest, method, path) in [
        ("ingest", "POST", "/v1/events".to_owned()),
        ("ingest", "POST", "/v1/events/batch".to_owned()),
        ("ingest", "PUT", "/v1/contacts".to_owned()),
        ("ingest", "DELETE", "/v1/contacts".to_owned()),
        ("ingest", "GET", "/v1/contacts/find".to_owned()),
        ("read", "GET", "/v1/admin/contacts".to_owned()),
        ("read", "GET", "/v1/admin/contacts/nobody".to_owned()),
        ("read", "GET", "/v1/admin/contacts/nobody/buckets".to_owned()),
        ("read", "GET", "/v1/admin/contacts/nobody/timeline".to_owned()),
        ("full-admin", "POST", "/v1/admin/contacts".to_owned()),
        ("full-admin", "PATCH", "/v1/admin/contacts/nobody".to_owned()),
        ("read", "GET", "/v1/admin/contacts/nobody/buckets/pro/why".to_owned()),
        ("read", "GET", "/v1/admin/buckets".to_owned()),
        ("read", "POST", "/v1/admin/buckets/preview".to_owned()),
        ("read", "GET", "/v1/admin/buckets/pro".to_owned()),
        ("read", "GET", "/v1/admin/buckets/pro/members".to_owned()),
        ("read", "GET", "/v1/admin/buckets/pro/members/nobody".to_owned()),
        ("read", "GET", "/v1/admin/metrics/overview".to_owned()),
        ("read", "GET", "/v1/admin/metrics/buckets".to_owned()),
        ("read", "GET", "/v1/admin/metrics/buckets/pro".to_owned()),
        ("read", "GET", "/v1/admin/webhooks".to_owned()),
        ("read", "GET", format!("/v1/admin/webhooks/{id}")),
        ("read", "GET", "/v1/admin/api-keys/self".to_owned()),
        ("journey-admin", "PATCH", "/v1/admin/buckets/pro".to_owned()),
        ("journey-admin", "POST", "/v1/admin/events".to_owned()),
        ("full-admin", "DELETE", "/v1/admin/contacts/nobody".to_owned()),
        ("full-admin", "POST", "/v1/admin/webhooks".to_owned()),
        ("full-admin", "PATCH", format!("/v1/admin/webhooks/{id}")),
        ("full-admin", "DELETE", format!("/v1/admin/webhooks/{id}")),
        ("full-admin", "POST", format!("/v1/admin/webhooks/{id}/rotate-secret")),
        ("full-admin", "POST", format!("/v1/admin/webhooks/{id}/test")),
        ("full-admin", "GET", "/v1/admin/api-keys".to_owned()),
        ("full-admin", "POST", "/v1/admin/api-keys".to_owned()),
        ("full-admin", "DELETE", format!("/v1/admin/api-keys/{id}")),
    ] {
        // An empty body is invalid wherever a body counts, so that nothing changes, and 401 and 403 come first (AU-27).
        let request = || Request::new(method, &path);
        for credential in
            [request(), request().key("hsk_unknown"), request().header("authorization", "Basic abc")]
        {
            table.row(
                &format!("HT-22 {method} {path}"),
                &server.send(credential).await,
                401,
                &error("Unauthorized"),
            );
        }
        for (scope, key) in &keys {
            let answer = server.send(request().key(key)).await;
            let may = ladder(lowest).contains(scope);
            let refused = answer.status() == 403 && answer.json() == error("Forbidden: insufficient scope");
            table.same(
                &format!("AU-22 {scope}: {method} {path}: {}", answer.status()),
                (may, refused),
                (may, !may),
            );
            table.same(
                &format!("{scope}: {method} {path} is known"),
                answer.status() < 500 && answer.status() != 405,
                true,
            );
        }
    }
    table.end();
}

#[tokio::test]
async fn au_27_credential_scope_limit_validation() {
    let server = site().with("ADMIN_RATE_LIMIT", "3").start();
    let mut table = Table::default();
    let broken = || Request::new("POST", "/v1/events").header("content-type", "application/json").body("{");
    let (ingest, read) = (key(&server, &["ingest"]).await, key(&server, &["read"]).await);
    table.row("AU-27", &server.send(broken()).await, 401, &error("Unauthorized"));
    table.row("AU-27", &server.send(broken().key(&read)).await, 403, &error("Forbidden: insufficient scope"));
    table.row(
        "AU-27",
        &server.send(broken().key(&ingest)).await,
        400,
        &error("Malformed JSON in request body"),
    );
    let unknown = server.send(Request::new("GET", "/v1/admin/nothing")).await;
    table.row("AU-27 unknown path", &unknown, 401, &error("Unauthorized"));
    for left in ["2", "1", "0"] {
        let answer = get(&server, "/v1/admin/buckets", &read).await;
        table.same("RL-07", (answer.status(), answer.header("x-ratelimit-limit")), (200, Some("3")));
        table.same("RL-07", answer.header("x-ratelimit-remaining"), Some(left));
    }
    // The budget is gone: 429 before 400, but 403 before 429.
    let limited = get(&server, "/v1/admin/buckets?limit=x", &read).await;
    table.row("AU-27", &limited, 429, &error("Rate limit exceeded"));
    let wait = limited.header("retry-after").and_then(|wait| wait.parse::<u64>().ok());
    table.same("RL-10", wait.is_some_and(|wait| (1..=60).contains(&wait)), true);
    table.row(
        "AU-27",
        &get(&server, "/v1/admin/api-keys", &read).await,
        403,
        &error("Forbidden: insufficient scope"),
    );
    let other = key(&server, &["read"]).await;
    table.row("RL-08", &get(&server, "/v1/admin/buckets", &other).await, 200, &json!({}));
    let event = server
        .send(Request::new("POST", "/v1/events").key(&ingest).json(&json!({"name": "x", "userId": "u"})));
    table.row("RL-06", &event.await, 202, &json!({"stored": true}));
    table.end();
}

#[tokio::test]
async fn ap_80_to_ap_83_keys_from_creation_to_revocation() {
    let site = site();
    let server = site.start();
    let mut table = Table::default();
    let created = server
        .post("/v1/admin/api-keys", &json!({"name": "shop", "scopes": ["ingest", "ingest"]}))
        .await
        .expect(201);
    table.same(
        "AP-81",
        members(&created),
        vec!["createdAt", "expiresAt", "id", "key", "keyPrefix", "name", "scopes"],
    );
    let secret = created["key"].as_str().unwrap();
    let body = secret.strip_prefix("hsk_").unwrap_or_default();
    let url_safe = body.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    table.same("AU-08", (body.len(), url_safe, created["keyPrefix"].as_str()), (43, true, secret.get(..8)));
    let event = |header: String| {
        Request::new("POST", "/v1/events")
            .header("authorization", &header)
            .json(&json!({"name": "x", "userId": "u"}))
    };
    table.row("HS-08", &server.send(event(format!("Bearer {secret}"))).await, 202, &json!({"stored": true}));
    table.row("AU-01", &server.send(event(format!("bearer {secret}"))).await, 202, &json!({"stored": true}));
    table.row("AU-01", &server.send(event(format!("Bearer  {secret}"))).await, 401, &error("Unauthorized"));
    table.row("AU-01", &server.send(event(secret.to_owned())).await, 401, &error("Unauthorized"));

    let default = server.post("/v1/admin/api-keys", &json!({"name": "viewer"})).await.expect(201);
    table.same("AP-81 default", &default["scopes"], &json!(["read"]));
    let own = get(&server, "/v1/admin/api-keys/self", default["key"].as_str().unwrap()).await;
    table.row(
        "AP-83",
        &own,
        200,
        &json!({"actor": "api-key", "id": default["id"], "name": "viewer", "scopes": ["read"]}),
    );
    table.row(
        "AU-02",
        &get(&server, "/v1/admin/api-keys/self", ADMIN).await,
        200,
        &json!({"name": "legacy", "scopes": ["full-admin"]}),
    );

    let old = json!({"name": "old", "scopes": ["read"], "expiresAt": "2020-01-01T00:00:00Z"});
    let old = server.post("/v1/admin/api-keys", &old).await.expect(201);
    table.same("HT-06", &old["expiresAt"], &json!("2020-01-01T00:00:00.000Z"));
    table.row(
        "AU-11",
        &get(&server, "/v1/admin/buckets", old["key"].as_str().unwrap()).await,
        401,
        &error("API key expired"),
    );

    for (id, body) in [
        ("AP-81", json!({})),
        ("AP-81", json!({"name": ""})),
        ("AP-81", json!({"name": "x".repeat(101)})),
        ("AP-81", json!({"name": "x", "scopes": []})),
        ("AP-81", json!({"name": "x", "scopes": ["root"]})),
        ("AP-81", json!({"name": "x", "expiresAt": "tomorrow"})),
    ] {
        table.row(id, &server.post("/v1/admin/api-keys", &body).await, 400, &json!({"success": false}));
    }

    let listed = server.get("/v1/admin/api-keys").await.expect(200);
    let names: Vec<&str> =
        listed["keys"].as_array().unwrap().iter().filter_map(|key| key["name"].as_str()).collect();
    table.same("AP-80 newest first, AU-14", names, vec!["old", "viewer", "shop", "bootstrap-ingest"]);
    let shop = &listed["keys"][2];
    let fields = vec![
        "createdAt",
        "createdBy",
        "expiresAt",
        "id",
        "keyPrefix",
        "lastUsedAt",
        "name",
        "revokedAt",
        "scopes",
    ];
    table.same("AP-80", members(shop), fields);
    table.same("AU-12", shop["lastUsedAt"].is_string(), true);

    let path = format!("/v1/admin/api-keys/{}", created["id"].as_str().unwrap());
    table.row("AP-82", &server.delete(&path).await, 200, &json!({"revoked": true}));
    table.row("AU-10", &server.send(event(format!("Bearer {secret}"))).await, 401, &error("Unauthorized"));
    let gone = error("API key not found or already revoked");
    table.row("AP-82", &server.delete(&path).await, 404, &gone);
    table.row("AP-82", &server.delete("/v1/admin/api-keys/x").await, 400, &json!({"success": false}));
    table.row("AP-80", &server.get("/v1/admin/api-keys").await, 200, &json!({"total": 3}));
    table.row(
        "AP-80",
        &server.get("/v1/admin/api-keys?includeRevoked=true").await,
        200,
        &json!({"total": 4}),
    );

    // A restart changes nothing about keys, and makes no second first key (AU-14).
    server.stop();
    let server = site.start();
    table.row("AU-10", &server.send(event(format!("Bearer {secret}"))).await, 401, &error("Unauthorized"));
    let own: Value = get(&server, "/v1/admin/api-keys/self", default["key"].as_str().unwrap()).await.json();
    table.same("AP-83", &own["name"], &json!("viewer"));
    table.row(
        "AU-14",
        &server.get("/v1/admin/api-keys?includeRevoked=true").await,
        200,
        &json!({"total": 4}),
    );
    table.end();
}
