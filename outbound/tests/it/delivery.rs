//! The worker and the guarded client together, against receivers on real sockets.

use std::{sync::Arc, time::Duration};

use mainspring_outbound::{
    client::GuardedClient,
    schedule::Schedule,
    secret::{self, Key},
    settings::Settings,
    signature,
    worker::{Ports, Worker},
};
use mainspring_schemas::{Timestamp, event::delivery::AttemptResult};

use crate::{
    receiver::{Behaviour, Received, Receiver},
    world::{Middle, RuntimeClock, World},
};

fn settings() -> Settings {
    let variables = |name: &str| match name {
        "OUTBOUND_WEBHOOK_ALLOW_HTTP" => Some("true".to_owned()),
        "OUTBOUND_WEBHOOK_ALLOWED_HOSTS" => Some("127.0.0.1".to_owned()),
        _ => None,
    };
    let settings = Settings::from_variables(variables).unwrap();
    Settings { schedule: Schedule::Delays(vec![1; 40]), ..settings }
}

/// Runs a worker until nothing is pending any more.
async fn deliver(world: &Arc<World>) {
    let settings = settings();
    let ports = Ports {
        queue: world.clone(),
        endpoints: world.clone(),
        log: world.clone(),
        destinations: Arc::default(),
        transport: Arc::new(GuardedClient::new(&settings).unwrap()),
        clock: Arc::new(RuntimeClock::new()),
        random: Arc::new(Middle),
    };
    let (worker, handle) = Worker::new(ports, settings);
    let running = tokio::spawn(worker.run());
    let mut position = mainspring_outbound::ports::DeliveryQueue::position(&**world);
    while world.pending() > 0 {
        tokio::time::timeout(Duration::from_secs(30), position.changed()).await.expect("progress").unwrap();
    }
    handle.stop(Duration::from_secs(5));
    assert_eq!(running.await.unwrap().released, 0);
}

fn header(received: &Received, name: &str) -> String {
    let line =
        |line: &str| line.split_once(": ").filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    received.head.lines().find_map(line).unwrap()
}

#[tokio::test]
async fn w1_everything_arrives_at_a_receiver_that_fails_in_every_way() {
    let receiver = Receiver::start(|number| match number % 7 {
        0 => Behaviour::Answer("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
        2 => Behaviour::Reset,
        4 => {
            Behaviour::Answer("HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n")
        }
        5 => Behaviour::Answer("what is this\r\n\r\n"),
        _ => Behaviour::Answer("HTTP/1.1 204 No Content\r\n\r\n"),
    })
    .await;
    let world = World::new(Duration::ZERO);
    let endpoint = world.endpoint(&receiver.url());
    let deliveries: Vec<_> = (0..200).map(|_| world.enqueue(endpoint, "contact.created")).collect();
    deliver(&world).await;
    let requests = receiver.requests();
    for delivery in deliveries {
        assert_eq!(world.outcomes_of(delivery).last().unwrap().result, AttemptResult::Delivered);
    }
    assert_eq!(world.outcomes().len(), requests.len(), "each outcome is recorded");
    let key = Key::parse(&secret::generate([7; 32])).unwrap();
    let mut bodies = std::collections::HashMap::new();
    for request in &requests {
        let (id, sent) = (header(request, "Webhook-Id"), header(request, "Webhook-Timestamp"));
        let now = Timestamp(sent.parse::<i64>().unwrap() * 1000);
        let signatures = header(request, "Webhook-Signature");
        let keys = std::slice::from_ref(&key);
        assert_eq!(signature::verify(keys, &id, &sent, &signatures, &request.body, now), Ok(()));
        assert_eq!(bodies.entry(id).or_insert_with(|| request.body.clone()), &request.body, "W2");
    }
    assert_eq!(bodies.len(), 200);
}

#[tokio::test]
async fn os_15_an_endpoint_at_a_private_address_fails_at_once() {
    let world = World::new(Duration::ZERO);
    let endpoint = world.endpoint("http://10.0.0.5/hook");
    let delivery = world.enqueue(endpoint, "contact.created");
    deliver(&world).await;
    let outcome = &world.outcomes_of(delivery)[0];
    assert_eq!(outcome.result, AttemptResult::Failed);
    assert_eq!(outcome.error.as_deref(), Some("destination not allowed (private)"));
    assert_eq!((outcome.error_class.as_deref(), outcome.response_status), (Some("blocked"), None));
}
