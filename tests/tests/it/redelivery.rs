//! Sending again what failed, what was delivered, and what an endpoint never got.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    binary,
    http::Request,
    receiver::Receiver,
    server::{ADMIN, Server, Site, eventually},
};

const PRO: &str = "id: pro\nname: Pro\nenabled: true\ncriteria: {prop: plan, eq: pro}\n";
const LONG_AGO: &str = "2020-01-01T00:00:00.000Z";

async fn join(server: &Server, user: &str) {
    let body = json!({"name": "x", "userId": user, "contactProperties": {"plan": "pro"}});
    server.post("/v1/events", &body).await.expect(202);
}

async fn deliveries(server: &Server, query: &str) -> Vec<Value> {
    let page = server.get(&format!("/v1/admin/webhooks/deliveries?limit=100&{query}")).await.expect(200);
    page["deliveries"].as_array().unwrap().clone()
}

async fn one(server: &Server, id: &Value) -> Value {
    server.get(&format!("/v1/admin/webhooks/deliveries/{}", id.as_str().unwrap())).await.expect(200)
}

async fn settled(server: &Server) {
    eventually("nothing is pending", async || deliveries(server, "status=pending,sending").await.is_empty())
        .await;
}

fn path_of(endpoint: &Value) -> String {
    format!("/v1/admin/webhooks/{}", endpoint["id"].as_str().unwrap())
}

fn retry_of(delivery: &Value) -> String {
    format!("/v1/admin/webhooks/deliveries/{}/retry", delivery["id"].as_str().unwrap())
}

fn users(receiver: &Receiver) -> Vec<String> {
    let user = |arrival: crate::receiver::Arrival| {
        arrival.request.json()["data"]["userId"].as_str().unwrap_or_default().to_owned()
    };
    receiver.arrivals().into_iter().map(user).collect()
}

