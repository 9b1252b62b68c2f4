//! People who arrive, and the proof that a receiver was told of all of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::receiver::{Arrival, FaultyReceiver};
use crate::{
    server::{Server, Site},
    verifiers::Verifiers,
};

/// Everybody with the plan is a member.
const PRO: &str = "id: pro\nname: Pro\nenabled: true\ncriteria: {prop: plan, eq: pro}\n";

/// What is told of everybody who arrives.
pub const TYPES: [&str; 2] = ["bucket.entered", "contact.created"];

/// A site with attempts that are given up after a second, and retries that go on for long enough.
pub fn site() -> Site {
    Site::new(&[("pro", PRO)])
        .with("OUTBOUND_WEBHOOK_TIMEOUT_MS", "1000")
        .with("OUTBOUND_WEBHOOK_SCHEDULE", &["200ms"; 100].join(","))
}

/// Somebody new: acknowledged when it returns.
pub async fn arrive(server: &Server, user: &str) {
    let body = json!({"userId": user, "properties": {"plan": "pro"}});
    server.put("/v1/contacts", &body).await.expect(200);
}

/// What is to be told of these people.
pub fn expected<'a>(users: &[&'a str]) -> BTreeSet<(&'static str, &'a str)> {
    users.iter().flat_map(|user| TYPES.map(|kind| (kind, *user))).collect()
}

/// What a message says about whom.
pub fn subject(arrival: &Arrival) -> (String, String) {
    let envelope = arrival.request.json();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let data = &envelope["data"];
    let user = text(&data["userId"]).or_else(|| text(&data["externalId"])).unwrap_or_default();
    (text(&envelope["type"]).unwrap_or_default(), user)
}

/// Whether all that is to be told of these people was taken.
pub fn all_taken(receiver: &FaultyReceiver, users: &[&str]) -> bool {
    let taken: BTreeSet<_> = receiver.taken().iter().map(subject).collect();
    expected(users).iter().all(|(kind, user)| taken.contains(&((*kind).to_owned(), (*user).to_owned())))
}

/// Every request is genuine; each message has one id and one body; all of them were taken, and nothing else was sent.
pub fn prove(arrivals: &[Arrival], verifiers: &Verifiers, users: &[&str]) {
    let taken = prove_requests(arrivals, verifiers);
    let told: BTreeSet<_> = taken.keys().map(|(kind, user)| (kind.as_str(), user.as_str())).collect();
    assert_eq!(told, expected(users));
}

/// Every request is genuine, and each message has one id and one body. Returns who was told of by messages that were
/// taken, and under which id.
pub fn prove_requests(arrivals: &[Arrival], verifiers: &Verifiers) -> BTreeMap<(String, String), String> {
    let mut bodies: BTreeMap<&str, &[u8]> = BTreeMap::new();
    let mut ids: BTreeMap<(String, String), &str> = BTreeMap::new();
    let mut taken = BTreeMap::new();
    for arrival in arrivals {
        let (id, request) = (arrival.id(), &arrival.request);
        assert_eq!(request.first, "POST /hook HTTP/1.1");
        assert_eq!(verifiers.verify(request), Ok(()), "{id}");
        assert_eq!(request.json()["id"], id);
        assert_eq!(*bodies.entry(id).or_insert(&request.body), request.body, "{id} has one body");
        let subject = subject(arrival);
        assert_eq!(*ids.entry(subject.clone()).or_insert(id), id, "{subject:?} has one id");
        if arrival.taken() {
            taken.insert(subject, id.to_owned());
        }
    }
    taken
}
