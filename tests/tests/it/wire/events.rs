//! `POST /v1/events` and its batch form.

use serde_json::{Value, json};

use super::{Table, error, site};
use crate::{
    http::{Message, Request},
    server::{ADMIN, Server},
};

async fn event(server: &Server, body: Value) -> Message {
    server.post("/v1/events", &body).await
}

#[tokio::test]
async fn dp_01_to_dp_12_ingest_answers() {
    let server = site().start();
    let mut table = Table::default();
    let order =
        || json!({"name": "order.placed", "userId": "u1", "eventProperties": {"nested": {"a": [1, null]}}});
    let first = event(&server, order()).await;
    table.row(
        "DP-11",
        &first,
        202,
        &json!({"stored": true, "exits": [], "contactKey": "u1", "buckets": {"entered": [], "left": []}}),
    );
    let body = first.json();
    table.same(
        "DP-12",
        (body["eventId"].as_str().map(str::len), body["contactId"].as_str().map(str::len)),
        (Some(36), Some(36)),
    );
    table.row(
        "DP-12",
        &event(&server, order()).await,
        202,
        &json!({"buckets": {"entered": ["buyers"], "left": []}}),
    );
    let pro = json!({"name": "x", "userId": "u1", "contactProperties": {"plan": "pro", "seats": 3}});
    table.row(
        "DP-06",
        &event(&server, pro).await,
        202,
        &json!({"buckets": {"entered": ["pro"], "left": []}}),
    );
    let cleared = json!({"name": "x", "userId": "u1", "contactProperties": {"plan": null}});
    table.row(
        "DP-06",
        &event(&server, cleared).await,
        202,
        &json!({"buckets": {"entered": [], "left": ["pro"]}}),
    );
    let found = server.get("/v1/contacts/find?userId=u1").await;
    table.same("DP-05, DP-06", &found.json()["contacts"][0]["properties"], &json!({"seats": 3}));

    let email = event(&server, json!({"name": "x", "email": "Only@Example.com"})).await;
    let contact = email.json()["contactId"].clone();
    let key = email.json()["contactKey"].clone();
    table.same("DP-11 without other keys the uuid is the contact key", &key, &contact);
    for (id, body) in [
        ("HS-12", json!({"name": "x", "userId": key})),
        ("DP-02", json!({"name": "x", "email": "only@example.COM"})),
        ("DP-03", json!({"name": "x", "userId": "  u9  ", "email": "only@example.com"})),
        ("DP-03", json!({"name": "x", "userId": "u9", "anonymousId": "anon-9"})),
        ("DP-03", json!({"name": "x", "userId": "anon-9"})),
    ] {
        table.row(id, &event(&server, body).await, 202, &json!({"stored": true, "contactId": contact}));
    }
    let late = json!({"name": "x", "userId": "u1", "timestamp": "2999-01-01T00:00:00Z"});
    table.row("DP-09", &event(&server, late).await, 400, &json!({}));
    let lists = json!({"name": "x", "userId": "u1", "email": "u1@example.com", "lists": {"news": true}});
    table.row(
        "DP-13",
        &event(&server, lists).await,
        202,
        &json!({"stored": true, "listsError": "Unknown list: news"}),
    );
    let lists = json!({"name": "x", "userId": "u1", "lists": {"news": "yes"}});
    table.row("DP-07", &event(&server, lists).await, 400, &json!({"success": false}));
    table.end();
}

