//! A receiver that believes nothing it cannot verify.

use serde_json::json;

use super::Verifiers;
use crate::{
    faults::{
        behaviour::Behaviour,
        proof::{arrive, prove, site},
        receiver::FaultyReceiver,
    },
    server::{Server, eventually},
};

/// One more person arrives, and with it two more messages, verified by exactly these secrets.
async fn told(server: &Server, receiver: &FaultyReceiver, user: &str, good: &[&str], bad: &[&str]) {
    let before = receiver.arrivals().len();
    arrive(server, user).await;
    eventually("both messages are taken", async || {
        receiver.arrivals()[before..].iter().filter(|arrival| arrival.taken()).count() == 2
    })
    .await;
    for arrival in &receiver.arrivals()[before..] {
        for secret in good {
            Verifiers::new(secret).verify(&arrival.request).unwrap();
        }
        for secret in bad {
            assert!(Verifiers::new(secret).verify(&arrival.request).is_err(), "{user}: a secret of the past");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_107_os_12_other_libraries_verify_every_request_also_while_secrets_overlap() {
    let server = site().start();
    // Each message fails once, so that retries are verified too.
    let receiver = FaultyReceiver::scripted(|n| match n % 4 {
        0 | 1 => Behaviour::Status(500),
        _ => Behaviour::Take,
    })
    .await;
    let endpoint = server.subscribe(&receiver.url(), &["*"]).await;
    let path = format!("/v1/admin/webhooks/{}", endpoint["id"].as_str().unwrap());
    let rotate = async |grace: u32| {
        let body = json!({"gracePeriodSeconds": grace});
        let answer = server.post(&format!("{path}/rotate-secret"), &body).await.expect(200);
        answer["secret"].as_str().unwrap().to_owned()
    };
    let first = endpoint["secret"].as_str().unwrap();
    told(&server, &receiver, "a", &[first], &[]).await;
    let second = &rotate(600).await;
    told(&server, &receiver, "b", &[first, second], &[]).await;
    let third = &rotate(600).await;
    told(&server, &receiver, "c", &[first, second, third], &[]).await;
    let fourth = &rotate(0).await;
    told(&server, &receiver, "d", &[fourth], &[first, second, third]).await;
    let last = &rotate(1).await;
    eventually("the overlap ends", async || {
        let seen = receiver.arrivals().len();
        server.post(&format!("{path}/test"), &json!({})).await.expect(202);
        receiver.wait_for_arrivals(seen + 1).await;
        Verifiers::new(fourth).verify(&receiver.arrivals()[seen].request).is_err()
    })
    .await;
    told(&server, &receiver, "e", &[last], &[first, second, third, fourth]).await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_104_other_libraries_refuse_what_was_changed_on_the_way() {
    let server = site().start();
    let receiver = FaultyReceiver::always(Behaviour::Take).await;
    let endpoint = server.subscribe(&receiver.url(), &["*"]).await;
    let verifiers = Verifiers::new(endpoint["secret"].as_str().unwrap());
    arrive(&server, "a").await;
    receiver.wait_for_arrivals(2).await;
    prove(&receiver.arrivals(), &verifiers, &["a"]);
    let genuine = receiver.arrivals()[0].request.clone();
    let mut changed = genuine.clone();
    *changed.body.last_mut().unwrap() = b' ';
    assert!(verifiers.verify(&changed).is_err(), "another body");
    let other = receiver.arrivals()[1].request.clone();
    changed = genuine.clone();
    changed.body = other.body;
    assert!(verifiers.verify(&changed).is_err(), "the body of another message");
    server.stop();
}
