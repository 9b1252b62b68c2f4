//! Whom the load is about, what happens to them, and the buckets in force meanwhile.

use anyhow::bail;
use bytes::Bytes;
use mainspring_schemas::{
    Timestamp,
    definition::{BucketDefinition, assemble},
};
use serde_json::{Value, json};

/// Different users of the load.
pub const USERS: usize = 10_000;

/// The event of the load.
pub const EVENT: &str = "order.placed";

/// The event that makes a contact enter `BUCKET`, at its first time.
pub const BEGUN: &str = "trial.begun";

/// The event whose absence is noticed.
const SEEN: &str = "app.seen";

/// The bucket of those who were not seen for [`AWAY`].
pub const ABSENT: &str = "absent";

/// How long somebody must be away.
const AWAY: i64 = 7 * 24 * 3_600_000;

/// What [`definitions`] tells about itself.
pub const ABOUT: &str = "20 buckets in force, 5 of them about the event that is sent";

/// The buckets that look at [`EVENT`].
const NEAR: &str = "
  - {id: customers, name: Customers, enabled: true, criteria: {event: order.placed}}
  - {id: repeat-buyers, name: Repeat, enabled: true, criteria: {event: order.placed, within: 30d, count: {gte: 3}}}
  - {id: power-buyers, name: Power, enabled: true, criteria: {event: order.placed, within: 7d, count: {gte: 50}}}
  - id: pro-buyers
    name: Pro buyers
    enabled: true
    criteria: [{prop: plan, eq: pro}, {event: order.placed}]
  - id: at-risk
    name: At risk
    enabled: true
    criteria: [{event: order.placed}, {event: order.placed, within: 2w, count: {lt: 2}}]
";

/// Twenty buckets.
pub fn definitions() -> anyhow::Result<Vec<BucketDefinition>> {
    let far = (0..15).map(|number| {
        format!(
            "  - {{id: other-{number}, name: Other {number}, enabled: true, \
             criteria: {{event: other.event-{number}, within: {}d, count: {{gte: 2}}}}}}\n",
            number + 1
        )
    });
    read(&format!("buckets:{NEAR}{}", far.collect::<String>()))
}

/// One bucket, entered at the first [`BEGUN`].
pub fn one_definition() -> anyhow::Result<Vec<BucketDefinition>> {
    read(&format!(
        "buckets:\n  - {{id: trials, name: Trials, enabled: true, criteria: {{event: {BEGUN}}}}}\n"
    ))
}

/// One bucket, entered by the clock.
pub fn absence_definition() -> anyhow::Result<Vec<BucketDefinition>> {
    read(&format!(
        "buckets:\n  - {{id: {ABSENT}, name: Absent, enabled: true, \
         criteria: {{event: {SEEN}, within: 7d, exists: false}}}}\n"
    ))
}

fn read(text: &str) -> anyhow::Result<Vec<BucketDefinition>> {
    let (definitions, issues) = assemble([("bench.yaml".to_owned(), text.to_owned())]);
    if let Some(issue) = issues.iter().find(|issue| issue.is_error()) {
        bail!("{issue}");
    }
    Ok(definitions)
}

/// The name of a user.
pub fn user(number: usize) -> String {
    format!("user-{number:08}")
}

/// The properties of an event of the load.
pub fn properties(number: usize) -> Value {
    json!({
        "amount": (number % 500) as f64 + 0.5, "currency": "EUR", "sku": format!("sku-{:05}", number % 1000),
        "quantity": number % 7 + 1, "channel": "web", "campaign": "spring",
    })
}

fn event(name: &str, number: usize) -> Value {
    json!({"name": name, "userId": user(number), "eventProperties": properties(number)})
}

fn post(path: &str, key: &str, body: &Value) -> Bytes {
    let body = body.to_string();
    let length = body.len();
    Bytes::from(format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

/// A request of one event.
pub fn request(key: &str, name: &str, number: usize) -> Bytes {
    post("/v1/events", key, &event(name, number))
}

/// A request per user, one event each.
pub fn requests(key: &str) -> Vec<Bytes> {
    (0..USERS).map(|number| request(key, EVENT, number)).collect()
}

/// Requests of `size` events each that name every user once.
pub fn batches(key: &str, size: usize) -> Vec<Bytes> {
    let batch = |first: usize| {
        let events: Vec<Value> =
            (first..(first + size).min(USERS)).map(|number| event(EVENT, number)).collect();
        post("/v1/events/batch", key, &json!({ "events": events }))
    };
    (0..USERS).step_by(size).map(batch).collect()
}

/// A request that says when each user was seen, so that each is absent at its instant: a window ends the millisecond
/// after it (BK-150).
pub fn seen(key: &str, absent: impl Iterator<Item = (usize, Timestamp)>) -> Bytes {
    let event = |(number, at): (usize, Timestamp)| json!({"name": SEEN, "userId": user(number), "timestamp": at.plus(-AWAY - 1).to_string()});
    let events: Vec<Value> = absent.map(event).collect();
    post("/v1/events/batch", key, &json!({ "events": events }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_in_order() {
        assert_eq!(definitions().unwrap().len(), 20);
        assert_eq!(one_definition().unwrap().len(), 1);
        assert_eq!(absence_definition().unwrap().len(), 1);
    }
}
