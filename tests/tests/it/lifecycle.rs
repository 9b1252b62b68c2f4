//! Starting, stopping, changing definitions, importing: what an operator does.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use mainspring_schemas::event::{ContactEvent, DomainEvent};
use serde_json::{Value, json};

use crate::{
    binary,
    http::{Connection, Request},
    journal,
    random::{Random, seed},
    receiver::Receiver,
    server::{ADMIN, Server, Site, eventually},
};

const BUYERS: &str =
    "id: buyers\nname: Buyers\nenabled: true\ncriteria: {event: order.placed, count: {gte: 2}}\n";
const ANY_BUYER: &str = "id: buyers\nname: Buyers\nenabled: true\ncriteria: {event: order.placed}\n";

fn order(user: &str) -> Value {
    json!({"name": "order.placed", "userId": user})
}

async fn built(server: &Server, bucket: &str) {
    let path = format!("/v1/admin/buckets/{bucket}");
    eventually("the back-fill is through", async || {
        server.get(&path).await.expect(200)["bucket"]["state"] == "live"
    })
    .await;
}

async fn members(server: &Server, bucket: &str) -> Vec<String> {
    let stays = server.all(&format!("/v1/admin/buckets/{bucket}/members"), "members").await;
    let mut users: Vec<String> =
        stays.iter().map(|stay| stay["userId"].as_str().unwrap().to_owned()).collect();
    users.sort();
    users
}

