//! Merges on a log that appends to one stream at a time, broken off between their halves (MC-43).

use std::sync::atomic::Ordering;

use mainspring_actors::{
    Engine,
    api::{EngineError, Identity},
};
use mainspring_schemas::{ContactId, event::ContactEvent};
use serde_json::json;

use crate::{
    harness::T0,
    world::{Running, World, event, history},
};

/// A world whose log takes one stream at a time.
fn world() -> World {
    let world = World::new(T0);
    world.faults.one_stream.store(true, Ordering::SeqCst);
    world
}

/// Two contacts of which the first became part of the second, which does not know it.
async fn half(world: &World, running: &Running) -> (ContactId, ContactId) {
    let engine = &running.engine;
    let mut call = event("e1 v1", "as a visitor");
    call.contact_properties = json!({"plan": "pro"}).as_object().cloned().unwrap();
    let loser = engine.ingest(call).await.unwrap().contact_id;
    let survivor = engine.ingest(event("u1", "as a user")).await.unwrap().contact_id;
    world.faults.refuse_append_to(survivor);
    let refused = engine.ingest(event("u1 e1", "as both")).await;
    assert_eq!(refused, Err(EngineError::Overloaded));
    let end = history(&**engine.log(), loser).await.pop();
    assert!(matches!(end, Some(ContactEvent::MergedInto(merged)) if merged.survivor == survivor));
    assert!(absorbed(engine, survivor).await.is_empty());
    (loser, survivor)
}

/// Whom a contact absorbed.
async fn absorbed(engine: &Engine, contact: ContactId) -> Vec<ContactId> {
    let history = history(&**engine.log(), contact).await;
    let losers = history.iter().filter_map(|event| match event {
        ContactEvent::Absorbed(absorbed) => Some(absorbed.loser),
        _ => None,
    });
    losers.collect()
}

/// The survivor has everything of both, once.
async fn whole(engine: &Engine, loser: ContactId, survivor: ContactId) {
    assert_eq!(absorbed(engine, survivor).await, [loser]);
    let view = engine.contact(survivor).await.unwrap().unwrap();
    assert_eq!((&view.contact.properties["plan"], view.keys.len()), (&json!("pro"), 3));
    for keys in ["u1", "e1", "u1 e1 v1"] {
        assert_eq!(engine.ingest(event(keys, "after")).await.unwrap().contact_id, survivor, "{keys}");
    }
    assert_eq!(absorbed(engine, survivor).await, [loser], "once");
}

#[actix::test]
async fn mc_43_the_call_that_was_refused_completes_the_merge_when_it_is_repeated() {
    let world = world();
    let running = world.start(None).await;
    let (loser, survivor) = half(&world, &running).await;
    let outcome = running.engine.ingest(event("u1 e1", "as both")).await.unwrap();
    assert_eq!(outcome.contact_id, survivor);
    whole(&running.engine, loser, survivor).await;
    running.stop().await;
}

#[actix::test]
async fn mc_43_after_a_crash_whoever_meets_the_loser_completes_the_merge() {
    for meets in ["by its id", "by its key", "by its id as a user id"] {
        let world = world();
        let running = world.start(None).await;
        let (loser, survivor) = half(&world, &running).await;
        running.stop().await;
        let running = world.start(None).await;
        let engine = &running.engine;
        let met = match meets {
            "by its id" => engine.contact(loser).await.unwrap().unwrap().contact.id,
            "by its key" => engine.ingest(event("e1", "again")).await.unwrap().contact_id,
            _ => {
                let identity = Identity::new(Some(&loser.to_string()), None, None);
                let call = mainspring_actors::api::IngestCall { identity, ..event("", "again") };
                engine.ingest(call).await.unwrap().contact_id
            }
        };
        assert_eq!(met, survivor, "{meets}");
        whole(engine, loser, survivor).await;
        running.stop().await;
    }
}

#[actix::test]
async fn mc_43_a_claim_whose_contact_never_came_to_be_is_none() {
    let world = world();
    let running = world.start(None).await;
    let engine = &running.engine;
    let first = engine.ingest(event("u1", "x")).await.unwrap().contact_id;
    // The claim of the address is written, the address of the contact is not.
    world.faults.refuse_append_to(first);
    assert!(engine.ingest(event("u1 e1", "y")).await.is_err());
    let second = engine.ingest(event("u2 e1", "z")).await.unwrap().contact_id;
    assert_ne!(first, second);
    assert_eq!(engine.ingest(event("e1", "z")).await.unwrap().contact_id, second);
    running.stop().await;
}

#[actix::test]
async fn mc_43_deletions_and_their_undoing_need_no_more_than_one_stream_at_a_time() {
    let world = world();
    let running = world.start(None).await;
    let (loser, survivor) = half(&world, &running).await;
    let engine = &running.engine;
    engine.delete_contact(survivor).await.unwrap();
    // The loser went with it, and what it had is free.
    assert!(engine.contact(loser).await.unwrap().is_none());
    let other = engine.ingest(event("v1 e9", "mine now")).await.unwrap().contact_id;
    assert_ne!(other, survivor);
    assert_eq!(engine.restore(loser).await.unwrap().contact, survivor);
    engine.contact(loser).await.unwrap();
    assert_eq!(absorbed(engine, survivor).await, [loser]);
    assert_eq!(engine.ingest(event("e1", "back")).await.unwrap().contact_id, survivor);
    assert_eq!(engine.ingest(event("e9 v1", "still")).await.unwrap().contact_id, other);
    running.stop().await;
}
