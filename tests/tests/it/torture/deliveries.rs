//! The same with webhooks: receivers that hang, reset, drip, refuse and talk nonsense while the process dies again and
//! again. In the end every one of them was told of everybody who was accepted, and of nobody else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use mainspring_schemas::event::{ContactEvent, DomainEvent};
use parking_lot::Mutex;
use serde_json::json;

use crate::{
    binary,
    faults::{
        behaviour::Behaviour,
        proof::{TYPES, arrive, prove_requests, site, subject},
        receiver::FaultyReceiver,
    },
    http::{Connection, Request},
    journal,
    random::{Random, rounds, seed},
    server::{ADMIN, Server, eventually},
    verifiers::Verifiers,
};

/// Few enough that slow receivers keep up: this is about moments, not about load.
const CALLERS: usize = 3;

/// Between two calls of a caller.
const PAUSE: Duration = Duration::from_millis(15);

/// What each receiver does instead of taking a request, and how often in percent.
const RECEIVERS: [(&[Behaviour], u64); 6] = [
    (&[], 0),
    (&[Behaviour::Status(500), Behaviour::Status(503), Behaviour::Redirect], 30),
    (&[Behaviour::Hang, Behaviour::EndlessInterim], 5),
    (&[Behaviour::DripHead, Behaviour::DripBody], 5),
    (&[Behaviour::Reset, Behaviour::ResetInHead, Behaviour::ResetInBody, Behaviour::CloseAtAccept], 30),
    (&[Behaviour::NoHttp, Behaviour::BrokenChunks, Behaviour::ShortBody, Behaviour::UnaskedAnswer], 30),
];

/// A receiver that is sometimes at fault.
async fn receiver(mut random: Random, faults: &'static [Behaviour], percent: u64) -> FaultyReceiver {
    FaultyReceiver::scripted(move |_| {
        if random.percent(percent) {
            faults[random.between(0, faults.len() as u64) as usize]
        } else {
            Behaviour::Take
        }
    })
    .await
}

/// Whether each person who was sent was acknowledged.
type Ledger = Arc<Mutex<BTreeMap<String, bool>>>;

/// New people one after the other, until the server is gone.
async fn call(address: std::net::SocketAddr, ledger: Ledger, name: String) {
    let Ok(mut connection) = Connection::open(address).await else { return };
    for n in 0.. {
        let user = format!("{name}-{n}");
        let body = json!({"userId": user, "properties": {"plan": "pro"}});
        ledger.lock().insert(user.clone(), false);
        match connection.send(&Request::new("PUT", "/v1/contacts").key(ADMIN).json(&body)).await {
            Ok(answer) if answer.status() == 200 => ledger.lock().insert(user, true),
            Ok(answer) => panic!("{} {}", answer.first, String::from_utf8_lossy(&answer.body)),
            Err(_) => return,
        };
        tokio::time::sleep(PAUSE).await;
    }
}