/// Sends events until the server is gone, and returns how many were acknowledged.
async fn flood(address: std::net::SocketAddr, caller: usize) -> usize {
    let Ok(mut connection) = Connection::open(address).await else { return 0 };
    for n in 0.. {
        let body = json!({"name": "x", "userId": format!("u{caller}-{n}"), "idempotencyKey": "k"});
        let request = Request::new("POST", "/v1/events").key(ADMIN).json(&body);
        match connection.send(&request).await {
            Ok(answer) if answer.status() == 202 => assert_eq!(answer.json()["stored"], true),
            Ok(answer) => {
                assert_eq!(answer.status(), 503, "{}", String::from_utf8_lossy(&answer.body));
                return n;
            }
            Err(_) => return n,
        }
    }
    unreachable!("the server ends first")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lv_11_a_stop_under_load_loses_nothing_acknowledged() {
    let site = Site::new(&[("buyers", BUYERS)]);
    let server = site.start();
    let callers: Vec<_> = (0..8).map(|caller| tokio::spawn(flood(server.address, caller))).collect();
    tokio::time::sleep(Duration::from_millis(400)).await;
    server.stop();
    let mut acknowledged = Vec::new();
    for caller in callers {
        acknowledged.push(caller.await.unwrap());
    }
    assert!(acknowledged.iter().sum::<usize>() > 8, "{acknowledged:?}");
    binary::assert_verified(&site.data());

    let server = site.start();
    let mut connection = Connection::open(server.address).await.unwrap();
    for (caller, count) in acknowledged.into_iter().enumerate() {
        for n in (0..count).rev().take(20) {
            let body = json!({"name": "x", "userId": format!("u{caller}-{n}"), "idempotencyKey": "k"});
            let request = Request::new("POST", "/v1/events").key(ADMIN).json(&body);
            let answer = connection.send(&request).await.unwrap().expect(202);
            assert_eq!(answer["stored"], false, "u{caller}-{n} is remembered");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lv_11_a_request_under_way_is_answered_before_the_end() {
    let site = Site::new(&[("buyers", BUYERS)]);
    let mut server = site.start();
    let mut connection = Connection::open(server.address).await.unwrap();
    let request = Request::new("POST", "/v1/events").key(ADMIN).json(&order("late"));
    let (begin, rest) = request.split();
    connection.write(&begin).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.process.terminate();
    tokio::time::sleep(Duration::from_millis(300)).await;
    connection.write(&rest).await.unwrap();
    let answer = connection.answer(false).await.unwrap();
    assert_eq!(answer.expect(202)["stored"], true);
    let (code, stderr) = server.process.end();
    assert_eq!(code, Some(0), "{stderr}");
    let server = site.start();
    assert_eq!(
        server.get("/v1/contacts/find?userId=late").await.expect(200)["contacts"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lv_11_idle_connections_do_not_hold_up_the_end() {
    let site = Site::new(&[]);
    let server = site.start();
    let mut idle = Connection::open(server.address).await.unwrap();
    idle.send(&Request::new("GET", "/v1/health")).await.unwrap().expect(200);
    let begun = Instant::now();
    server.stop();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lv_11_cf_49_load_balancers_are_told_before_requests_are_refused() {
    let site = Site::new(&[]).with("DRAIN_DELAY", "10m").with("SHUTDOWN_GRACE", "11m");
    let mut server = site.start();
    server.get("/v1/health/ready").await.expect(200);
    server.process.terminate();
    eventually("it is not ready any more", async || server.get("/v1/health/ready").await.status() == 503)
        .await;
    assert_eq!(server.post("/v1/events", &order("late")).await.expect(202)["stored"], true);
    server.process.terminate();
    let (code, stderr) = server.process.end();
    assert_eq!(code, Some(1), "a second signal waits for nothing: {stderr}");
    let (code, stderr) = Site::new(&[]).with("SHUTDOWN_GRACE", "soon").spawn().end();
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("SHUTDOWN_GRACE"), "{stderr}");
}

#[tokio::test]
async fn cf_41_and_oc_02_how_processes_end() {
    let site = Site::new(&[("buyers", BUYERS)]);
    let server = site.start();
    let mut second = site.spawn();
    let (code, stderr) = second.end();
    assert_eq!(code, Some(5), "{stderr}");
    assert!(stderr.contains("in use"), "{stderr}");
    assert_eq!(binary::verify(&site.data()).0, Some(5));
    let port = server.address.to_string();
    let other = tempfile::tempdir().unwrap();
    let other = other.path().join("data");
    let taken = binary::run(&["serve", "--data-dir", other.to_str().unwrap(), "--listen", &port]);
    assert_eq!(taken.status.code(), Some(5), "{}", String::from_utf8_lossy(&taken.stderr));
    server.get("/v1/health").await.expect(200);
    server.stop();

    site.define(
        "broken",
        "id: broken\nname: Broken\nenabled: true\ncriteria: {event: x, count: {around: 2}}\n",
    );
    let (code, stderr) = site.spawn().end();
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("broken.yaml:4"), "{stderr}");
    let (code, stderr) = Site::new(&[]).with("OUTBOUND_WEBHOOK_SCHEDULE", "soon").spawn().end();
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("OUTBOUND_WEBHOOK_SCHEDULE"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bk_180_to_bk_203_definitions_change_between_runs() {
    let receiver = Receiver::start().await;
    let site = Site::new(&[("buyers", BUYERS)]);
    let server = site.start();
    server.subscribe(&receiver.url(), &["bucket.entered", "bucket.left"]).await;
    for user in ["a", "a", "b", "c", "c"] {
        server.post("/v1/events", &order(user)).await.expect(202);
    }
    assert_eq!(members(&server, "buyers").await, ["a", "c"]);
    eventually("two joins are told", async || receiver.arrivals().len() == 2).await;
    server.stop();

    // Nothing changed, so nothing is decided anew.
    let before = journal::read(&site.data()).await.len();
    site.start().stop();
    let after = journal::read(&site.data()).await;
    assert_eq!(
        after.len(),
        before,
        "{:?}",
        after[before..].iter().map(|entry| &entry.record.event_type).collect::<Vec<_>>()
    );

    // Wider criteria: who meets them joins silently.
    site.define("buyers", ANY_BUYER);
    let server = site.start();
    built(&server, "buyers").await;
    assert_eq!(members(&server, "buyers").await, ["a", "b", "c"]);
    let joined = server.get("/v1/admin/buckets/buyers/members?userId=b").await.expect(200);
    assert_eq!(joined["members"][0]["source"], "backfill");
    server.stop();

    // Narrower criteria: who does not meet them any more leaves, and that is told.
    site.define("buyers", BUYERS);
    let server = site.start();
    built(&server, "buyers").await;
    assert_eq!(members(&server, "buyers").await, ["a", "c"]);
    eventually("the leave is told", async || receiver.arrivals().len() == 3).await;
    let told = receiver.arrivals()[2].request.json();
    assert_eq!((&told["type"], &told["data"]["userId"]), (&json!("bucket.left"), &json!("b")));
    server.stop();

    // Away and back.
    fs::remove_file(site.definitions().join("buyers.yaml")).unwrap();
    let server = site.start();
    assert_eq!(server.get("/v1/admin/buckets").await.expect(200)["total"], 0);
    server.post("/v1/events", &order("b")).await.expect(202);
    server.stop();
    site.define("buyers", BUYERS);
    let server = site.start();
    built(&server, "buyers").await;
    assert_eq!(members(&server, "buyers").await, ["a", "b", "c"]);
    server.stop();
    assert_eq!(receiver.arrivals().len(), 3, "BK-182: joins of a back-fill are silent");
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_models_come_back_equal_and_send_nothing_again() {
    let receiver = Receiver::start().await;
    let site = Site::new(&[("buyers", ANY_BUYER)]);
    let server = site.start();
    server.subscribe(&receiver.url(), &["bucket.entered"]).await;
    for n in 0..20 {
        server.post("/v1/events", &order(&format!("u{n:02}"))).await.expect(202);
    }
    eventually("all settled", async || {
        let delivered =
            server.get("/v1/admin/webhooks/deliveries?status=delivered&limit=100").await.expect(200);
        delivered["deliveries"].as_array().unwrap().len() == 20
    })
    .await;
    let before = members(&server, "buyers").await;
    server.stop();
    fs::remove_dir_all(site.data().join("read-models")).unwrap();
    for entry in fs::read_dir(site.data()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name.to_str().unwrap().starts_with("snapshots.sqlite")) {
            fs::remove_file(path).unwrap();
        }
    }
    let server = site.start();
    eventually("rebuilt", async || members(&server, "buyers").await == before).await;
    let delivered = server.get("/v1/admin/webhooks/deliveries?status=delivered&limit=100").await.expect(200);
    assert_eq!(delivered["deliveries"].as_array().unwrap().len(), 20);
    assert_eq!(server.post("/v1/events", &order("u00")).await.expect(202)["buckets"]["entered"], json!([]));
    server.stop();
    binary::assert_verified(&site.data());
    assert_eq!(receiver.arrivals().len(), 20, "OB-65");
}

fn import(site: &Site, text: &str, more: &[&str]) -> (Option<i32>, Value, String) {
    let file = site.root().join("history.ndjson");
    fs::write(&file, text).unwrap();
    let (data, definitions) = (site.data(), site.definitions());
    let mut arguments = vec!["import", file.to_str().unwrap(), "--format", "ndjson", "--json"];
    arguments.extend(["--data-dir", data.to_str().unwrap(), "--definitions", definitions.to_str().unwrap()]);
    arguments.extend(more);
    let output = binary::run(&arguments);
    let summary = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), summary, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn an_import_is_history_to_the_server() {
    let recent = "id: recent\nname: Recent\nenabled: true\ncriteria: {event: order.placed, within: 7d}\n";
    let site = Site::new(&[("buyers", BUYERS), ("recent", recent)]);
    let lines = [
        r#"{"name":"order.placed","userId":"a","timestamp":"2026-01-01T00:00:00Z"}"#,
        r#"{"name":"order.placed","userId":"a","timestamp":"2026-01-02T00:00:00Z"}"#,
        r#"{"name":"order.placed","userId":"b","timestamp":"2026-01-20T00:00:00Z","contactProperties":{"plan":"pro"}}"#,
    ];
    let text = lines.join("\n");
    let (code, summary, stderr) = import(&site, &text, &[]);
    assert_eq!(code, Some(0), "{stderr}");
    let expected = json!({"records": 3, "buckets": {
        "buyers": {"entered": 1, "left": 0, "members": 1},
        "recent": {"entered": 2, "left": 1, "members": 1},
    }});
    assert_eq!(summary, expected);
    let (code, summary, stderr) = import(&site, &text, &[]);
    assert_eq!((code, summary), (Some(0), expected), "nothing twice: {stderr}");
    let (code, _, stderr) = import(&site, &format!("{text}\n{{\"name\":\"x\"}}\n"), &["--max-errors", "0"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains('4'), "the line is named: {stderr}");
    binary::assert_verified(&site.data());

    let server = site.start();
    assert_eq!(members(&server, "buyers").await, ["a"]);
    let found = server.get("/v1/contacts/find?userId=b").await.expect(200);
    assert_eq!(found["contacts"][0]["properties"], json!({"plan": "pro"}));
    assert_eq!(
        server.post("/v1/events", &order("b")).await.expect(202)["buckets"]["entered"],
        json!(["buyers", "recent"])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bk_188_a_killed_back_fill_goes_on_and_decides_everybody_once() {
    let seed = seed();
    println!("MAINSPRING_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let site = Site::new(&[]);
    let mut text = String::new();
    for n in 0..3_000 {
        text.push_str(&format!(
            "{{\"name\":\"order.placed\",\"userId\":\"u{:04}\",\"timestamp\":\"2026-01-01T00:00:00Z\"}}\n",
            n % 2_000
        ));
    }
    let (code, _, stderr) = import(&site, &text, &[]);
    assert_eq!(code, Some(0), "{stderr}");
    site.define("buyers", BUYERS);
    for _ in 0..4 {
        let mut process = site.spawn();
        tokio::time::sleep(Duration::from_millis(random.between(30, 250))).await;
        process.kill();
    }
    let server = site.start();
    built(&server, "buyers").await;
    assert_eq!(members(&server, "buyers").await.len(), 1_000);
    server.stop();
    binary::assert_verified(&site.data());
    let mut joins: BTreeMap<String, u32> = BTreeMap::new();
    for entry in journal::read(&site.data()).await {
        if let DomainEvent::Contact(ContactEvent::BucketEntered(event)) = entry.event {
            assert!(!event.announced);
            *joins.entry(event.user_key.to_string()).or_default() += 1;
        }
    }
    let expected: BTreeMap<String, u32> = (0..1_000).map(|n| (format!("u{n:04}"), 1)).collect();
    assert_eq!(joins, expected);
}
