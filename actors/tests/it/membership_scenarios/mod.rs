//! The worked scenarios of buckets.md, section 22, each under its id.

mod clock;
mod crash;
mod definitions;
mod joining;
mod limits;
mod people;
mod population;

use mainspring_actors::{
    Engine,
    contact::{ContactState, Stay},
};
use mainspring_schemas::{BucketId, ContactId};

use crate::{harness::line, world::history};

const F1: &str = "
  - {id: F1, name: Pro, enabled: true, criteria: {all: [{prop: plan, eq: pro}, {prop: converted, neq: true}]}}";
const F2: &str = "
  - {id: F2, name: Signed up, enabled: true, criteria: {event: signup, exists: true}}";
const F3: &str = "
  - {id: F3, name: Pro, enabled: true, entryLimit: once, criteria: {prop: plan, eq: pro}}";
const F4: &str = "
  - {id: F4, name: Pro, enabled: true, entryLimit: once_per_period, entryPeriod: 24h, criteria: {prop: plan, eq: pro}}";
const F5: &str = "
  - {id: F5, name: Pro, enabled: true, entryLimit: once_per_period, criteria: {prop: plan, eq: pro}}";
const F6: &str = "
  - {id: F6, name: Vip, enabled: true, maxDwell: 24h, criteria: {prop: plan, eq: vip}}";
const F7: &str = "
  - {id: F7, name: Dormant, enabled: true, criteria: {all: [{event: app.active, exists: true}, {event: app.active, within: 7d, exists: false}]}}";
const F8: &str = "
  - {id: F8, name: Either, enabled: true, reconcileJoins: true, criteria: {any: [{event: a, within: 7d, exists: false}, {event: b, within: 7d, exists: false}]}}";
const F9: &str = "
  - {id: F9, name: Away, enabled: true, entryLimit: once, criteria: {event: x.active, within: 7d, exists: false}}";
const F10: &str = "
  - {id: F10, name: Power, enabled: true, criteria: {event: key.action, within: 30d, count: {gte: 10}}}";
const F11: &str = "
  - {id: F11, name: Short, enabled: true, maxDwell: 48h, criteria: {event: ttl.action, within: 30d, count: {gte: 3}}}";
const F13: &str = "
  - {id: F13, name: Floor, enabled: true, minDwell: 2h, criteria: {prop: plan, eq: pro}}";

/// No transition.
const NONE: [&str; 0] = [];

/// The active stay of a contact in a bucket.
fn stay(state: &ContactState, bucket: &str) -> Option<Stay> {
    state.stay(&BucketId::new(bucket).unwrap()).cloned()
}

/// The transitions of a contact, in order.
async fn transitions(engine: &Engine, contact: ContactId) -> Vec<String> {
    history(&**engine.log(), contact).await.iter().filter_map(line).collect()
}

/// Waits until the contact has that many transitions; fails by the test runner's patience, not by a sleep.
async fn wait_for_transitions(engine: &Engine, contact: ContactId, count: usize) -> Vec<String> {
    loop {
        let end = engine.log().durable_end();
        let lines = transitions(engine, contact).await;
        if lines.len() >= count {
            return lines;
        }
        engine.log().wait_past(end).await;
    }
}