/// Everybody the log knows.
async fn known(data: &std::path::Path) -> BTreeSet<String> {
    let entries = journal::read(data).await;
    let created = entries.into_iter().filter_map(|entry| match entry.event {
        DomainEvent::Contact(ContactEvent::Created(created)) => created.keys.into_iter().next(),
        _ => None,
    });
    created.map(|key| key.value.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_130_every_accepted_event_reaches_every_receiver_however_often_the_process_dies() {
    let seed = seed();
    println!("MAINSPRING_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let site = site()
        .with("OUTBOUND_WEBHOOK_TIMEOUT_MS", "300")
        .with("OUTBOUND_WEBHOOK_SCHEDULE", &["50ms"; 100].join(","));
    let mut receivers = Vec::new();
    let mut running = Some(site.start());
    for (faults, percent) in RECEIVERS {
        let receiver = receiver(random.fork(), faults, percent).await;
        let endpoint = running.as_ref().unwrap().subscribe(&receiver.url(), &TYPES).await;
        receivers.push((receiver, Verifiers::new(endpoint["secret"].as_str().unwrap())));
    }
    let ledger = Ledger::default();
    for round in 0..rounds() {
        let server = running.take().unwrap_or_else(|| site.start());
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                tokio::spawn(call(server.address, Arc::clone(&ledger), format!("u{round}-{caller}")))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(random.between(100, 900))).await;
        if random.percent(50) {
            // Around the moment of an answer, so that some of them are never recorded.
            let (receiver, _) = &receivers[random.between(0, RECEIVERS.len() as u64) as usize];
            let _ = tokio::time::timeout(Duration::from_secs(1), receiver.next_arrival()).await;
        }
        server.kill();
        for caller in callers {
            caller.await.unwrap();
        }
        if random.percent(50) {
            // Killed again while it starts or while it sends what it found.
            let mut process = site.spawn();
            tokio::time::sleep(Duration::from_millis(random.between(0, 400))).await;
            process.kill();
        }
    }

    let server = site.start();
    eventually("all deliveries are settled", async || {
        let target = "/v1/admin/webhooks/deliveries?status=pending,sending&limit=1";
        server.get(target).await.expect(200)["deliveries"].as_array().unwrap().is_empty()
    })
    .await;
    let failed =
        server.get("/v1/admin/webhooks/deliveries?status=failed,discarded&limit=1").await.expect(200);
    assert_eq!(failed["deliveries"], json!([]));
    server.stop();
    binary::assert_verified(&site.data());

    let known = known(&site.data()).await;
    let ledger = ledger.lock();
    let lost: Vec<_> =
        ledger.iter().filter(|(user, acknowledged)| **acknowledged && !known.contains(*user)).collect();
    assert!(lost.is_empty(), "acknowledged and not stored: {lost:?}");
    assert!(known.iter().all(|user| ledger.contains_key(user)), "somebody nobody sent");
    let to_tell: BTreeSet<(String, String)> =
        known.iter().flat_map(|user| TYPES.map(|kind| (kind.to_owned(), user.clone()))).collect();
    let (mut requests, mut repeats) = (0, 0);
    for (number, (receiver, verifiers)) in receivers.iter().enumerate() {
        let arrivals = receiver.arrivals();
        let taken: BTreeSet<_> = prove_requests(&arrivals, verifiers).into_keys().collect();
        let untold: Vec<_> = to_tell.difference(&taken).collect();
        assert!(untold.is_empty(), "receiver {number} was never told {untold:?}");
        let invented: Vec<_> =
            arrivals.iter().map(subject).filter(|subject| !to_tell.contains(subject)).collect();
        assert!(invented.is_empty(), "receiver {number} was told {invented:?}");
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for arrival in arrivals.iter().filter(|arrival| arrival.taken()) {
            *times.entry(arrival.id()).or_default() += 1;
        }
        repeats += times.values().filter(|times| **times > 1).count();
        let most = times.into_values().max().unwrap_or_default();
        assert!(most <= 2 * rounds() + 1, "receiver {number} took a message {most} times");
        requests += arrivals.len();
    }
    println!(
        "{} people sent, {} known, {requests} requests at {} receivers, {repeats} messages taken more than once",
        ledger.len(),
        known.len(),
        receivers.len()
    );
    assert!(known.len() > 20, "too little happened to prove anything");
}

/// Everything but the first request is taken; the first gets no answer.
fn silent_at_first(n: usize) -> Behaviour {
    if n == 0 { Behaviour::Hang } else { Behaviour::Take }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn os_09_what_a_receiver_got_before_the_process_died_comes_again_under_the_same_id() {
    // Only the end of the process ends the attempt.
    let site = site().with("OUTBOUND_WEBHOOK_TIMEOUT_MS", "600000");
    let server = site.start();
    let receiver = FaultyReceiver::scripted(silent_at_first).await;
    let endpoint = server.subscribe(&receiver.url(), &["contact.created"]).await;
    arrive(&server, "a").await;
    receiver.wait_for_arrivals(1).await;
    server.kill();
    let server = site.start();
    receiver.wait_for_arrivals(2).await;
    delivered(&server, 1).await;
    server.stop();
    let arrivals = receiver.arrivals();
    assert_eq!(arrivals.len(), 2, "once more, and never again");
    let verifiers = Verifiers::new(endpoint["secret"].as_str().unwrap());
    assert_eq!(prove_requests(&arrivals, &verifiers).len(), 1, "the same id and the same body");
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn os_10_a_contact_whose_write_was_acknowledged_is_told_though_the_process_died_at_once() {
    const TIMES: usize = 4;
    let site = site();
    let receiver = FaultyReceiver::always(Behaviour::Take).await;
    let mut server = site.start();
    let endpoint = server.subscribe(&receiver.url(), &TYPES).await;
    for n in 0..TIMES {
        arrive(&server, &format!("u{n}")).await;
        server.kill();
        server = site.start();
    }
    delivered(&server, TYPES.len() * TIMES).await;
    server.stop();
    let verifiers = Verifiers::new(endpoint["secret"].as_str().unwrap());
    assert_eq!(prove_requests(&receiver.arrivals(), &verifiers).len(), TYPES.len() * TIMES);
    binary::assert_verified(&site.data());
}

/// Waits until so many deliveries are, and none is pending.
async fn delivered(server: &Server, count: usize) {
    let listed = async |status: &str| {
        let target = format!("/v1/admin/webhooks/deliveries?status={status}&limit=100");
        server.get(&target).await.expect(200)["deliveries"].as_array().unwrap().len()
    };
    eventually("everything is delivered", async || {
        listed("delivered").await == count && listed("pending").await == 0
    })
    .await;
}
