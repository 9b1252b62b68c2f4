//! Many dead letters at once, through the API and from the command line.

use serde_json::{Value, json};

use crate::{
    binary,
    receiver::Receiver,
    server::{Server, Site, eventually},
};

const PRO: &str = "id: pro\nname: Pro\nenabled: true\ncriteria: {prop: plan, eq: pro}\n";

async fn letters(server: &Server, status: &str) -> Vec<Value> {
    server.all(&format!("/v1/admin/dlq?status={status}"), "entries").await
}

async fn settled(server: &Server) {
    let pending = "/v1/admin/webhooks/deliveries?status=pending,sending";
    eventually("nothing is pending", async || {
        server.get(pending).await.expect(200)["deliveries"].as_array().unwrap().is_empty()
    })
    .await;
}

fn users(receiver: &Receiver) -> Vec<String> {
    let user = |arrival: crate::receiver::Arrival| {
        arrival.request.json()["data"]["userId"].as_str().unwrap().to_owned()
    };
    receiver.arrivals().into_iter().map(user).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dl_05_dead_letters_are_retried_and_discarded_by_filter() {
    let mends = Receiver::with(|arrived| if arrived < 4 { 400 } else { 200 }).await;
    let broken = Receiver::with(|_| 400).await;
    let site = Site::new(&[("pro", PRO)])
        .with("OUTBOUND_WEBHOOK_SCHEDULE", "none")
        .with("OUTBOUND_WEBHOOK_ENDPOINT_CONCURRENCY", "1");
    let server = site.start();
    let one = server.subscribe(&mends.url(), &["bucket.entered"]).await["id"].clone();
    let other = server.subscribe(&broken.url(), &["bucket.entered"]).await["id"].clone();
    for user in ["a", "b", "c", "d"] {
        let body = json!({"name": "x", "userId": user, "contactProperties": {"plan": "pro"}});
        server.post("/v1/events", &body).await.expect(202);
    }
    settled(&server).await;
    assert_eq!(letters(&server, "pending").await.len(), 8);

    for refused in [
        json!({}),
        json!({"limit": 0}),
        json!({"limit": 1001}),
        json!({"limit": 1, "endpointId": "x"}),
        json!({"limit": 1, "since": "yesterday"}),
        json!({"limit": 1, "endpointID": one}),
    ] {
        for path in ["/v1/admin/dlq/retry", "/v1/admin/dlq/discard"] {
            server.post(path, &refused).await.expect(400);
        }
    }
    let retry = async |body: Value| server.post("/v1/admin/dlq/retry", &body).await.expect(200);
    let discard = async |body: Value| server.post("/v1/admin/dlq/discard", &body).await.expect(200);
    let later = "2999-01-01T00:00:00.000Z";
    for (asked, remaining) in [
        (json!({"limit": 5, "dryRun": true}), 8),
        (json!({"limit": 5, "dryRun": true, "endpointId": one}), 4),
        (json!({"limit": 5, "source": "webhook-delivery", "dryRun": true}), 8),
        (json!({"limit": 5, "source": "journey"}), 0),
        (json!({"limit": 5, "since": later}), 0),
    ] {
        assert_eq!(retry(asked.clone()).await, json!({"queued": 0, "remaining": remaining}), "{asked}");
        assert_eq!(discard(asked.clone()).await, json!({"discarded": 0, "remaining": remaining}), "{asked}");
    }

    assert_eq!(retry(json!({"endpointId": one, "limit": 3})).await, json!({"queued": 3, "remaining": 1}));
    settled(&server).await;
    assert_eq!(users(&mends), ["a", "b", "c", "d", "a", "b", "c"], "oldest first");
    assert_eq!(letters(&server, "retried").await.len(), 3);
    server
        .patch(&format!("/v1/admin/webhooks/{}", other.as_str().unwrap()), &json!({"disabled": true}))
        .await
        .expect(200);
    assert_eq!(
        retry(json!({"limit": 100})).await,
        json!({"queued": 1, "remaining": 0}),
        "not of a disabled endpoint"
    );
    settled(&server).await;
    assert_eq!(users(&mends).pop().unwrap(), "d");

    assert_eq!(discard(json!({"limit": 3})).await, json!({"discarded": 3, "remaining": 1}));
    assert_eq!(letters(&server, "discarded").await.len(), 3);
    assert_eq!(broken.arrivals().len(), 4, "nothing of it was sent again");
    server.stop();
    binary::assert_verified(&site.data());

    let data = site.data();
    let run = |words: &[&str]| {
        let mut all = vec!["dlq"];
        all.extend_from_slice(words);
        all.extend(["--json", "--data-dir", data.to_str().unwrap()]);
        let output = binary::run(&all);
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let listed = run(&["list"]);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["endpointId"]), (1, &other));
    assert_eq!(run(&["retry", "--limit", "9"]), json!({"queued": 0, "remaining": 0}), "it is disabled");
    let counted = run(&["discard", "--limit", "9", "--dry-run"]);
    assert_eq!(counted, json!({"discarded": 0, "remaining": 1}));
    let other = other.as_str().unwrap();
    assert_eq!(
        run(&["discard", "--limit", "9", "--endpoint", other]),
        json!({"discarded": 1, "remaining": 0})
    );
    assert_eq!(run(&["list"]), json!([]));
    assert_eq!(run(&["list", "--status", "discarded,retried"]).as_array().unwrap().len(), 8);
}
