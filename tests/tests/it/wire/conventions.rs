//! Section 1: errors, bodies, queries, headers.

use std::io::Read;

use serde_json::{Value, json};

use super::{Table, error, gzip::gzip, issues, members, site, wanted};
use crate::{
    http::Request,
    server::{ADMIN, Server},
};

fn events() -> Request {
    Request::new("POST", "/v1/events").key(ADMIN)
}

async fn event(server: &Server, body: Value) -> crate::http::Message {
    server.send(events().json(&body)).await
}

#[tokio::test]
async fn ht_02_to_ht_05_bodies() {
    let server = site().start();
    let mut table = Table::default();
    let good = r#"{"name":"x","userId":"u1"}"#;
    let typed = |kind: &str, body: &str| events().header("content-type", kind).body(body);
    for (id, request, status, body) in [
        ("HT-02", typed("application/json; charset=utf-8", good), 202, json!({"stored": true})),
        ("HT-02", typed("application/vnd.api+json", good), 202, json!({"stored": true})),
        ("HT-03", typed("text/plain", good), 415, error("Unsupported Media Type")),
        ("HT-03", typed("application/jsonp", good), 415, error("Unsupported Media Type")),
        ("HT-03 none", events().body(good), 415, error("Unsupported Media Type")),
        ("HT-03 no body", events(), 400, json!({"success": false, "error": {"name": "ZodError"}})),
        ("HT-04", typed("application/json", "{bad"), 400, error("Malformed JSON in request body")),
        ("HT-04", typed("application/json", ""), 400, json!({"success": false})),
        (
            "HT-04 twice",
            typed("application/json", r#"{"name":"x","userId":"a","userId":"b"}"#),
            202,
            json!({"contactKey": "b"}),
        ),
        ("HS-04 list", typed("application/json", "[]"), 400, json!({"success": false})),
        (
            "HT-05 unknown",
            events().json(&json!({"name": "x", "userId": "u1", "new": {"a": 1}})),
            202,
            json!({"stored": true}),
        ),
        (
            "HT-05 null",
            events().json(&json!({"name": "x", "userId": "u1", "email": null})),
            400,
            json!({"success": false}),
        ),
        ("HT-05 query", Request::new("GET", "/v1/contacts/find?userId=u1&new=1").key(ADMIN), 200, json!({})),
    ] {
        table.row(id, &server.send(request).await, status, &body);
    }
    table.end();
}

#[tokio::test]
async fn ht_08_paths_and_methods() {
    let server = site().start();
    let mut table = Table::default();
    for path in ["/", "/v1", "/v1/nothing", "/v1/health/", "//v1/health", "/v1/admin/nothing", "/V1/health"] {
        let answer = server.get(path).await;
        table.row(&format!("HT-08 {path}"), &answer, 404, &error("Not Found"));
    }
    for path in ["/v1/events/", "/v1/events/nothing", "/v1/contacts/nothing"] {
        table.row(&format!("HT-08 {path}"), &server.post(path, &json!({})).await, 404, &error("Not Found"));
    }
    for (method, path, allow) in [
        ("GET", "/v1/events", "POST"),
        ("PUT", "/v1/events/batch", "POST"),
        ("POST", "/v1/contacts", "DELETE, PUT"),
        ("POST", "/v1/health", "GET, HEAD"),
        ("PUT", "/v1/admin/webhooks", "GET, HEAD, POST"),
        ("POST", "/v1/admin/buckets/pro", "GET, HEAD, PATCH"),
    ] {
        let answer = server.send(Request::new(method, path).key(ADMIN)).await;
        table.row(&format!("HT-08 {method} {path}"), &answer, 405, &error("Method Not Allowed"));
        table.same(&format!("HT-08 Allow of {path}"), answer.header("allow"), Some(allow));
    }
    for path in ["/v1/health", "/v1/contacts/find?userId=a", "/v1/admin/buckets"] {
        let (whole, head) =
            (server.get(path).await, server.send(Request::new("HEAD", path).key(ADMIN)).await);
        let sizes = (head.status(), head.body.len(), whole.status());
        table.same(&format!("HT-08 HEAD {path}"), sizes, (200, 0, 200));
    }
    for (method, path) in [
        ("GET", "/v1/events"),
        ("POST", "/v1/events/nothing"),
        ("GET", "/v1/contacts/nothing"),
        ("PUT", "/v1/admin/dlq"),
    ] {
        let answer = server.send(Request::new(method, path)).await;
        table.row(&format!("AU-27 {method} {path} without a key"), &answer, 401, &error("Unauthorized"));
    }
    for query in ["userId=a%00b".to_owned(), format!("userId={}", "x".repeat(513))] {
        let answer = server.get(&format!("/v1/contacts/find?{query}")).await;
        table.same(&format!("HT-10, HT-53 {query}"), answer.status(), 400);
    }
    let twice = server.get("/v1/contacts/find?userId=a&userId=b").await;
    table.same("HT-08 twice", (twice.status(), issues(&twice)), (400, wanted(&[("custom", "userId")])));
    table.end();
}

#[tokio::test]
async fn ht_09_and_ht_60_numbers_and_words_in_queries() {
    let server = site().start();
    let mut table = Table::default();
    for query in [
        "limit=",
        "limit=1.5",
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=%2B5",
        "limit=1e1",
        "limit=5&limit=6",
        "offset=-1",
        "offset=x",
        "offset=10001",
        "enabled=1",
        "enabled=TRUE",
    ] {
        let answer = server.get(&format!("/v1/admin/buckets?{query}")).await;
        table.row(
            &format!("HT-09 {query}"),
            &answer,
            400,
            &json!({"success": false, "error": {"name": "ZodError"}}),
        );
    }
    let all = server.get("/v1/admin/buckets").await;
    table.row(
        "HT-60",
        &all,
        200,
        &json!({"total": 2, "limit": 50, "offset": 0, "buckets": [{"id": "buyers"}, {"id": "pro"}]}),
    );
    let page = server.get("/v1/admin/buckets?limit=1&offset=1").await;
    table.row("HT-60", &page, 200, &json!({"total": 2, "limit": 1, "offset": 1, "buckets": [{"id": "pro"}]}));
    let none = server.get("/v1/admin/buckets?enabled=false").await;
    table.row("BK-220", &none, 200, &json!({"total": 0, "buckets": []}));
    table.end();
}

#[tokio::test]
async fn ht_10_to_ht_32_what_is_wrong_is_told_in_full() {
    let server = site().start();
    let mut table = Table::default();
    let identity = error("email or userId is required");
    for (id, body) in [
        ("HS-04", json!({"name": "x"})),
        ("HT-11", json!({"name": "x", "userId": "  "})),
        ("DP-04", json!({"name": "x", "anonymousId": "a1"})),
    ] {
        table.row(id, &event(&server, body).await, 400, &identity);
    }
    let long = |length: usize| "x".repeat(length);
    let deep = |levels: usize| (1..levels).fold(json!({}), |inside, _| json!({ "a": inside }));
    let wide: Value =
        (0..1001).map(|n| (n.to_string(), Value::from(n))).collect::<serde_json::Map<_, _>>().into();
    for (id, body, expected) in [
        ("HS-04 {}", json!({}), wanted(&[("invalid_type", "name")])),
        ("HT-10 userId", json!({"name": "x", "userId": "a\0b"}), wanted(&[("custom", "userId")])),
        (
            "HT-10 name",
            json!({"name": "x\0", "userId": "u"}),
            wanted(&[("custom", "name"), ("custom", "name")]),
        ),
        (
            "HT-32 order",
            json!({"name": 5, "email": "nope", "userId": "", "eventProperties": [], "timestamp": "soon"}),
            wanted(&[
                ("invalid_type", "name"),
                ("invalid_format", "email"),
                ("too_small", "userId"),
                ("invalid_type", "eventProperties"),
                ("invalid_format", "timestamp"),
            ]),
        ),
        (
            "HT-51 deep",
            json!({"name": "x", "userId": "u", "eventProperties": deep(66)}),
            wanted(&[("custom", "eventProperties")]),
        ),
        (
            "HT-51 wide",
            json!({"name": "x", "userId": "u", "contactProperties": wide}),
            wanted(&[("custom", "contactProperties")]),
        ),
        ("HT-52 empty", json!({"name": "", "userId": "u"}), wanted(&[("too_small", "name")])),
        ("HT-52 long", json!({"name": long(201), "userId": "u"}), wanted(&[("too_big", "name")])),
        ("HT-52 blank", json!({"name": "  ", "userId": "u"}), wanted(&[("custom", "name")])),
        ("HT-53 userId", json!({"name": "x", "userId": long(513)}), wanted(&[("too_big", "userId")])),
        (
            "HT-53 anonymousId",
            json!({"name": "x", "userId": "u", "anonymousId": long(201)}),
            wanted(&[("too_big", "anonymousId")]),
        ),
        (
            "HT-54",
            json!({"name": "x", "userId": "u", "idempotencyKey": long(513)}),
            wanted(&[("too_big", "idempotencyKey")]),
        ),
        (
            "HT-06",
            json!({"name": "x", "userId": "u", "timestamp": "2026-02-30T00:00:00Z"}),
            wanted(&[("invalid_format", "timestamp")]),
        ),
    ] {
        let answer = event(&server, body).await;
        table.same(id, (answer.status(), issues(&answer)), (400, expected));
        let body = answer.json();
        let message = body["error"]["message"].as_str().unwrap_or_default();
        table.same(
            "HT-32 message",
            serde_json::from_str::<Value>(message).ok(),
            Some(body["issues"].clone()),
        );
        table.same("HT-20", (&body["success"], &body["error"]["name"]), (&json!(false), &json!("ZodError")));
    }
    for (id, body) in [
        ("HT-10 values", json!({"name": "x", "userId": "u", "eventProperties": {"note": "a\0b"}})),
        ("HT-51 deep", json!({"name": "x", "userId": "u", "eventProperties": deep(60)})),
        ("HT-52 not trimmed", json!({"name": " x ", "userId": "u"})),
        ("HT-52 long", json!({"name": long(200), "userId": "u"})),
        ("HT-56 contact", json!({"name": "contact.imported", "userId": "u"})),
        ("HT-06 offset", json!({"name": "x", "userId": "u", "timestamp": "2026-02-01T01:00:00+02:00"})),
    ] {
        table.row(id, &event(&server, body).await, 202, &json!({"stored": true}));
    }
    for name in ["bucket:entered:pro", "bucket:"] {
        let reserved = error(&format!("Event name is reserved: {name}"));
        table.row("HT-56", &event(&server, json!({"name": name, "userId": "u"})).await, 400, &reserved);
    }
    let type_issue = event(&server, json!({})).await.json()["issues"][0].clone();
    table.same("HT-32", members(&type_issue), vec!["code", "expected", "message", "path"]);
    let small = event(&server, json!({"name": "", "userId": "u"})).await.json()["issues"][0].clone();
    table.same("HT-32", members(&small), vec!["code", "inclusive", "message", "minimum", "origin", "path"]);
    // HT-35: what was refused left nothing behind.
    table.row(
        "HT-35",
        &server.get("/v1/contacts/find?userId=u&email=nope%40x.io").await,
        200,
        &json!({"contacts": [{"externalId": "u"}]}),
    );
    table.end();
}

#[tokio::test]
async fn ht_40_to_ht_42_headers() {
    let server = site().start();
    let mut table = Table::default();
    let given = |value: &str| Request::new("GET", "/v1/health").header("x-request-id", value);
    let answer = server.send(given("abc_1-2=Z")).await;
    table.same("HT-40 taken over", answer.header("x-request-id"), Some("abc_1-2=Z"));
    for bad in ["with blank", "ümlaut", &"x".repeat(256)] {
        let answer = server.send(given(bad)).await;
        let id = answer.header("x-request-id").unwrap_or_default();
        table.same("HT-40 a UUID is made", (id.len(), id.split('-').count()), (36, 5));
    }
    for request in
        [Request::new("GET", "/v1/nothing"), events().body("x"), Request::new("POST", "/v1/events")]
    {
        let answer = server.send(request.header("x-request-id", "r1")).await;
        table.same("HT-40 on errors", answer.header("x-request-id"), Some("r1"));
        table.same("HT-41 on errors", answer.header("x-content-type-options"), Some("nosniff"));
    }
    for (name, value) in [
        ("x-frame-options", "SAMEORIGIN"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("x-dns-prefetch-control", "off"),
        ("x-xss-protection", "0"),
    ] {
        table.same(&format!("HT-41 {name}"), answer.header(name), Some(value));
    }
    table.same("HT-42 open", answer.header("access-control-allow-origin"), Some("*"));
    let admin = server.get("/v1/admin/buckets").await;
    table.same("HT-42 closed", admin.header("access-control-allow-origin"), None);
    let preflight =
        Request::new("OPTIONS", "/v1/events").header("access-control-request-headers", "authorization");
    let preflight = server.send(preflight).await;
    table.same(
        "HT-42",
        (preflight.status(), preflight.header("access-control-allow-headers")),
        (204, Some("authorization")),
    );
    table.end();
}

#[tokio::test]
async fn ht_43_and_ht_50_size() {
    let server = site().with("MAX_BODY_BYTES", "65536").start();
    let mut table = Table::default();
    let body = |filler: usize| json!({"name": "x", "userId": "u", "eventProperties": {"filler": "y".repeat(filler)}});
    let too_large = error("Payload too large");
    table.row("HT-50", &event(&server, body(60_000)).await, 202, &json!({"stored": true}));
    let refused = event(&server, body(70_000)).await;
    table.row("HT-50", &refused, 413, &too_large);
    let stamped = |name| refused.header(name).is_some();
    table.same("HT-40, HT-41", (stamped("x-request-id"), stamped("x-content-type-options")), (true, true));
    let batch = json!({"events": [body(40_000), body(40_000)]});
    table.row("DP-15 total", &server.post("/v1/events/batch", &batch).await, 413, &too_large);
    let packed = |filler: usize| {
        let bytes = gzip(body(filler).to_string().as_bytes());
        events().header("content-type", "application/json").header("content-encoding", "gzip").body(bytes)
    };
    table.row("HT-43", &server.send(packed(100)).await, 202, &json!({"stored": true}));
    table.row("HS-17", &server.send(packed(70_000)).await, 413, &too_large);
    table.end();
}

#[tokio::test]
async fn ht_43_long_answers_are_compressed_when_asked() {
    let server = site().start();
    let mut table = Table::default();
    for n in 0..40 {
        event(&server, json!({"name": "x", "userId": format!("somebody-{n}")})).await;
    }
    let ask = async |target: &str, accepted: &str| {
        let request = Request::new("GET", target).key(ADMIN).header("accept-encoding", accepted);
        server.send(request).await
    };
    let list = "/v1/admin/contacts?limit=100";
    let plain = server.get(list).await;
    table.same("HT-43 not asked", plain.header("content-encoding"), None);
    table.same("HT-43", plain.header("vary"), Some("Accept-Encoding"));
    let whole = plain.expect(200);
    for (encoding, unpack) in [("gzip", ungzip as fn(&[u8]) -> Vec<u8>), ("deflate", inflate)] {
        let packed = ask(list, encoding).await;
        table.same("HT-43", packed.header("content-encoding"), Some(encoding));
        table.same("HT-43", packed.header("vary"), Some("Accept-Encoding"));
        assert!(packed.body.len() < plain.body.len() / 2, "{} of {}", packed.body.len(), plain.body.len());
        let unpacked: Value = serde_json::from_slice(&unpack(&packed.body)).unwrap();
        table.same("HT-43 same answer", &unpacked["contacts"], &whole["contacts"]);
    }
    let short = ask("/v1/admin/contacts?limit=1", "gzip").await;
    table.same("HT-43 not worth it", short.header("content-encoding"), None);
    assert_eq!(short.expect(200)["contacts"].as_array().map(Vec::len), Some(1));
    table.end();
}

fn ungzip(bytes: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut unpacked).unwrap();
    unpacked
}

fn inflate(bytes: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut unpacked).unwrap();
    unpacked
}