async fn recovered(server: &Server, task: &Value) -> Value {
    let path = format!("/v1/admin/webhooks/recoveries/{}", task["taskId"].as_str().unwrap());
    eventually("the recovery ends", async || server.get(&path).await.expect(200)["status"] == "completed")
        .await;
    settled(server).await;
    server.get(&path).await.expect(200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn os_16_ob_160_ob_155_a_dead_letter_is_delivered_again() {
    let receiver = Receiver::with(|arrived| if arrived < 3 { 500 } else { 200 }).await;
    let site = Site::new(&[("pro", PRO)]).with("OUTBOUND_WEBHOOK_SCHEDULE", "20ms,20ms");
    let server = site.start();
    let url = format!("{}?token=abc&v=1", receiver.url());
    let endpoint = server.subscribe(&url, &["bucket.entered"]).await;
    join(&server, "a").await;
    settled(&server).await;
    let failed = deliveries(&server, "status=failed").await.remove(0);
    let letters = server.all("/v1/admin/dlq?status=pending,discarded", "entries").await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["payload"]["url"], format!("{}?token=***&v=1", receiver.url()), "OB-156");
    let letter = format!("/v1/admin/dlq/{}", letters[0]["id"].as_str().unwrap());
    let answer = server.post(&format!("{letter}/retry"), &json!({})).await.expect(200);
    assert_eq!(answer, json!({"retried": true, "deliveryId": failed["id"]}));
    settled(&server).await;
    let detail = one(&server, &failed["id"]).await;
    assert_eq!((&detail["status"], &detail["attemptCount"]), (&json!("delivered"), &json!(4)));
    let attempts = detail["attempts"].as_array().unwrap();
    let numbers: Vec<(u64, bool)> =
        attempts.iter().map(|one| (one["n"].as_u64().unwrap(), one["manual"].as_bool().unwrap())).collect();
    assert_eq!(numbers, [(4, true), (3, false), (2, false), (1, false)], "newest first");
    assert!(attempts.iter().all(|one| one["secretCount"] == 1));
    let entry = server.all("/v1/admin/dlq?status=retried", "entries").await.remove(0);
    assert!(entry["retriedAt"].is_string());
    assert_eq!(
        server.post(&format!("{letter}/retry"), &json!({})).await.expect(409)["error"],
        "Entry is not in pending state"
    );
    for _ in 0..2 {
        assert_eq!(server.delete(&letter).await.expect(200), json!({"discarded": true}));
    }
    let nowhere = "/v1/admin/dlq/0197b6c2-5a0e-7cc3-8a4e-3f1f6ad0b7f1";
    assert_eq!(server.delete(nowhere).await.expect(404)["error"], "DLQ entry not found");

    // Also what was delivered, with the same bytes; numbers go on.
    assert_eq!(server.post(&retry_of(&failed), &json!({})).await.expect(202)["deliveryId"], failed["id"]);
    settled(&server).await;
    let arrivals = receiver.arrivals();
    assert_eq!(arrivals.len(), 5);
    let ids: Vec<_> =
        arrivals.iter().map(|one| one.request.header("webhook-id").unwrap().to_owned()).collect();
    assert!(
        ids.iter().all(|id| *id == ids[0])
            && arrivals.iter().all(|one| one.request.body == arrivals[0].request.body)
    );

    let stats = server.get(&format!("{}/stats?period=7d", path_of(&endpoint))).await.expect(200);
    let figures =
        ["delivered", "failed", "pending", "held", "attempts"].map(|name| stats[name].as_u64().unwrap());
    assert_eq!(figures, [2, 1, 0, 0, 5]);
    assert_eq!(stats["byClass"], json!({"server_error": 3}));
    assert!(stats["p50Ms"].is_u64() && stats["p95Ms"].as_u64() >= stats["p50Ms"].as_u64());
    server.get(&format!("{}/stats?period=1y", path_of(&endpoint))).await.expect(400);

    server.patch(&path_of(&endpoint), &json!({"disabled": true})).await.expect(200);
    assert_eq!(
        server.post(&retry_of(&failed), &json!({})).await.expect(409)["error"],
        "Endpoint is disabled"
    );
    server
        .post("/v1/admin/webhooks/deliveries/0197b6c2-5a0e-7cc3-8a4e-3f1f6ad0b7f1/retry", &json!({}))
        .await
        .expect(404);
    server.stop();
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_154_a_dead_letter_names_the_address_that_was_asked() {
    let receiver = Receiver::with(|_| 500).await;
    let site = Site::new(&[("pro", PRO)]).with("OUTBOUND_WEBHOOK_SCHEDULE", "20ms,20ms");
    let server = site.with("ENABLED_DESTINATION_PRESETS", "*").start();
    let slack = format!("{}/services/T0/B0/credential", receiver.origin());
    for (kind, url, config) in [
        ("posthog", "posthog://capture", json!({"apiKey": "phc_credential", "host": receiver.origin()})),
        ("segment", "https://example.com/informational", json!({"writeKey": "k", "host": receiver.origin()})),
        ("slack", "https://example.com/informational", json!({ "url": slack })),
    ] {
        let endpoint = json!({"url": url, "kind": kind, "config": config, "eventTypes": ["bucket.entered"]});
        server.post("/v1/admin/webhooks", &endpoint).await.expect(201);
    }
    join(&server, "a").await;
    settled(&server).await;
    let letters = server.all("/v1/admin/dlq", "entries").await;
    let mut shown: Vec<String> = letters
        .iter()
        .map(|letter| letter["payload"]["url"].as_str().unwrap().replace(&receiver.origin(), ""))
        .collect();
    shown.sort();
    assert_eq!(shown, ["/***", "/capture/", "/v1/track"]);
    assert!(!json!(letters).to_string().contains("credential"), "OB-156");
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_120_ob_160_what_is_in_flight_is_shown_and_cannot_be_retried() {
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site = Site::new(&[("pro", PRO)]);
    let server = site.start();
    server.subscribe(&format!("http://{}/hook", hanging.local_addr().unwrap()), &["bucket.entered"]).await;
    join(&server, "a").await;
    let _connection = hanging.accept().await.unwrap();
    let delivery = deliveries(&server, "").await.remove(0);
    assert_eq!((&delivery["status"], &delivery["attemptCount"]), (&json!("sending"), &json!(0)));
    assert!(delivery["lastAttemptAt"].is_string(), "{delivery}");
    assert_eq!(deliveries(&server, "status=sending,failed").await, std::slice::from_ref(&delivery));
    assert_eq!(deliveries(&server, "status=pending").await, [json!(null); 0]);
    assert_eq!(deliveries(&server, "status=pending,sending").await.len(), 1);
    assert_eq!(one(&server, &delivery["id"]).await["status"], "sending");
    assert_eq!(
        server.post(&retry_of(&delivery), &json!({})).await.expect(409)["error"],
        "Delivery is in flight"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_161_a_span_is_recovered_in_log_order_and_survives_a_kill() {
    const USERS: usize = 600;
    let receiver = Receiver::start().await;
    let site = Site::new(&[("pro", PRO)]).with("OUTBOUND_WEBHOOK_ENDPOINT_CONCURRENCY", "1");
    let server = site.start();
    let endpoint = server.subscribe(&receiver.url(), &["bucket.entered"]).await;
    for user in 0..USERS {
        join(&server, &format!("user-{user:04}")).await;
    }
    settled(&server).await;
    let recover = format!("{}/recover", path_of(&endpoint));
    server.post(&recover, &json!({"until": LONG_AGO})).await.expect(400);
    server.post(&recover, &json!({"since": LONG_AGO, "status": ["pending"]})).await.expect(400);
    let replay = json!({"since": LONG_AGO, "status": ["delivered"]});
    let task = server.post(&recover, &replay).await.expect(202);
    assert_eq!(task["matched"], json!(USERS));
    let second = server.post(&recover, &replay).await;
    assert!([202, 409].contains(&second.status()), "the first one may be through already");
    server.kill();
    let server = site.start();
    let done = recovered(&server, &task).await;
    assert_eq!((&done["queued"], &done["failed"]), (&json!(USERS), &json!(0)));
    let mut told = users(&receiver).split_off(USERS);
    // What was told just before the kill and not recorded yet is told once more after it.
    let steps_back = told.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!(steps_back <= 1, "in log order, before the kill and after it");
    told.sort();
    told.dedup();
    assert_eq!(told.len(), USERS);
    server.stop();
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_161_messages_that_an_endpoint_never_got_are_delivered_once() {
    let (early, late) = (Receiver::start().await, Receiver::start().await);
    // One attempt after another, so that the order of arrival is the order in which they left.
    let site = Site::new(&[("pro", PRO)]).with("OUTBOUND_WEBHOOK_ENDPOINT_CONCURRENCY", "1");
    let server = site.start();
    server.subscribe(&early.url(), &["bucket.*"]).await;
    for user in ["a", "b", "erased"] {
        join(&server, user).await;
    }
    server.put("/v1/contacts", &json!({"userId": "b", "properties": {"plan": "free"}})).await.expect(200);
    let request =
        Request::new("DELETE", "/v1/contacts?erase=true").key(ADMIN).json(&json!({"userId": "erased"}));
    assert!([200, 202].contains(&server.send(request).await.status()));
    let endpoint = server.subscribe(&late.url(), &["bucket.entered"]).await;
    let recover = format!("{}/recover", path_of(&endpoint));
    for round in 0..2 {
        let task =
            server.post(&recover, &json!({"since": LONG_AGO, "includeMissed": true})).await.expect(202);
        let done = recovered(&server, &task).await;
        let expected = if round == 0 { 2 } else { 0 };
        assert_eq!((&done["missed"], &done["matched"]), (&json!(expected), &json!(expected)), "{done}");
    }
    assert_eq!(
        users(&late),
        ["a", "b"],
        "in log order, only what it is subscribed to, nobody who was erased"
    );
    let first = |receiver: &Receiver| receiver.arrivals().remove(0).request;
    assert_eq!(first(&early).header("webhook-id"), first(&late).header("webhook-id"), "OB-61");
    assert_eq!(first(&early).body, first(&late).body, "the envelope is the same, byte for byte");
    let erased = Request::new("DELETE", "/v1/contacts?erase=true").key(ADMIN).json(&json!({"userId": "a"}));
    assert!([200, 202].contains(&server.send(erased).await.status()));
    let mut gone = Vec::new();
    for delivery in deliveries(&server, "").await {
        if one(&server, &delivery["id"]).await["payload"].is_null() {
            gone.push(server.post(&retry_of(&delivery), &json!({})).await.status());
        }
    }
    assert_eq!(gone, [409, 409, 409], "early and late of a, early of the other one");
    server.stop();
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_163_old_deliveries_leave_and_nothing_brings_them_back() {
    let receiver = Receiver::with(|arrived| if arrived < 1 { 400 } else { 200 }).await;
    let site = Site::new(&[("pro", PRO)])
        .with("OUTBOUND_WEBHOOK_SCHEDULE", "none")
        .with("OUTBOUND_WEBHOOK_RETENTION", "1s");
    let server = site.start();
    let endpoint = server.subscribe(&receiver.url(), &["bucket.entered"]).await;
    for user in ["a", "b", "c"] {
        join(&server, user).await;
        settled(&server).await;
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    server.stop();
    let server = site.start();
    eventually("the delivered ones leave", async || deliveries(&server, "").await.len() == 1).await;
    assert_eq!(deliveries(&server, "").await[0]["status"], "failed", "failed ones stay for ninety days");
    let recover = format!("{}/recover", path_of(&endpoint));
    let everything = json!({"since": LONG_AGO, "status": ["delivered"], "includeMissed": true});
    let done = recovered(&server, &server.post(&recover, &everything).await.expect(202)).await;
    assert_eq!(done["queued"], 0, "what was forgotten was not missed");
    server.stop();
    assert_eq!(receiver.arrivals().len(), 3);
    binary::assert_verified(&site.data());
    std::fs::remove_dir_all(site.data().join("read-models")).unwrap();
    let server = site.start();
    settled(&server).await;
    assert_eq!((deliveries(&server, "").await.len(), receiver.arrivals().len()), (1, 3), "OB-65");
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oc_92_deliveries_are_repeated_from_the_command_line() {
    let receiver = Receiver::with(|arrived| if arrived < 2 { 400 } else { 200 }).await;
    let site = Site::new(&[("pro", PRO)]).with("OUTBOUND_WEBHOOK_SCHEDULE", "none");
    let server = site.start();
    let endpoint = server.subscribe(&receiver.url(), &["bucket.entered"]).await;
    join(&server, "a").await;
    join(&server, "b").await;
    settled(&server).await;
    server.stop();
    let data = site.data();
    let run = |words: &[&str]| {
        let mut all = vec!["deliveries"];
        all.extend_from_slice(words);
        all.extend(["--json", "--data-dir", data.to_str().unwrap()]);
        let output = binary::run(&all);
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), serde_json::from_str::<Value>(&text).unwrap_or_default())
    };
    let (code, listed) = run(&["list", "--status", "failed"]);
    assert_eq!((code, listed.as_array().unwrap().len()), (Some(0), 2));
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(run(&["show", &id]).1["attempts"][0]["manual"], false);
    assert_eq!(run(&["retry", &id]), (Some(0), json!({"retried": [id]})));
    let endpoint = endpoint["id"].as_str().unwrap();
    let (code, task) = run(&["recover", "--endpoint", endpoint, "--since", "2020-01-01"]);
    assert_eq!((code, &task["matched"]), (Some(0), &json!(1)), "the other one is pending");
    assert_eq!(
        run(&["recover", "--endpoint", endpoint, "--since", "2020-01-01"]).0,
        Some(2),
        "one at a time"
    );
    assert_eq!(run(&["retry", "0197b6c2-5a0e-7cc3-8a4e-3f1f6ad0b7f1"]).0, Some(2));
    let server = site.start();
    assert_eq!(recovered(&server, &task).await["delivered"], 1);
    assert_eq!(deliveries(&server, "status=delivered").await.len(), 2);
    assert_eq!(receiver.arrivals().len(), 4);
    server.stop();
    binary::assert_verified(&site.data());
}
