//! Time and definitions through a whole engine: timers, restarts, passivation, back-fills, switches.

use mainspring_actors::Engine;
use mainspring_schemas::{ContactId, event::ContactEvent};

use crate::{
    harness::{DAY, HOUR, T0, definitions, line},
    world::{World, event, history},
};

const DORMANT: &str = "
  - {id: dormant, name: Dormant, enabled: true, criteria: {all: [{event: seen, exists: true}, {event: seen, within: 7d, exists: false}]}}";
const BUYER: &str = "
  - {id: buyer, name: Buyer, enabled: true, criteria: {event: order, count: {gte: 2}}}";

async fn lines(engine: &Engine, contact: ContactId) -> Vec<String> {
    history(&**engine.log(), contact).await.iter().filter_map(line).collect()
}

/// Waits until the contact's history holds as many transitions; fails by the test runner's patience, not by a sleep.
async fn transitions(engine: &Engine, contact: ContactId, count: usize) -> Vec<String> {
    loop {
        let end = engine.log().durable_end();
        let lines = lines(engine, contact).await;
        if lines.len() >= count {
            return lines;
        }
        engine.log().wait_past(end).await;
    }
}

#[actix::test]
async fn what_fell_due_while_the_process_was_down_is_decided_at_start_with_its_due_instant() {
    let world = World::new(T0);
    let running = world.start(Some(definitions(DORMANT))).await;
    let contact = running.engine.ingest(event("u1", "seen")).await.unwrap().contact_id;
    running.stop().await;
    world.clock.set(T0 + 30 * DAY);
    let running = world.start(Some(definitions(DORMANT))).await;
    assert_eq!(transitions(&running.engine, contact, 1).await, ["168h+1ms +dormant #1 reconcile"]);
    running.stop().await;
}

#[actix::test]
async fn a_passivated_contact_comes_back_as_it_was_and_its_timers_still_fire() {
    let mut world = World::new(T0);
    world.resident = 2;
    world.shards = 1;
    let running = world.start(Some(definitions(DORMANT))).await;
    let engine = &running.engine;
    let contact = engine.ingest(event("u1", "seen")).await.unwrap().contact_id;
    for n in 2..20 {
        engine.ingest(event(&format!("u{n}"), "other")).await.unwrap();
    }
    assert!(engine.health().live_contacts <= 3, "{}", engine.health().live_contacts);
    let outcome = engine.ingest(event("u1", "seen")).await.unwrap();
    assert_eq!(outcome.contact_id, contact);
    assert_eq!(
        engine.contact(contact).await.unwrap().unwrap().wake_at.map(|at| at.0),
        Some(T0 + 7 * DAY + 1)
    );
    running.stop().await;
}

#[actix::test]
async fn bk_180_to_bk_185_a_new_definition_back_fills_and_says_how_far_it_is() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let mut contacts = Vec::new();
    for n in 0..1200 {
        let call = |name: &str| event(&format!("u{n}"), name);
        contacts.push(running.engine.ingest(call("order")).await.unwrap().contact_id);
        if n % 3 == 0 {
            running.engine.ingest(call("order")).await.unwrap();
        }
    }
    running.stop().await;
    world.clock.set(T0 + HOUR);
    let running = world.start(Some(definitions(BUYER))).await;
    let engine = &running.engine;
    while engine.buckets().is_building() {
        tokio::task::yield_now().await;
    }
    let bucket = engine.buckets().get("buyer").unwrap();
    assert_eq!((bucket.processed, bucket.total, bucket.building), (1200, 1200, false));
    assert_eq!(lines(engine, contacts[0]).await, ["1h +buyer #1 backfill silent"]);
    assert!(lines(engine, contacts[1]).await.is_empty());
    let joins = crate::world::records(&**engine.log()).await;
    let joins = joins.iter().filter(|record| record.event_type == "contact.bucket-entered").count();
    assert_eq!(joins, 400);
    running.stop().await;
    let running = world.start(Some(definitions(BUYER))).await;
    assert!(!running.engine.buckets().is_building(), "a second start has nothing to do");
    running.stop().await;
}

#[actix::test]
async fn sb_64_a_switched_off_bucket_decides_nothing_and_catches_up_silently() {
    let world = World::new(T0);
    let running = world.start(Some(definitions(BUYER))).await;
    let engine = &running.engine;
    assert!(!engine.buckets().switch("buyer", false).await.unwrap().enabled);
    engine.ingest(event("u1", "order")).await.unwrap();
    let contact = engine.ingest(event("u1", "order")).await.unwrap().contact_id;
    assert!(lines(engine, contact).await.is_empty());
    world.clock.set(T0 + HOUR);
    assert!(engine.buckets().switch("buyer", true).await.unwrap().enabled);
    assert_eq!(transitions(engine, contact, 1).await, ["1h +buyer #1 backfill silent"]);
    running.stop().await;
}

#[actix::test]
async fn bk_01_a_transition_stands_in_the_same_append_as_the_event_that_caused_it() {
    let world = World::new(T0);
    let running = world.start(Some(definitions(BUYER))).await;
    let engine = &running.engine;
    engine.ingest(event("u1", "order")).await.unwrap();
    let outcome = engine.ingest(event("u1", "order")).await.unwrap();
    assert_eq!(outcome.entered.len(), 1, "DP-12");
    let records = crate::world::records(&**engine.log()).await;
    let join = records.iter().find(|record| record.event_type == "contact.bucket-entered").unwrap();
    assert_eq!(join.causation, Some(outcome.event_id));
    assert_eq!(join.position, outcome.position.unwrap());
    let cause = records.iter().find(|record| record.id == outcome.event_id).unwrap();
    assert_eq!((cause.position + 1, cause.recorded_at), (join.position, join.recorded_at));
    assert!(matches!(
        ContactEvent::decode(&join.event_type, join.schema_version, &join.payload).unwrap(),
        ContactEvent::BucketEntered(entered) if entered.announced
    ));
    running.stop().await;
}
