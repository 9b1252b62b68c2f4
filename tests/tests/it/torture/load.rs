//! What was sent, what became of it as far as callers know, and the callers.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    http::{Connection, Message, Request},
    random::Random,
    server::ADMIN,
};

/// How many people there are.
const PEOPLE: u64 = 200;

/// What callers know about an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Sent, and no answer came.
    Unknown,
    /// Accepted under this id.
    Acknowledged(String),
    /// Answered that nothing was stored.
    Refused,
}

/// One event, known by its number.
#[derive(Clone, Debug)]
pub struct Sent {
    pub person: String,
    pub name: &'static str,
    pub plan: Option<&'static str>,
    keyed: bool,
    pub fate: Fate,
}

impl Sent {
    fn draw(random: &mut Random) -> Self {
        let name =
            ["order.placed", "page.viewed", "page.viewed", "page.viewed"][random.between(0, 4) as usize];
        let plan = ["free", "pro"][random.between(0, 2) as usize];
        Self {
            person: format!("p{:03}", random.between(0, PEOPLE)),
            name,
            plan: random.percent(20).then_some(plan),
            keyed: random.percent(80),
            fate: Fate::Unknown,
        }
    }

    fn body(&self, n: usize) -> Value {
        let mut body = json!({"name": self.name, "userId": self.person, "eventProperties": {"n": n}});
        if let Some(plan) = self.plan {
            body["contactProperties"] = json!({"plan": plan, "of": n});
        }
        if self.keyed {
            body["idempotencyKey"] = json!(format!("key-{n}"));
        }
        // Half the people are also known by an address, from some event on.
        if n.is_multiple_of(7) && self.person.ends_with(['0', '2', '4', '6', '8']) {
            body["email"] = json!(format!("{}@example.com", self.person));
        }
        body
    }
}

/// Everything sent so far; the index is the event's number.
#[derive(Debug, Default)]
pub struct Ledger {
    pub sent: Vec<Sent>,
    /// Events with a key and without an answer: callers try them again.
    lost: BTreeSet<usize>,
    /// Answers that recognized a repeat.
    pub repeats: usize,
}

impl Ledger {
    /// Sometimes an event that was sent before: without an answer, or acknowledged under a key.
    fn old(&mut self, random: &mut Random) -> Option<usize> {
        if random.percent(30) && !self.lost.is_empty() {
            return self.lost.pop_first();
        }
        if self.sent.is_empty() || !random.percent(5) {
            return None;
        }
        let n = random.between(0, self.sent.len() as u64) as usize;
        let sent = &self.sent[n];
        (sent.keyed && matches!(sent.fate, Fate::Acknowledged(_))).then_some(n)
    }

    /// The numbers of the next request: mostly new events, some that got no answer, some that had one.
    fn draw(&mut self, random: &mut Random) -> Vec<usize> {
        let size = if random.percent(70) { 1 } else { random.between(2, 40) };
        let mut numbers = Vec::new();
        for _ in 0..size {
            let number = self.old(random).unwrap_or_else(|| {
                self.sent.push(Sent::draw(random));
                self.sent.len() - 1
            });
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        numbers
    }

    fn request(&self, numbers: &[usize]) -> Request {
        if let [n] = numbers {
            return Request::new("POST", "/v1/events").key(ADMIN).json(&self.sent[*n].body(*n));
        }
        let events: Vec<Value> = numbers.iter().map(|n| self.sent[*n].body(*n)).collect();
        Request::new("POST", "/v1/events/batch").key(ADMIN).json(&json!({ "events": events }))
    }

    fn lose(&mut self, numbers: &[usize]) {
        let open = numbers.iter().filter(|n| self.sent[**n].keyed && self.sent[**n].fate == Fate::Unknown);
        self.lost.extend(open.copied().collect::<Vec<_>>());
    }

    fn settle(&mut self, numbers: &[usize], answer: &Message) {
        match answer.status() {
            202 => {}
            503 => return numbers.iter().for_each(|n| self.refuse(*n)),
            _ => panic!("{} {}", answer.first, String::from_utf8_lossy(&answer.body)),
        }
        let body = answer.json();
        let items = if numbers.len() == 1 { vec![body] } else { body["results"].as_array().unwrap().clone() };
        assert_eq!(items.len(), numbers.len(), "one result per event, in order");
        for (n, item) in numbers.iter().zip(items) {
            if item["status"] == 503 {
                self.refuse(*n);
                continue;
            }
            let id = if item["stored"] == true { &item["eventId"] } else { &item["duplicate"]["eventId"] };
            let id = id.as_str().unwrap_or_else(|| panic!("event {n}: {item}")).to_owned();
            let sent = &mut self.sent[*n];
            if item["stored"] != true {
                assert!(sent.keyed && item["duplicate"]["sameRequest"] == true, "event {n}: {item}");
                self.repeats += 1;
            }
            if let Fate::Acknowledged(known) = &sent.fate {
                assert_eq!((&id, &item["stored"]), (known, &Value::Bool(false)), "IK-02, event {n}");
            }
            sent.fate = Fate::Acknowledged(id);
        }
    }

    fn refuse(&mut self, n: usize) {
        if self.sent[n].fate == Fate::Unknown {
            // An earlier try may have been stored without an answer, so a key stays open.
            let sent = &mut self.sent[n];
            if sent.keyed {
                self.lost.insert(n);
            } else {
                sent.fate = Fate::Refused;
            }
        }
    }
}

/// Calls as fast as answers come, until the server is gone.
pub async fn call(address: SocketAddr, ledger: Arc<Mutex<Ledger>>, mut random: Random) {
    let Ok(mut connection) = Connection::open(address).await else { return };
    loop {
        let (numbers, request) = {
            let mut ledger = ledger.lock();
            let numbers = ledger.draw(&mut random);
            let request = ledger.request(&numbers);
            (numbers, request)
        };
        match connection.send(&request).await {
            Ok(answer) => ledger.lock().settle(&numbers, &answer),
            Err(_) => return ledger.lock().lose(&numbers),
        }
    }
}
