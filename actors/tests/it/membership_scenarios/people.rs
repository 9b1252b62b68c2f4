//! Stays when people merge, gain keys, have no user id or are deleted (SB-65..SB-72), through a whole engine.

use mainspring_actors::{
    Engine,
    api::{ContactView, UpsertCall},
};
use mainspring_schemas::{
    ContactId,
    event::{
        ContactEvent,
        contact::{BucketLeft, Via},
    },
};
use serde_json::{Value, json};

use super::{F1, F2, F7, F10, NONE, transitions, wait_for_transitions};
use crate::{
    harness::{DAY, HOUR, T0, definitions},
    world::{Running, World, event, history, records},
};

/// An explicit write of a contact.
async fn put(engine: &Engine, keys: &str, properties: Value) -> ContactId {
    let call = UpsertCall {
        identity: event(keys, "x").identity,
        properties: properties.as_object().cloned().unwrap(),
        via: Via::Attached,
        trace: None,
    };
    engine.upsert(call).await.unwrap().id
}

async fn send(engine: &Engine, keys: &str, name: &str) -> ContactId {
    engine.ingest(event(keys, name)).await.unwrap().contact_id
}

/// Who owns a key now.
async fn find(engine: &Engine, key: &str) -> ContactView {
    let mut found = engine.find(&event(key, "x").identity).await.unwrap();
    assert_eq!(found.len(), 1, "{key}");
    found.remove(0)
}

/// The leaves of a contact as they were recorded.
async fn leaves(engine: &Engine, contact: ContactId) -> Vec<BucketLeft> {
    let left = |event| match event {
        ContactEvent::BucketLeft(left) => Some(left),
        _ => None,
    };
    history(&**engine.log(), contact).await.into_iter().filter_map(left).collect()
}

/// How many contacts were ever made.
async fn contacts(running: &Running) -> usize {
    let records = records(&**running.engine.log()).await;
    records.iter().filter(|record| record.event_type == "contact.created").count()
}

#[actix::test]
async fn sb_65_of_two_active_stays_the_survivors_goes_on_and_the_losers_ends_silently() {
    let world = World::new(T0);
    let running = world.start(Some(definitions(F1))).await;
    let engine = &running.engine;
    let survivor = put(engine, "u1", json!({"plan": "pro"})).await;
    world.clock.set(T0 + DAY);
    let loser = put(engine, "e2", json!({"plan": "pro"})).await;
    world.clock.set(T0 + 2 * DAY);
    assert_eq!(put(engine, "u1 e2", json!({})).await, survivor);
    assert_eq!(transitions(engine, survivor).await, ["0h +F1 #1 event"]);
    assert_eq!(transitions(engine, loser).await, ["24h +F1 #1 event"]);
    let stays = find(engine, "e2").await.stays;
    assert_eq!(stays.iter().map(|stay| stay.entered_at.0).collect::<Vec<_>>(), [T0]);
    let moved = history(&**engine.log(), survivor).await.into_iter().find_map(|event| match event {
        ContactEvent::Absorbed(absorbed) => Some(absorbed),
        _ => None,
    });
    let moved = moved.unwrap();
    assert_eq!(moved.at.0, T0 + 2 * DAY);
    assert!(moved.standings[0].ended_by_merge && moved.standings[0].active.is_none());
    running.stop().await;
}

#[actix::test]
async fn sb_66_a_stay_that_moves_keeps_its_clocks_and_ends_under_the_survivors_key() {
    let world = World::new(T0);
    let day = || Some(definitions(&F1.replace("enabled: true", "enabled: true, maxDwell: 24h")));
    let running = world.start(day()).await;
    let engine = &running.engine;
    let loser = put(engine, "e2", json!({"plan": "pro"})).await;
    world.clock.set(T0 + HOUR);
    let survivor = put(engine, "u1", json!({"name": "Ada"})).await;
    assert_eq!(put(engine, "u1 e2", json!({})).await, survivor);
    let stays = find(engine, "u1").await.stays;
    assert_eq!((stays.len(), stays[0].entered_at.0), (1, T0));
    assert_eq!(stays[0].max_dwell_at.map(|at| at.0), Some(T0 + 24 * HOUR));
    assert_eq!(transitions(engine, survivor).await, NONE);
    running.stop().await;

    world.clock.set(T0 + 24 * HOUR);
    let running = world.start(day()).await;
    let engine = &running.engine;
    assert_eq!(wait_for_transitions(engine, survivor, 1).await, ["24h -F1 #1 reconcile maxDwell"]);
    let left = leaves(engine, survivor).await.remove(0);
    assert_eq!((left.user_key.as_str(), left.announced, left.stay), ("u1", true, stays[0].stay));
    assert_eq!(transitions(engine, loser).await, ["0h +F1 #1 event"]);
    running.stop().await;
}

#[actix::test]
async fn sb_67_leaves_of_two_stays_with_the_same_ordinal_are_both_announced() {
    let world = World::new(T0);
    let running = world.start(Some(definitions(F1))).await;
    let engine = &running.engine;
    let survivor = put(engine, "u1", json!({"plan": "pro"})).await;
    world.clock.set(T0 + HOUR);
    put(engine, "u1", json!({"plan": "free"})).await;
    put(engine, "e2", json!({"plan": "pro"})).await;
    world.clock.set(T0 + 2 * HOUR);
    put(engine, "u1 e2", json!({})).await;
    assert_eq!(
        transitions(engine, survivor).await,
        ["0h +F1 #1 event", "1h -F1 #1 event criteria", "2h -F1 #1 event criteria"]
    );
    let left = leaves(engine, survivor).await;
    assert!(left.iter().all(|left| left.announced));
    assert_ne!(left[0].stay, left[1].stay, "the stay tells them apart, not the ordinal");
    running.stop().await;
}

