//! Sending again what was delivered before: to a receiver that lost it, or a new one.

use serde_json::{Value, json};

use crate::{
    binary,
    http::Message,
    receiver::Receiver,
    server::{Server, Site, eventually},
};

const PRO: &str = "id: pro\nname: Pro\nenabled: true\ncriteria: {prop: plan, eq: pro}\n";
const LONG_AGO: &str = "2020-01-01T00:00:00.000Z";
const LATER: &str = "2999-01-01T00:00:00.000Z";

async fn settled(server: &Server) {
    let pending = "/v1/admin/webhooks/deliveries?status=pending,sending";
    eventually("nothing is pending", async || {
        server.get(pending).await.expect(200)["deliveries"].as_array().unwrap().is_empty()
    })
    .await;
}

async fn done(server: &Server, task: &Value) -> Value {
    let path = format!("/v1/admin/webhooks/recoveries/{}", task["taskId"].as_str().unwrap());
    eventually("all is queued", async || server.get(&path).await.expect(200)["status"] == "completed").await;
    settled(server).await;
    server.get(&path).await.expect(200)
}

async fn plan(server: &Server, user: &str, plan: &str) {
    let body = json!({"name": "x", "userId": user, "contactProperties": {"plan": plan}});
    server.post("/v1/events", &body).await.expect(202);
}

/// Whose, of which type, and what the header says.
fn told(request: &Message) -> (String, String, Option<&str>) {
    let body = request.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&body["data"]["userId"]), text(&body["type"]), request.header("webhook-replay"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oc_93_what_was_delivered_is_sent_again_in_order_and_says_so() {
    // The third fails for good, and one of the replay for once.
    let receiver = Receiver::with(|arrived| if [2, 6].contains(&arrived) { 500 } else { 200 }).await;
    let site = Site::new(&[("pro", PRO)])
        .with("OUTBOUND_WEBHOOK_SCHEDULE", "none")
        .with("OUTBOUND_WEBHOOK_ENDPOINT_CONCURRENCY", "1");
    let server = site.start();
    let endpoint = server.subscribe(&receiver.url(), &["bucket.*"]).await;
    let path = format!("/v1/admin/webhooks/{}", endpoint["id"].as_str().unwrap());
    let forged = json!({"headers": {"Webhook-Replay": "true"}});
    server.patch(&path, &forged).await.expect(400);
    for user in ["a", "b", "c"] {
        plan(&server, user, "pro").await;
        settled(&server).await;
    }
    plan(&server, "a", "free").await;
    settled(&server).await;
    let before: Vec<Message> = receiver.arrivals().into_iter().map(|one| one.request).collect();
    assert_eq!(before.len(), 4);
    assert!(before.iter().all(|one| one.header("webhook-replay").is_none()));

    let replay = format!("{path}/replay");
    for refused in [
        json!({}),
        json!({"since": LATER, "until": LONG_AGO}),
        json!({"since": LONG_AGO, "eventTypes": ["bucket.lft"]}),
    ] {
        server.post(&replay, &refused).await.expect(400);
    }
    let nothing = server.post(&replay, &json!({"since": LATER, "until": LATER})).await.expect(202);
    assert_eq!(nothing["matched"], 0);
    done(&server, &nothing).await;
    let task = server.post(&replay, &json!({"since": LONG_AGO, "until": LATER})).await.expect(202);
    assert_eq!(task["matched"], 3, "not what failed");
    let progress = done(&server, &task).await;
    let figures = ["queued", "delivered", "failed", "pending"].map(|name| progress[name].as_u64().unwrap());
    assert_eq!(figures, [3, 2, 1, 0], "{progress}");
    let again: Vec<Message> = receiver.arrivals().into_iter().skip(4).map(|one| one.request).collect();
    let told_again: Vec<_> = again.iter().map(told).collect();
    let expected = [("a", "bucket.entered"), ("b", "bucket.entered"), ("a", "bucket.left")]
        .map(|(user, what)| (user.to_owned(), what.to_owned(), Some("true")));
    assert_eq!(told_again, expected, "in log order");
    for (replayed, first) in again.iter().zip([&before[0], &before[1], &before[3]]) {
        assert_eq!(replayed.body, first.body);
        assert_eq!(replayed.header("webhook-id"), first.header("webhook-id"));
    }

    // What failed in a replay is still one when it is asked for again; what never arrived is none.
    let recover = json!({"since": LONG_AGO, "status": ["failed"]});
    done(&server, &server.post(&format!("{path}/recover"), &recover).await.expect(202)).await;
    let rest: Vec<Message> = receiver.arrivals().into_iter().skip(7).map(|one| one.request).collect();
    let mut rest: Vec<_> =
        rest.iter().map(told).map(|(user, what, replay)| (user, what, replay.is_some())).collect();
    rest.sort();
    let entered = ("c".to_owned(), "bucket.entered".to_owned(), false);
    assert_eq!(rest, [("a".to_owned(), "bucket.left".to_owned(), true), entered]);

    // A delivery that somebody asks for by itself is none.
    let deliveries = server.get("/v1/admin/webhooks/deliveries?order=asc").await.expect(200);
    let first = &deliveries["deliveries"][0];
    assert_eq!(first["replay"], true);
    let retry = format!("/v1/admin/webhooks/deliveries/{}/retry", first["id"].as_str().unwrap());
    server.post(&retry, &json!({})).await.expect(202);
    settled(&server).await;
    assert_eq!(receiver.arrivals().pop().unwrap().request.header("webhook-replay"), None);
    server.stop();
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oc_93_a_replay_from_the_command_line() {
    let receiver = Receiver::start().await;
    let site = Site::new(&[("pro", PRO)]);
    let server = site.start();
    let endpoint = server.subscribe(&receiver.url(), &["bucket.*"]).await;
    plan(&server, "a", "pro").await;
    plan(&server, "a", "free").await;
    settled(&server).await;
    server.stop();
    let data = site.data();
    let run = |words: &[&str]| {
        let mut all = vec!["webhooks"];
        all.extend_from_slice(words);
        all.extend(["--json", "--data-dir", data.to_str().unwrap()]);
        let output = binary::run(&all);
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default())
    };
    let id = endpoint["id"].as_str().unwrap();
    let span = |from, to| ["replay", "--endpoint", id, "--from", from, "--to", to];
    assert_eq!(run(&span("2999-01-01", "2020-01-01")).0, Some(2));
    let unknown = [&span("2020-01-01", "2999-01-01")[..], &["--events", "bucket.lft"]].concat();
    assert_eq!(run(&unknown).0, Some(2));
    let left = [&span("2020-01-01", "2999-01-01")[..], &["--events", "bucket.left"]].concat();
    let (code, task) = run(&left);
    assert_eq!((code, &task["matched"]), (Some(0), &json!(1)));
    let words = ["progress", task["taskId"].as_str().unwrap()];
    assert_eq!(run(&words).1["status"], "running");
    let server = site.start();
    assert_eq!(done(&server, &task).await["delivered"], 1);
    server.stop();
    let arrivals = receiver.arrivals();
    let last = told(&arrivals.last().unwrap().request);
    assert_eq!((arrivals.len(), last), (3, ("a".to_owned(), "bucket.left".to_owned(), Some("true"))));
    assert_eq!(run(&words).1["status"], "completed");
    assert_eq!(run(&["progress", id]).0, Some(2), "that is no task");
}
