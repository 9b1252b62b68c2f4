//! Receivers that fail, and what becomes of what they should have got.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    binary,
    receiver::Receiver,
    server::{Server, Site, eventually},
};

const PRO: &str = "id: pro\nname: Pro\nenabled: true\ncriteria: {prop: plan, eq: pro}\n";

async fn join(server: &Server, user: &str) {
    let body = json!({"name": "x", "userId": user, "contactProperties": {"plan": "pro"}});
    assert_eq!(server.post("/v1/events", &body).await.expect(202)["buckets"]["entered"], json!(["pro"]));
}

async fn deliveries(server: &Server, query: &str) -> Vec<Value> {
    let page = server.get(&format!("/v1/admin/webhooks/deliveries?limit=100&{query}")).await.expect(200);
    page["deliveries"].as_array().unwrap().clone()
}

async fn settled(server: &Server) {
    eventually("nothing is pending", async || deliveries(server, "status=pending,sending").await.is_empty())
        .await;
}

fn told(receiver: &Receiver) -> Vec<String> {
    let user = |arrival: crate::receiver::Arrival| {
        arrival.request.json()["data"]["userId"].as_str().unwrap_or_default().to_owned()
    };
    let mut users: Vec<String> = receiver.arrivals().into_iter().map(user).collect();
    users.sort();
    users
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn os_11_nothing_is_sent_again_while_the_queue_catches_up_with_its_outcome() {
    const USERS: usize = 200;
    let site = Site::new(&[("pro", PRO)]);
    let server = site.start();
    // Every fourth message or so fails once and comes back as a retry; were it all of them, the endpoint would be taken
    // for a failing one and served slowly (OB-151).
    let fails = |id: &str| id.ends_with(['0', '4', '8', 'c']);
    let receiver = Receiver::failing_once(fails).await;
    server.subscribe(&receiver.url(), &["bucket.*"]).await;
    for user in 0..USERS {
        join(&server, &format!("user-{user}")).await;
    }
    settled(&server).await;
    let arrivals = receiver.arrivals();
    let failed = arrivals.iter().filter(|arrival| arrival.status == 500).count();
    assert!(failed > 10);
    assert_eq!(arrivals.len(), USERS + failed, "each message once more than it failed");
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_125_an_outage_of_the_receiver_outlives_restarts_and_loses_nothing() {
    let site = Site::new(&[("pro", PRO)]);
    // A port that was free a moment ago, so that nobody answers there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let server = site.start();
    server.subscribe(&format!("http://{address}/hook"), &["bucket.*"]).await;
    for user in ["a", "b", "c"] {
        join(&server, user).await;
    }
    eventually("attempts fail", async || {
        let pending = deliveries(&server, "status=pending,sending").await;
        pending.len() == 3 && pending.iter().all(|delivery| delivery["attemptCount"].as_u64() > Some(0))
    })
    .await;
    server.kill();
    let server = site.start();
    join(&server, "d").await;
    server.stop();
    let server = site.start();
    let receiver = Receiver::at(address, |_| 200).await;
    settled(&server).await;
    assert_eq!(told(&receiver), ["a", "b", "c", "d"]);
    assert_eq!(deliveries(&server, "status=delivered").await.len(), 4);
    server.stop();
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_126_the_last_failure_makes_a_dead_letter() {
    let receiver = Receiver::with(|_| 500).await;
    let site = Site::new(&[("pro", PRO)]).with("OUTBOUND_WEBHOOK_SCHEDULE", "30ms,30ms");
    let server = site.start();
    server.subscribe(&receiver.url(), &["*"]).await;
    join(&server, "a").await;
    settled(&server).await;
    let failed = deliveries(&server, "status=failed&eventType=bucket.entered").await;
    assert_eq!(failed.len(), 1);
    assert_eq!((&failed[0]["attemptCount"], &failed[0]["lastError"]), (&json!(3), &json!("HTTP 500")));
    assert_eq!((&failed[0]["errorClass"], &failed[0]["nextRetryAt"]), (&json!("server_error"), &Value::Null));
    let letters = server.all("/v1/admin/dlq?status=pending&source=webhook-delivery", "entries").await;
    let letter = letters.iter().find(|letter| letter["payload"]["eventType"] == "bucket.entered").unwrap();
    assert_eq!((&letter["sourceId"], &letter["retryCount"]), (&failed[0]["id"], &json!(3)));
    assert_eq!(letter["error"], "Exhausted 3: HTTP 500", "DL-01");
    assert_eq!(letter["payload"]["body"]["data"]["userId"], "a");
    let ids: Vec<_> = receiver
        .arrivals()
        .into_iter()
        .filter(|arrival| arrival.request.json()["type"] == "bucket.entered")
        .map(|arrival| arrival.request.header("webhook-id").map(str::to_owned))
        .collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| id.as_deref() == failed[0]["webhookId"].as_str()), "{ids:?}");
    server.stop();
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn os_06_gone_disables_the_endpoint() {
    let receiver = Receiver::with(|_| 410).await;
    let site = Site::new(&[("pro", PRO)]);
    let server = site.start();
    let endpoint = server.subscribe(&receiver.url(), &["bucket.entered"]).await;
    let path = format!("/v1/admin/webhooks/{}", endpoint["id"].as_str().unwrap());
    join(&server, "a").await;
    eventually("disabled", async || server.get(&path).await.expect(200)["status"] == "disabled").await;
    assert_eq!(server.get(&path).await.expect(200)["disabledReason"], "gone");
    assert_eq!(deliveries(&server, "status=failed").await.len(), 1);
    join(&server, "b").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.stop();
    assert_eq!(receiver.arrivals().len(), 1);
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_122_a_deleted_endpoint_gets_nothing_more() {
    let receiver = Receiver::with(|_| 503).await;
    let site = Site::new(&[("pro", PRO)]);
    let server = site.start();
    let endpoint = server.subscribe(&receiver.url(), &["bucket.entered"]).await;
    join(&server, "a").await;
    eventually("one attempt", async || !receiver.arrivals().is_empty()).await;
    let path = format!("/v1/admin/webhooks/{}", endpoint["id"].as_str().unwrap());
    server.delete(&path).await.expect(200);
    settled(&server).await;
    join(&server, "b").await;
    // One attempt may have been under way when the endpoint went.
    let (status, before) = (deliveries(&server, "").await[0]["status"].clone(), receiver.arrivals().len());
    assert_eq!(status, "discarded");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(receiver.arrivals().len() <= before + 1);
    server.stop();
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn os_08_a_disabled_endpoint_gets_everything_later() {
    let receiver = Receiver::start().await;
    let site = Site::new(&[("pro", PRO)]);
    let server = site.start();
    let endpoint = server.subscribe(&receiver.url(), &["bucket.entered"]).await;
    let path = format!("/v1/admin/webhooks/{}", endpoint["id"].as_str().unwrap());
    server.patch(&path, &json!({"disabled": true})).await.expect(200);
    join(&server, "a").await;
    server.stop();
    let server = site.start();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(
        (receiver.arrivals().len(), deliveries(&server, "status=pending,sending").await.len()),
        (0, 1)
    );
    server.patch(&path, &json!({"disabled": false})).await.expect(200);
    settled(&server).await;
    assert_eq!(told(&receiver), ["a"]);
    server.stop();
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_hangs_holds_up_nobody() {
    let site = Site::new(&[("pro", PRO)]).with("OUTBOUND_WEBHOOK_TIMEOUT_MS", "2000");
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let receiver = Receiver::start().await;
    let server = site.start();
    server.subscribe(&format!("http://{}/hook", hanging.local_addr().unwrap()), &["bucket.entered"]).await;
    server.subscribe(&receiver.url(), &["bucket.entered"]).await;
    for n in 0..40 {
        join(&server, &format!("u{n}")).await;
    }
    eventually("the other gets everything", async || receiver.arrivals().len() == 40).await;
    let begun = std::time::Instant::now();
    server.stop();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    binary::assert_verified(&site.data());
    drop(hanging);
}
