//! Receivers that do everything wrong that a receiver can do wrong, and what it means to the others: nothing.

pub mod behaviour;
pub mod proof;
pub mod receiver;

use std::time::Duration;

use serde_json::{Value, json};

use self::{
    behaviour::Behaviour,
    proof::{all_taken, arrive, prove, site},
    receiver::FaultyReceiver,
};
use crate::{
    binary,
    server::{Server, eventually},
    verifiers::Verifiers,
};

/// A receiver and its endpoint.
struct Subscriber {
    receiver: FaultyReceiver,
    id: String,
    verifiers: Verifiers,
}

impl Subscriber {
    async fn new(server: &Server, receiver: FaultyReceiver, types: &[&str]) -> Self {
        let endpoint = server.subscribe(&receiver.url(), types).await;
        let text = |name: &str| endpoint[name].as_str().unwrap().to_owned();
        Self { receiver, id: text("id"), verifiers: Verifiers::new(&text("secret")) }
    }

    async fn always(server: &Server, behaviour: Behaviour) -> Self {
        Self::new(server, FaultyReceiver::always(behaviour).await, &["*"]).await
    }

    /// Its deliveries.
    async fn deliveries(&self, server: &Server, query: &str) -> Vec<Value> {
        let target = format!("/v1/admin/webhooks/{}/deliveries?limit=100&{query}", self.id);
        server.get(&target).await.expect(200)["deliveries"].as_array().unwrap().clone()
    }

    /// Status and error class of those that were attempted.
    async fn attempted(&self, server: &Server) -> Vec<(Value, Value)> {
        let mut deliveries = self.deliveries(server, "").await;
        deliveries.retain(|delivery| delivery["attemptCount"] != json!(0));
        deliveries.iter().map(|one| (one["status"].clone(), one["errorClass"].clone())).collect()
    }

