//! Load, `SIGKILL` at any moment, restart, and again; then proof that nothing was lost, doubled or made up.
//!
//! `MAINSPRING_TEST_SEED` repeats the draws of a run, the moments of the kills among them; `MAINSPRING_TEST_ROUNDS` makes it
//! longer.

mod deliveries;
mod load;
mod merges;
mod model;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::Value;

use self::{
    load::{Ledger, call},
    model::{DEFINITIONS, Story, Transition},
};
use crate::{
    binary, journal,
    random::{Random, rounds, seed},
    receiver::{Arrival, Receiver},
    server::{Server, Site, eventually},
};

const CALLERS: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_happens_twice() {
    let seed = seed();
    println!("MAINSPRING_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let site = Site::new(&DEFINITIONS);
    let refusals = Mutex::new(random.fork());
    let receiver = Receiver::with(move |_| if refusals.lock().percent(10) { 500 } else { 204 }).await;
    let ledger: Arc<Mutex<Ledger>> = Arc::default();

    let server = site.start();
    server.subscribe(&receiver.url(), &["bucket.entered", "bucket.left"]).await;
    let mut server = Some(server);
    for round in 0..rounds() {
        let running = server.take().unwrap_or_else(|| site.start());
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| tokio::spawn(call(running.address, Arc::clone(&ledger), random.fork())))
            .collect();
        tokio::time::sleep(Duration::from_millis(random.between(300, 1_500))).await;
        running.kill();
        for caller in callers {
            caller.await.unwrap();
        }
        // Proof on a copy, so that the next start recovers what the kill left behind and nothing else.
        let copy = tempfile::tempdir().unwrap();
        copy_tree(&site.data(), copy.path());
        prove_copy(copy.path(), &ledger, round).await;
        if random.percent(50) {
            let mut process = site.spawn();
            tokio::time::sleep(Duration::from_millis(random.between(0, 150))).await;
            process.kill();
        }
    }

    let server = site.start();
    settle(&server).await;
    let members = members(&server).await;
    server.stop();
    binary::assert_verified(&site.data());
    let entries = journal::read(&site.data()).await;
    let ledger = ledger.lock();
    let mut story = Story::of(&entries, &ledger);
    story.prove(true);
    for (bucket, members) in members {
        assert_eq!(members, story.members(&bucket), "members of {bucket}");
    }
    prove_webhooks(&receiver.arrivals(), &story.found);
    println!(
        "{} events sent, {} stored, {} repeats recognized, {} transitions, {} requests at the receiver",
        ledger.sent.len(),
        story.stored,
        ledger.repeats,
        story.found.len(),
        receiver.arrivals().len()
    );
    assert!(story.stored > 200 && story.found.len() > 100, "too little happened to prove anything");
}

async fn prove_copy(data: &Path, ledger: &Mutex<Ledger>, round: usize) {
    let entries = journal::read(data).await;
    Story::of(&entries, &ledger.lock()).prove(false);
    let (code, document) = binary::verify(data);
    assert_eq!(code, Some(0), "after kill {round}: {document:#}");
}

/// Waits until the clock has nothing left to decide and every delivery is settled.
async fn settle(server: &Server) {
    eventually("all left the window", async || {
        server.get("/v1/admin/buckets/busy/members").await.expect(200)["total"] == 0
    })
    .await;
    eventually("all deliveries settled", async || {
        let pending =
            server.get("/v1/admin/webhooks/deliveries?status=pending,sending&limit=1").await.expect(200);
        pending["deliveries"].as_array().unwrap().is_empty()
    })
    .await;
    let failed =
        server.get("/v1/admin/webhooks/deliveries?status=failed,discarded&limit=1").await.expect(200);
    assert_eq!(failed["deliveries"], serde_json::json!([]));
}

/// Members of each bucket as listed, sorted.
async fn members(server: &Server) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for (bucket, _) in DEFINITIONS {
        let listed = server.all(&format!("/v1/admin/buckets/{bucket}/members"), "members").await;
        let mut names: Vec<String> =
            listed.iter().map(|stay| stay["userId"].as_str().unwrap().to_owned()).collect();
        names.sort();
        all.insert(bucket.to_owned(), names);
    }
    all
}

/// Every transition arrived, under one id and with one body, and nothing else did.
fn prove_webhooks(arrivals: &[Arrival], transitions: &[Transition]) {
    let mut bodies: BTreeMap<&str, &[u8]> = BTreeMap::new();
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for Arrival { request, status } in arrivals {
        let id = request.header("webhook-id").unwrap();
        let body = bodies.entry(id).or_insert(&request.body);
        assert_eq!(*body, request.body, "{id} has one body");
        *taken.entry(id).or_default() += usize::from(*status == 204);
    }
    let mut told: BTreeSet<(String, String, String, u64)> = BTreeSet::new();
    for (id, body) in &bodies {
        let envelope: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(envelope["id"], *id);
        let data = &envelope["data"];
        assert_eq!(envelope["type"], format!("bucket.{}", data["transition"].as_str().unwrap()));
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        let ordinal = data["entryCount"].as_u64().unwrap();
        assert!(
            told.insert((text("userId"), text("bucketId"), text("transition"), ordinal)),
            "{id} is a second id"
        );
    }
    let happened: BTreeSet<_> = transitions
        .iter()
        .map(|(who, bucket, kind, _, epoch)| {
            (who.clone(), bucket.clone(), (*kind).to_owned(), u64::from(*epoch))
        })
        .collect();
    assert_eq!(happened.len(), transitions.len());
    let untold: Vec<_> = happened.difference(&told).collect();
    let invented: Vec<_> = told.difference(&happened).collect();
    assert!(untold.is_empty() && invented.is_empty(), "never told {untold:?}\nnever happened {invented:?}");
    for (id, times) in taken {
        assert!((1..=2 * rounds() + 1).contains(&times), "{id} was taken {times} times");
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
