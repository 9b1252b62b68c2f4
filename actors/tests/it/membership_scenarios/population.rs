//! Many contacts at once: back-fills, and what is found after an outage (SB-31, SB-42), through a whole engine.

use mainspring_schemas::Timestamp;

use super::{F7, F10, transitions, wait_for_transitions};
use crate::{
    harness::{DAY, HOUR, T0, definitions},
    world::{World, event, records},
};

#[actix::test]
async fn sb_31_five_hundred_active_contacts_do_not_hide_one_dormant() {
    let world = World::new(T0 - 31 * DAY);
    let running = world.start(Some(definitions(F7))).await;
    let engine = &running.engine;
    for number in 0..501 {
        engine.ingest(event(&format!("u{number}"), "other")).await.unwrap();
    }
    // The youngest contact has the greatest id.
    world.clock.set(T0 - 30 * DAY);
    let dormant = engine.ingest(event("u501", "app.active")).await.unwrap().contact_id;
    for number in 0..501 {
        let mut yesterday = event(&format!("u{number}"), "app.active");
        yesterday.occurred_at = Some(Timestamp(T0 - DAY));
        let active = engine.ingest(yesterday).await.unwrap().contact_id;
        assert!(active < dormant);
    }
    running.stop().await;

    world.clock.set(T0);
    let running = world.start(Some(definitions(F7))).await;
    assert_eq!(wait_for_transitions(&running.engine, dormant, 1).await, ["-552h+1ms +F7 #1 reconcile"]);
    // A full round through every shard: whatever else was due would stand in the log by now.
    running.engine.buckets().switch("F7", false).await.unwrap();
    let joins = records(&**running.engine.log()).await;
    let joins = joins.iter().filter(|record| record.event_type == "contact.bucket-entered").count();
    assert_eq!(joins, 1);
    running.stop().await;
}

#[actix::test]
async fn sb_42_a_back_fill_passes_over_the_deleted() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let mut contacts = Vec::new();
    for user in ["u1", "u2"] {
        for _ in 0..20 {
            let outcome = running.engine.ingest(event(user, "key.action")).await.unwrap();
            contacts.push(outcome.contact_id);
        }
    }
    contacts.dedup();
    running.engine.delete(&event("u1", "x").identity).await.unwrap();
    running.stop().await;

    world.clock.set(T0 + HOUR);
    let running = world.start(Some(definitions(F10))).await;
    while running.engine.buckets().is_building() {
        tokio::task::yield_now().await;
    }
    assert!(transitions(&running.engine, contacts[0]).await.is_empty());
    assert_eq!(transitions(&running.engine, contacts[1]).await, ["1h +F10 #1 backfill silent"]);
    running.stop().await;
}
