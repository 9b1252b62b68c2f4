//! The same with identities that grow together: people known by a user id here and by an address there, until some call
//! names both.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use mainspring_schemas::event::{ContactEvent, DomainEvent};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    binary,
    http::{Connection, Request},
    journal,
    random::{Random, rounds, seed},
    server::{ADMIN, Server, Site, eventually},
};

const THRICE: &str =
    "id: thrice\nname: Three orders\nenabled: true\ncriteria: {event: order.placed, count: {gte: 3}}\n";

/// Enough to meet each other, few enough to be met again and again.
const PEOPLE: usize = 150;

/// What was sent, by number; `true` once acknowledged.
#[derive(Default)]
struct Ledger {
    sent: Vec<(usize, Value, bool)>,
    lost: BTreeSet<usize>,
}

impl Ledger {
    fn draw(&mut self, random: &mut Random) -> usize {
        if random.percent(40)
            && let Some(lost) = self.lost.pop_first()
        {
            return lost;
        }
        let (n, person) = (self.sent.len(), random.between(0, PEOPLE as u64) as usize);
        let mut body =
            json!({"name": "order.placed", "eventProperties": {"n": n}, "idempotencyKey": format!("k{n}")});
        // People become known as one after a while, the later ones later.
        let joined = n > PEOPLE * 4 && random.percent(10);
        if joined || random.percent(50) {
            body["userId"] = json!(user(person));
        }
        if joined || body["userId"].is_null() {
            body["email"] = json!(address(person));
        }
        self.sent.push((person, body, false));
        n
    }
}

fn user(person: usize) -> String {
    format!("p{person:03}")
}

fn address(person: usize) -> String {
    format!("p{person:03}@example.com")
}

async fn call(address: SocketAddr, ledger: Arc<Mutex<Ledger>>, mut random: Random) {
    let Ok(mut connection) = Connection::open(address).await else { return };
    loop {
        let (n, request) = {
            let mut ledger = ledger.lock();
            let n = ledger.draw(&mut random);
            (n, Request::new("POST", "/v1/events").key(ADMIN).json(&ledger.sent[n].1))
        };
        let answer = connection.send(&request).await;
        let mut ledger = ledger.lock();
        match answer {
            Ok(answer) if answer.status() == 202 => ledger.sent[n].2 = true,
            Ok(answer) => {
                assert_eq!(answer.status(), 503, "{}", String::from_utf8_lossy(&answer.body));
                ledger.lost.insert(n);
            }
            Err(_) => {
                ledger.lost.insert(n);
                return;
            }
        }
    }
}

/// The contact behind a key, if there is one.
async fn found(server: &Server, key: &str) -> Option<String> {
    let found = server.get(&format!("/v1/contacts/find?{}", key.replace('@', "%40"))).await.expect(200);
    found["contacts"][0]["id"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merges_are_whole_whenever_the_process_dies() {
    let seed = seed();
    println!("MAINSPRING_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let site = Site::new(&[("thrice", THRICE)]);
    let ledger: Arc<Mutex<Ledger>> = Arc::default();
    for _ in 0..rounds() {
        let server = site.start();
        let callers: Vec<_> =
            (0..6).map(|_| tokio::spawn(call(server.address, Arc::clone(&ledger), random.fork()))).collect();
        tokio::time::sleep(Duration::from_millis(random.between(100, 700))).await;
        server.kill();
        for caller in callers {
            caller.await.unwrap();
        }
    }

    // At last everybody is known by both.
    let server = site.start();
    for person in 0..PEOPLE {
        let both = json!({"userId": user(person), "email": address(person)});
        server.put("/v1/contacts", &both).await.expect(200);
    }
    eventually("one contact each", async || {
        server.get("/v1/admin/contacts?limit=1").await.expect(200)["total"] == PEOPLE
    })
    .await;
    let mut contacts = BTreeMap::new();
    for person in 0..PEOPLE {
        let by_user = found(&server, &format!("userId={}", user(person))).await.unwrap();
        let by_address = found(&server, &format!("email={}", address(person))).await.unwrap();
        assert_eq!(by_user, by_address, "person {person}");
        assert_eq!(contacts.insert(by_user, person), None, "nobody is two people");
    }
    let stays = server.all("/v1/admin/buckets/thrice/members", "members").await;
    server.stop();
    binary::assert_verified(&site.data());

    let entries = journal::read(&site.data()).await;
    let ledger = ledger.lock();
    let mut stored: BTreeMap<usize, usize> = BTreeMap::new();
    let mut orders = [0; PEOPLE];
    let mut merges = 0;
    for entry in &entries {
        let DomainEvent::Contact(event) = &entry.event else { continue };
        match event {
            ContactEvent::EventRecorded(event) => {
                let n = event.properties["n"].as_u64().unwrap() as usize;
                *stored.entry(n).or_default() += 1;
                orders[ledger.sent[n].0] += 1;
            }
            ContactEvent::MergedInto(_) => merges += 1,
            _ => {}
        }
    }
    let twice: Vec<_> = stored.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "stored more than once: {twice:?}");
    let acknowledged = ledger.sent.iter().enumerate().filter(|(_, sent)| sent.2).map(|(n, _)| n);
    let missing: Vec<usize> = acknowledged.filter(|n| !stored.contains_key(n)).collect();
    assert!(missing.is_empty(), "acknowledged and not stored: {missing:?}");

    let members: Vec<usize> =
        stays.iter().map(|stay| contacts[stay["contactId"].as_str().unwrap()]).collect();
    let once: BTreeSet<usize> = members.iter().copied().collect();
    assert_eq!(once.len(), members.len(), "one stay each");
    let expected: BTreeSet<usize> = (0..PEOPLE).filter(|person| orders[*person] >= 3).collect();
    assert_eq!(once, expected, "history counts as a whole after a merge");
    println!(
        "{} events sent, {} stored, {merges} merges, {} members",
        ledger.sent.len(),
        stored.len(),
        members.len()
    );
    assert!(merges > PEOPLE / 4, "too few merges to prove anything");
}