    fn prove(&self, users: &[&str]) {
        prove(&self.receiver.arrivals(), &self.verifiers, users);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_130_whatever_a_receiver_does_it_is_told_of_everything_and_delays_nobody() {
    const USERS: [&str; 4] = ["a", "b", "c", "d"];
    let site = site();
    let server = site.start();
    let mut faulty = Vec::new();
    for (fault, class) in Behaviour::FAULTS {
        faulty.push((Subscriber::always(&server, fault).await, fault, class));
    }
    let mut healthy = Vec::new();
    for behaviour in [Behaviour::Take, Behaviour::TakeAfterInterim, Behaviour::TakeAndSayMore] {
        healthy.push(Subscriber::always(&server, behaviour).await);
    }
    for user in USERS {
        arrive(&server, user).await;
    }
    for healthy in &healthy {
        eventually("the healthy are told", async || all_taken(&healthy.receiver, &USERS)).await;
    }
    for (subscriber, fault, class) in &faulty {
        eventually(&format!("{fault:?} is a failed attempt"), async || {
            !subscriber.attempted(&server).await.is_empty()
        })
        .await;
        let seen = subscriber.attempted(&server).await;
        // The next attempt may be under way already.
        let expected = ["pending", "sending"].map(|status| (json!(status), json!(class)));
        assert!(seen.iter().all(|found| expected.contains(found)), "{fault:?}: {seen:?}");
        assert!(subscriber.receiver.taken().is_empty(), "{fault:?}");
    }
    for (subscriber, ..) in &faulty {
        subscriber.receiver.heal();
    }
    for (subscriber, fault, _) in &faulty {
        eventually(&format!("{fault:?} is over"), async || {
            subscriber.deliveries(&server, "status=pending,sending").await.is_empty()
        })
        .await;
        assert_eq!(
            subscriber.deliveries(&server, "status=delivered").await.len(),
            2 * USERS.len(),
            "{fault:?}"
        );
        subscriber.prove(&USERS);
    }
    for healthy in &healthy {
        healthy.prove(&USERS);
    }
    server.stop();
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn os_13_endpoints_that_hang_delay_no_other() {
    // Nothing that hangs is given up while the test lasts.
    let server = site().with("OUTBOUND_WEBHOOK_TIMEOUT_MS", "600000").start();
    let mut hanging = Vec::new();
    for behaviour in [Behaviour::Hang, Behaviour::DripHead, Behaviour::DripBody, Behaviour::EndlessInterim] {
        hanging.push(Subscriber::always(&server, behaviour).await);
    }
    let healthy = Subscriber::always(&server, Behaviour::Take).await;
    let users: Vec<String> = (0..50).map(|n| format!("u{n:02}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    for (n, user) in users.iter().enumerate() {
        arrive(&server, user).await;
        if n == 0 {
            for hanging in &hanging {
                hanging.receiver.wait_for_arrivals(1).await;
            }
        }
    }
    eventually("the other is told of everything", async || all_taken(&healthy.receiver, &users)).await;
    healthy.prove(&users);
    for hanging in &hanging {
        assert!(hanging.receiver.connections() > 0, "it still hangs");
        let deliveries = hanging.deliveries(&server, "").await;
        assert!(deliveries.iter().all(|delivery| delivery["attemptCount"] == json!(0)), "{deliveries:?}");
    }
    server.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn os_14_who_asks_for_time_gets_it_and_the_others_do_not_wait() {
    const WAIT: Duration = Duration::from_secs(1);
    let server = site().start();
    let script = |n| if n == 0 { Behaviour::Throttle(1) } else { Behaviour::Take };
    let throttled = FaultyReceiver::scripted(script).await;
    let throttled = Subscriber::new(&server, throttled, &["bucket.entered"]).await;
    let healthy = Subscriber::always(&server, Behaviour::Take).await;
    arrive(&server, "a").await;
    eventually("the wish is known", async || {
        throttled
            .deliveries(&server, "status=pending,sending")
            .await
            .iter()
            .any(|one| one["errorClass"] == "throttled")
    })
    .await;
    for user in ["b", "c", "d"] {
        arrive(&server, user).await;
    }
    eventually("all are told", async || {
        throttled.receiver.taken().len() == 4 && all_taken(&healthy.receiver, &["a", "b", "c", "d"])
    })
    .await;
    let arrivals = throttled.receiver.arrivals();
    let early: Vec<_> =
        arrivals[1..].iter().map(|next| next.at - arrivals[0].at).filter(|wait| *wait < WAIT).collect();
    assert!(early.is_empty(), "{early:?}");
    healthy.prove(&["a", "b", "c", "d"]);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_88_an_endpoint_that_was_gone_gets_what_was_held_when_it_is_enabled_again() {
    const USERS: [&str; 5] = ["a", "b", "c", "d", "e"];
    let site = site();
    let server = site.start();
    let subscriber = Subscriber::always(&server, Behaviour::Status(410)).await;
    let path = format!("/v1/admin/webhooks/{}", subscriber.id);
    arrive(&server, USERS[0]).await;
    eventually("disabled", async || server.get(&path).await.expect(200)["status"] == "disabled").await;
    for user in &USERS[1..] {
        arrive(&server, user).await;
    }
    subscriber.receiver.heal();
    server.patch(&path, &json!({"disabled": false})).await.expect(200);
    eventually("nothing is pending", async || {
        subscriber.deliveries(&server, "status=pending,sending").await.is_empty()
    })
    .await;
    let ids = |deliveries: Vec<Value>| -> Vec<String> {
        let mut ids: Vec<_> =
            deliveries.iter().map(|delivery| delivery["webhookId"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let failed = ids(subscriber.deliveries(&server, "status=failed").await);
    let delivered = ids(subscriber.deliveries(&server, "status=delivered").await);
    assert_eq!(failed.len() + delivered.len(), 2 * USERS.len(), "{failed:?} {delivered:?}");
    let gone = Behaviour::Status(410);
    let mut refused: Vec<String> = Vec::new();
    let mut taken: Vec<String> = Vec::new();
    for arrival in subscriber.receiver.arrivals() {
        let place = if arrival.behaviour == gone { &mut refused } else { &mut taken };
        place.push(arrival.id().to_owned());
    }
    refused.sort();
    taken.sort();
    assert_eq!((refused, taken), (failed, delivered), "410 is final for those that got it, and for no other");
    server.stop();
    binary::assert_verified(&site.data());
}