#[actix::test]
async fn sb_68_united_histories_are_decided_at_once() {
    let world = World::new(T0);
    let running = world.start(Some(definitions(F10))).await;
    let engine = &running.engine;
    for _ in 0..6 {
        send(engine, "e2 v2", "key.action").await;
    }
    let mut survivor = None;
    for _ in 0..5 {
        survivor = Some(send(engine, "u1", "key.action").await);
    }
    let survivor = survivor.unwrap();
    world.clock.set(T0 + HOUR);
    put(engine, "u1 e2", json!({})).await;
    assert_eq!(transitions(engine, survivor).await, ["1h +F10 #1 event"]);
    running.stop().await;
}

#[actix::test]
async fn sb_69_a_stay_survives_the_change_of_the_contacts_key() {
    let world = World::new(T0);
    let running = world.start(Some(definitions(F7))).await;
    let engine = &running.engine;
    let mut long_ago = event("e1 v1", "app.active");
    long_ago.occurred_at = Some(mainspring_schemas::Timestamp(T0 - 8 * DAY));
    let contact = engine.ingest(long_ago).await.unwrap().contact_id;
    let before = find(engine, "e1").await;
    assert_eq!((before.contact_key.as_str(), before.stays.len()), ("v1", 1));
    world.clock.set(T0 + HOUR);
    assert_eq!(send(engine, "u1 e1", "other").await, contact);
    for key in ["u1", "e1"] {
        let now = find(engine, key).await;
        assert_eq!((now.contact_key.as_str(), &now.stays), ("u1", &before.stays), "{key}");
    }
    assert_eq!(engine.resolve("v1").await.unwrap(), Some(contact));
    assert_eq!(transitions(engine, contact).await, ["0h +F7 #1 event"]);
    running.stop().await;
}

#[actix::test]
async fn sb_70_a_contact_without_a_user_id_is_a_full_member() {
    let world = World::new(T0);
    let day = || Some(definitions(&F1.replace("enabled: true", "enabled: true, maxDwell: 24h")));
    let running = world.start(day()).await;
    let engine = &running.engine;
    let mut touch = event("e1", "user.updated");
    touch.contact_properties = json!({"plan": "pro"}).as_object().cloned().unwrap();
    let contact = engine.ingest(touch).await.unwrap().contact_id;
    assert_eq!(find(engine, "e1").await.stays.len(), 1);
    world.clock.set(T0 + HOUR);
    put(engine, "e1", json!({"plan": "free"})).await;
    world.clock.set(T0 + 2 * HOUR);
    put(engine, "e1", json!({"plan": "pro"})).await;
    running.stop().await;
    world.clock.set(T0 + 26 * HOUR);
    let running = world.start(day()).await;
    assert_eq!(
        wait_for_transitions(&running.engine, contact, 4).await,
        ["0h +F1 #1 event", "1h -F1 #1 event criteria", "2h +F1 #2 event", "26h -F1 #2 reconcile maxDwell"]
    );
    running.stop().await;
}

#[actix::test]
async fn sb_71_a_transition_makes_no_second_contact_and_no_user_id() {
    let world = World::new(T0);
    let running = world.start(Some(definitions(F2))).await;
    let contact = send(&running.engine, "e1 v1", "signup").await;
    assert_eq!(transitions(&running.engine, contact).await, ["0h +F2 #1 event"]);
    assert_eq!(contacts(&running).await, 1);
    let view = find(&running.engine, "e1").await;
    assert_eq!((view.contact.external_id, view.contact_key.as_str()), (None, "v1"));
    running.stop().await;
}

#[actix::test]
async fn sb_72_a_deleted_member_never_speaks_again_and_its_key_begins_anew() {
    let world = World::new(T0);
    let running = world.start(Some(definitions(F7))).await;
    let engine = &running.engine;
    let long_ago = |at: i64| {
        let mut call = event("u1", "app.active");
        call.occurred_at = Some(mainspring_schemas::Timestamp(at));
        call
    };
    let dead = engine.ingest(long_ago(T0 - 8 * DAY)).await.unwrap().contact_id;
    world.clock.set(T0 + HOUR);
    engine.delete(&event("u1", "x").identity).await.unwrap();
    let ended = ["0h +F7 #1 event", "1h -F7 #1 event deleted silent"];
    assert_eq!(transitions(engine, dead).await, ended);

    let alive = send(engine, "u1", "app.active").await;
    assert_ne!(alive, dead);
    assert_eq!(find(engine, "u1").await.stays, []);
    running.stop().await;
    world.clock.set(T0 + 30 * DAY);
    let running = world.start(Some(definitions(F7))).await;
    assert_eq!(wait_for_transitions(&running.engine, alive, 1).await, ["169h+1ms +F7 #1 reconcile"]);
    assert_eq!(transitions(&running.engine, dead).await, ended);
    running.stop().await;
}