#[tokio::test]
async fn ik_01_to_ik_07_repeats() {
    let server = site().start();
    let mut table = Table::default();
    let request = |user: &str, plan: &str, key: Option<&str>, header: Option<&str>| {
        let mut body = json!({"name": "order.placed", "userId": user, "contactProperties": {"plan": plan}});
        if let Some(key) = key {
            body["idempotencyKey"] = json!(key);
        }
        let request = Request::new("POST", "/v1/events").key(ADMIN).json(&body);
        match header {
            Some(header) => request.header("idempotency-key", header),
            None => request,
        }
    };
    let first = server.send(request("u1", "free", Some("k"), None)).await;
    table.row("HS-01", &first, 202, &json!({"stored": true}));
    let id = first.json()["eventId"].clone();
    let again = server.send(request("u1", "free", Some("k"), None)).await;
    table.row("IK-02", &again, 202, &json!({"stored": false, "exits": [], "contactKey": "u1", "duplicate": {"eventId": id, "sameRequest": true}}));
    let other = server.send(request("u1", "pro", Some("k"), None)).await;
    table.row(
        "IK-02",
        &other,
        202,
        &json!({"stored": false, "duplicate": {"eventId": id, "sameRequest": false}}),
    );
    let found = server.get("/v1/contacts/find?userId=u1").await;
    table.same("IK-04", &found.json()["contacts"][0]["properties"], &json!({"plan": "free"}));
    table.row(
        "IK-03 per contact",
        &server.send(request("u2", "free", Some("k"), None)).await,
        202,
        &json!({"stored": true}),
    );
    for (id, key, header, stored) in [
        ("HS-02", Some("K1"), Some("K2"), true),
        ("HS-02", Some("K1"), None, true),
        ("HS-02", Some("K2"), None, false),
        ("HS-03", Some("K3"), Some(""), true),
        ("HS-03", Some("K3"), Some(""), false),
        ("IK-01 empty", Some(""), None, true),
        ("IK-07", None, None, true),
        ("IK-07", None, None, true),
    ] {
        let answer = server.send(request("u3", "free", key, header)).await;
        table.row(id, &answer, 202, &json!({"stored": stored}));
    }
    // IK-03: a merged contact answers for its former selves.
    server.send(request("u4", "free", Some("of-u4"), None)).await.expect(202);
    server.put("/v1/contacts", &json!({"userId": "u4", "email": "four@example.com"})).await.expect(200);
    server.put("/v1/contacts", &json!({"userId": "u3", "email": "four@example.com"})).await.expect(200);
    table.row(
        "IK-03",
        &server.send(request("u3", "free", Some("of-u4"), None)).await,
        202,
        &json!({"stored": false}),
    );
    table.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ik_06_of_concurrent_repeats_one_is_stored() {
    let server = site().start();
    let body = json!({"name": "order.placed", "userId": "u", "idempotencyKey": "once"});
    let calls: Vec<_> = (0..40)
        .map(|_| {
            let request = Request::new("POST", "/v1/events").key(ADMIN).json(&body);
            let address = server.address;
            tokio::spawn(async move {
                crate::http::Connection::open(address)
                    .await
                    .unwrap()
                    .send(&request)
                    .await
                    .unwrap()
                    .expect(202)
            })
        })
        .collect();
    let mut stored = Vec::new();
    let mut ids = std::collections::BTreeSet::new();
    for call in calls {
        let answer = call.await.unwrap();
        let id = if answer["stored"] == true { &answer["eventId"] } else { &answer["duplicate"]["eventId"] };
        ids.insert(id.as_str().unwrap().to_owned());
        stored.extend((answer["stored"] == true).then_some(()));
    }
    assert_eq!((stored.len(), ids.len()), (1, 1));
    let page = server.get("/v1/admin/buckets/buyers/members").await.expect(200);
    assert_eq!(page["total"], 0, "one order is no two orders");
}

#[tokio::test]
async fn dp_15_batches_answer_item_by_item() {
    let server = site().start();
    let mut table = Table::default();
    let batch = json!({"events": [
        {"name": "order.placed", "userId": "b1", "idempotencyKey": "1"},
        {"name": "order.placed"},
        {"name": "order.placed", "userId": "b1", "idempotencyKey": "1"},
        {"name": "order.placed", "userId": "b1"},
        {"name": "", "userId": "b1"},
        "no event",
        {"name": "bucket:entered:x", "userId": "b1"},
        {"name": "x", "userId": "b1", "lists": {"news": true}},
        {"name": "x", "email": "second@example.com", "contactProperties": {"plan": "pro"}},
    ]});
    let expected = json!({"results": [
        {"stored": true, "contactKey": "b1", "buckets": {"entered": []}},
        {"status": 400, "error": "email or userId is required"},
        {"stored": false, "duplicate": {"sameRequest": true}},
        {"stored": true, "buckets": {"entered": ["buyers"]}},
        {"status": 400},
        {"status": 400},
        {"status": 400, "error": "Event name is reserved: bucket:entered:x"},
        {"stored": true, "listsError": "Unknown list: news"},
        {"stored": true, "buckets": {"entered": ["pro"]}},
    ]});
    let answer = server.post("/v1/events/batch", &batch).await;
    table.row("DP-15", &answer, 202, &expected);
    let results = answer.json()["results"].clone();
    table.same("DP-15", &results[2]["duplicate"]["eventId"], &results[0]["eventId"]);
    for (id, body) in
        [("DP-15", json!({})), ("DP-15", json!({"events": []})), ("DP-15", json!({"events": {}}))]
    {
        table.row(id, &server.post("/v1/events/batch", &body).await, 400, &json!({"success": false}));
    }
    let many: Vec<Value> = (0..500).map(|n| json!({"name": "x", "userId": format!("m{}", n % 50)})).collect();
    let answer = server.post("/v1/events/batch", &json!({ "events": many })).await.expect(202);
    let results = answer["results"].as_array().unwrap();
    let keys = results.iter().enumerate().all(|(n, result)| result["contactKey"] == format!("m{}", n % 50));
    table.same("DP-15 same order", (results.len(), keys), (500, true));
    table.row(
        "HT-04",
        &server
            .send(
                Request::new("POST", "/v1/events/batch")
                    .key(ADMIN)
                    .header("content-type", "application/json")
                    .body("["),
            )
            .await,
        400,
        &error("Malformed JSON in request body"),
    );
    table.end();
}

#[tokio::test]
async fn ig_50_an_operator_sends_an_event_by_hand() {
    let server = site().start();
    let mut table = Table::default();
    let path = "/v1/admin/events";
    let body = json!({"event": "order.placed", "userId": "u1", "userEmail": "u1@example.com", "properties": {"n": 1}});
    let sent = server.post(path, &body).await;
    table.row("IG-50", &sent, 202, &json!({"stored": true, "exits": [], "contactKey": "u1"}));
    let second = server.post(path, &body).await;
    table.row("IG-50", &second, 202, &json!({"stored": true, "buckets": {"entered": ["buyers"]}}));
    let timeline = server.get("/v1/admin/contacts/u1/timeline").await.expect(200);
    let events: Vec<&Value> = timeline["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["data"]["event"] == "order.placed")
        .collect();
    table.same("IG-50", (events.len(), &events[0]["data"]["properties"]), (2, &json!({"n": 1})));
    let nobody = server.post(path, &json!({"event": "x"})).await;
    table.row("IG-50", &nobody, 400, &error("email or userId is required"));
    for wrong in [
        json!({"userId": "u1"}),
        json!({"event": " ", "userId": "u1"}),
        json!({"event": "bucket:entered:pro", "userId": "u1"}),
        json!({"event": "x", "userId": "u1", "properties": 7}),
    ] {
        table.same("IG-50", server.post(path, &wrong).await.status(), 400);
    }
    table.end();
}

#[tokio::test]
async fn ik_02_rs_24_what_looks_like_a_mistake_of_the_caller_shows_in_the_health() {
    let server = site().start();
    for name in ["a", "b"] {
        event(&server, json!({"name": name, "userId": "u1", "anonymousId": "v1", "idempotencyKey": "k"}))
            .await;
    }
    event(&server, json!({"name": "a", "userId": "u2", "anonymousId": "v1"})).await.expect(202);
    let health = server.get("/v1/health").await.expect(200);
    assert_eq!(health["identity"], json!({"refusedKeys": 0, "conflicts": 1, "reusedIdempotencyKeys": 1}));
    let open = server.send(Request::new("GET", "/v1/health")).await.expect(200);
    assert!(open.get("identity").is_none(), "only for a key that may read");
}
