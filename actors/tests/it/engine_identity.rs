//! Calls through a whole engine: who they are about, under concurrency, across restarts.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use mainspring_actors::{
    Engine,
    api::{EngineError, Identity, IngestCall, UpsertCall},
};
use mainspring_schemas::{
    ContactId,
    event::{ContactEvent, contact::Via},
};
use serde_json::json;

use crate::{
    harness::T0,
    random::Random,
    world::{Running, World, event, history, records},
};

fn upsert(keys: &str, properties: serde_json::Value) -> UpsertCall {
    let identity = event(keys, "x").identity;
    UpsertCall {
        identity,
        properties: properties.as_object().cloned().unwrap(),
        via: Via::Attached,
        trace: None,
    }
}

async fn owner(engine: &Engine, keys: &str) -> ContactId {
    let found = engine.find(&event(keys, "x").identity).await.unwrap();
    assert_eq!(found.len(), 1, "{keys}");
    found[0].contact.id
}

async fn stored_events(running: &Running) -> Vec<(ContactId, String)> {
    let records = records(&**running.engine.log()).await;
    let events = records.iter().filter_map(|record| {
        let contact = record.stream.contact_id()?;
        match ContactEvent::decode(&record.event_type, record.schema_version, &record.payload).unwrap() {
            ContactEvent::EventRecorded(event) => Some((contact, event.name.to_string())),
            _ => None,
        }
    });
    events.collect()
}

#[actix::test]
async fn rs_01_to_rs_03_create_link_and_merge() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let created = engine.upsert(upsert("u1", json!({"plan": "pro", "x": 1}))).await.unwrap();
    assert!(created.created && !created.linked);
    world.clock.set(T0 + 1000);
    let linked = engine.upsert(upsert("u1 e1", json!({}))).await.unwrap();
    assert_eq!((linked.id, linked.created, linked.linked), (created.id, false, true));
    let other = engine.upsert(upsert("e2 v2", json!({"plan": "free", "y": 2}))).await.unwrap();
    assert_ne!(other.id, created.id);
    let merged = engine.upsert(upsert("u1 e2", json!({"z": 3}))).await.unwrap();
    assert_eq!((merged.id, merged.merged), (created.id, true), "the identified contact survives (MC-01)");
    for key in ["u1", "e1", "e2"] {
        assert_eq!(owner(engine, key).await, created.id, "{key}");
    }
    let by_old_id = engine.ingest(event_by_id(other.id)).await.unwrap();
    assert_eq!(by_old_id.contact_id, created.id, "MC-13: a loser's id designates the survivor");
    let view = engine.contact(other.id).await.unwrap().unwrap();
    assert_eq!(view.contact.id, created.id);
    assert_eq!(json!(view.contact.properties), json!({"plan": "pro", "x": 1, "y": 2, "z": 3}), "MC-20");
    assert_eq!(
        view.contact.email.as_deref(),
        Some("e2@example.com"),
        "RS-30: an upsert's address becomes primary"
    );
    running.stop().await;
}

fn event_by_id(id: ContactId) -> mainspring_actors::api::IngestCall {
    let mut call = event("", "by-id");
    call.identity = Identity::new(Some(&id.to_string()), None, None);
    call
}

#[actix::test]
async fn ke_22_every_key_ever_shown_comes_back_to_its_contact_and_attaches_nothing() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let by_mail = engine.ingest(event("e1", "a")).await.unwrap();
    assert_eq!(by_mail.contact_key, by_mail.contact_id.to_string(), "KE-20");
    let with_device = engine.ingest(event("e1 v1", "a")).await.unwrap();
    assert_eq!(with_device.contact_key, "v1", "the key flips (KE-21)");
    let mut round_trip = event("", "b");
    for key in [by_mail.contact_key.as_str(), "v1"] {
        round_trip.identity = Identity::new(Some(key), None, None);
        let outcome = engine.ingest(round_trip.clone()).await.unwrap();
        assert_eq!((outcome.contact_id, outcome.contact_key.as_str()), (by_mail.contact_id, "v1"), "{key}");
    }
    let named = engine.ingest(event("e1 u1", "c")).await.unwrap();
    assert_eq!(
        (named.contact_id, named.contact_key.as_str()),
        (by_mail.contact_id, "u1"),
        "KE-23: the slot was free"
    );
    running.stop().await;
}

#[actix::test]
async fn ms_24_and_ms_29_weak_evidence_does_not_join_people() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let first = engine.ingest(event("u1 v1", "a")).await.unwrap();
    let second = engine.ingest(event("u2 v1", "a")).await.unwrap();
    assert_ne!(first.contact_id, second.contact_id, "MS-24");
    let conflicts = history(&**engine.log(), second.contact_id).await;
    assert!(
        conflicts
            .iter()
            .any(|event| matches!(event, ContactEvent::IdentityConflict(c) if c.other == first.contact_id))
    );
    assert_eq!(engine.health().identity_conflicts, 1);
    engine.ingest(event("u2 v1", "b")).await.unwrap();
    assert_eq!(engine.health().identity_conflicts, 2, "RS-24: each one, though it is recorded once");
    let mut disguised = event("e9", "a");
    disguised.identity = Identity::new(None, Some("e9@example.com"), Some("u1"));
    let third = engine.ingest(disguised).await.unwrap();
    assert_ne!(third.contact_id, first.contact_id, "MS-29");
    assert_eq!(third.contact_key, third.contact_id.to_string(), "MS-29: not attached as an anonymous id");
    running.stop().await;
}

#[actix::test]
async fn ct_70_a_deleted_contact_leaves_its_keys_and_takes_its_history() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let first = engine.ingest(event("u1 e1", "a")).await.unwrap();
    let both = event("u1 e1", "x").identity;
    assert_eq!(engine.delete(&both).await.unwrap().contact, first.contact_id);
    assert_eq!(engine.delete(&both).await, Err(EngineError::NotFound));
    assert!(engine.find(&both).await.unwrap().is_empty());
    let again = engine.ingest(event("u1", "b")).await.unwrap();
    assert_ne!(again.contact_id, first.contact_id);
    engine.ingest(event("e1", "b")).await.unwrap();
    assert_eq!(engine.delete(&both).await, Err(EngineError::DifferentContacts), "DP-26");
    running.stop().await;
}

#[actix::test]
async fn rs_80_many_calls_with_one_unknown_key_make_one_contact() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let calls = (0..200).map(|n| engine.upsert(upsert("u1 e1", json!({ format!("p{n}"): n }))));
    let outcomes = join_all(calls).await;
    let created = outcomes.iter().filter(|outcome| outcome.as_ref().unwrap().created).count();
    let ids: BTreeSet<ContactId> = outcomes.iter().map(|outcome| outcome.as_ref().unwrap().id).collect();
    assert_eq!((created, ids.len()), (1, 1), "HS-11");
    let view = engine.contact(*ids.first().unwrap()).await.unwrap().unwrap();
    assert_eq!(view.contact.properties.len(), 200, "no lost property");
    running.stop().await;
}

/// Calls that create, link and merge the same few people, all at once.
async fn storm(seed: u64) {
    let mut random = Random(seed);
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let calls: Vec<(String, String)> = (0..60)
        .map(|n| {
            let mut keys = vec![format!("u{}", random.below(3))];
            if random.below(2) == 0 {
                keys.push(format!("e{}", random.below(4)));
            }
            if random.below(3) == 0 {
                keys = vec![format!("e{}", random.below(4))];
            }
            if random.below(3) == 0 {
                keys.push(format!("v{}", random.below(3)));
            }
            (keys.join(" "), format!("event-{n}"))
        })
        .collect();
    let outcomes = join_all(calls.iter().map(|(keys, name)| engine.ingest(event(keys, name)))).await;
    for (outcome, call) in outcomes.iter().zip(&calls) {
        assert!(outcome.as_ref().is_ok_and(|outcome| outcome.stored), "seed {seed}: {call:?}: {outcome:?}");
    }
    let stored = stored_events(&running).await;
    assert_eq!(stored.len(), calls.len(), "seed {seed}: every acknowledged event once");
    for (keys, name) in &calls {
        let (contact, _) = stored.iter().find(|(_, stored)| stored == name).unwrap();
        let answers = engine.answers_for(*contact).await.unwrap().unwrap();
        let strong: Vec<&str> = keys.split(' ').filter(|key| !key.starts_with('v')).collect();
        for key in strong {
            assert_eq!(owner(engine, key).await, answers, "seed {seed}: {name} by {keys}");
        }
    }
    // What is in memory is what the log says.
    let before = views(engine).await;
    running.stop().await;
    let again = world.start(None).await;
    assert_eq!(views(&again.engine).await, before, "seed {seed}");
    again.stop().await;
}

async fn views(engine: &Engine) -> Vec<String> {
    let mut views = Vec::new();
    for key in ["u0", "u1", "u2", "e0", "e1", "e2", "e3"] {
        for view in engine.find(&event(key, "x").identity).await.unwrap() {
            views.push(format!("{key}: {:?} {:?} v{}", view.contact, view.keys.len(), view.version));
        }
    }
    views
}

#[actix::test]
async fn rs_80_to_rs_85_storms_of_calls_about_the_same_people() {
    for seed in 0..60 {
        storm(seed).await;
    }
}

#[actix::test]
async fn ig_20_a_repeat_changes_nothing_also_after_a_merge_and_a_restart() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let mut first = event("e1", "a");
    first.idempotency_key = Some("K".into());
    first.contact_properties = json!({"n": 1}).as_object().cloned().unwrap();
    let stored = running.engine.ingest(first.clone()).await.unwrap();
    running.engine.upsert(upsert("u1 e1", json!({"n": 5}))).await.unwrap();
    running.engine.upsert(upsert("u2", json!({}))).await.unwrap();
    running.engine.upsert(upsert("u2 u1", json!({}))).await.ok();
    running.stop().await;
    let running = world.start(None).await;
    let repeat = running.engine.ingest(first.clone()).await.unwrap();
    assert_eq!((repeat.stored, repeat.event_id, repeat.same_request), (false, stored.event_id, Some(true)));
    first.name = "other".into();
    let reuse = running.engine.ingest(first).await.unwrap();
    assert_eq!((reuse.stored, reuse.same_request), (false, Some(false)), "IK-02");
    let view = running.engine.contact(stored.contact_id).await.unwrap().unwrap();
    assert_eq!(json!(view.contact.properties), json!({"n": 5}), "MS-37: the repeat overwrites nothing");
    running.stop().await;
}

#[actix::test]
async fn a_contact_that_gets_a_thousand_events_at_once_shares_its_syncs() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    engine.ingest(event("u1", "first")).await.unwrap();
    let outcomes = engine.ingest_batch((0..1000).map(|n| event("u1", &format!("e{n}"))).collect()).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().is_ok_and(|outcome| outcome.stored)));
    let names: Vec<String> =
        stored_events(&running).await.into_iter().skip(1).map(|(_, name)| name).collect();
    let sent: Vec<String> = (0..1000).map(|n| format!("e{n}")).collect();
    assert_eq!(names, sent, "IG-24: in the order they were sent");
    assert!(running.syncs() < 500, "{} syncs for a thousand events", running.syncs());
    running.stop().await;
}

#[actix::test]
async fn a_new_key_is_free_again_after_its_append_failed() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    world.faults.refuse_appends(1);
    let outcomes = engine.ingest_batch(vec![event("u1", "a"), event("u1", "b")]).await;
    assert!(outcomes.iter().all(Result::is_err), "the second rests on the first");
    let stored = engine.ingest(event("u1", "a")).await.unwrap();
    assert!(stored.stored);
    world.faults.refuse_appends(1);
    assert!(engine.ingest(event("u1", "c")).await.is_err());
    assert_eq!(engine.ingest(event("u1", "c")).await.unwrap().contact_id, stored.contact_id);
    running.stop().await;
}

#[actix::test]
async fn a_contact_that_is_read_anew_counts_once() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    engine.ingest(event("u1", "a")).await.unwrap();
    for _ in 0..3 {
        world.faults.refuse_appends(1);
        assert!(engine.ingest(event("u1", "b")).await.is_err());
    }
    engine.ingest(event("u1", "b")).await.unwrap();
    assert_eq!(engine.health().live_contacts, 1);
    running.stop().await;
}

/// A world whose shard keeps one contact, so that a merge reads everybody anew, and that many contacts.
async fn crowded(count: usize) -> (World, Running, Vec<ContactId>) {
    let mut world = World::new(T0);
    (world.shards, world.resident) = (1, 1);
    let running = world.start(None).await;
    let mut contacts = Vec::new();
    for keys in ["u1", "e1", "d1"].into_iter().take(count) {
        contacts.push(running.engine.ingest(event(keys, "x")).await.unwrap().contact_id);
        world.clock.set(T0 + contacts.len() as i64);
    }
    (world, running, contacts)
}

/// Neither may hang: whoever lost the merge that failed, and the merge that comes next.
async fn life_goes_on(engine: &Engine, contacts: &[ContactId]) {
    let goes_on = async {
        for (key, contact) in ["u1", "e1"].into_iter().zip(contacts) {
            assert_eq!(engine.ingest(event(key, "b")).await.unwrap().contact_id, *contact);
        }
        assert_eq!(engine.ingest(event("u1 e1", "c")).await.unwrap().contact_id, contacts[0]);
    };
    tokio::time::timeout(Duration::from_secs(10), goes_on).await.expect("nobody hangs");
}

#[actix::test]
async fn a_loser_is_free_again_if_the_survivor_cannot_be_read() {
    let (world, running, contacts) = crowded(2).await;
    world.faults.unreadable_after(contacts[0], 1);
    assert!(running.engine.ingest(event("u1 e1", "a")).await.is_err());
    life_goes_on(&running.engine, &contacts).await;
    running.stop().await;
}

#[actix::test]
async fn a_loser_is_free_again_if_the_next_one_cannot_be_taken() {
    let (world, running, contacts) = crowded(3).await;
    world.faults.unreadable_after(contacts[2], 1);
    assert!(running.engine.ingest(event("u1 e1 d1", "a")).await.is_err());
    life_goes_on(&running.engine, &contacts).await;
    running.stop().await;
}

#[actix::test]
async fn ik_02_a_key_that_comes_again_with_another_request_is_counted() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let with_key = |name: &str| IngestCall { idempotency_key: Some("k".into()), ..event("u1", name) };
    let mut outcomes = Vec::new();
    for name in ["a", "a", "b", "b"] {
        outcomes.push(engine.ingest(with_key(name)).await.unwrap().same_request);
    }
    assert_eq!(outcomes, [None, Some(true), Some(false), Some(false)]);
    assert_eq!(engine.health().reused_keys, 2);
    running.stop().await;
}

#[actix::test]
async fn ke_12_calls_with_a_key_too_many_go_on_however_busy_the_contact_is() {
    let mut world = World::new(T0);
    world.policy.max_keys_per_kind = 2;
    let running = world.start(None).await;
    let engine = &running.engine;
    engine.ingest(event("u1", "first")).await.unwrap();
    let calls = (0..200).map(|n| async move { engine.ingest(event(&format!("u1 v{n}"), "x")).await });
    for outcome in join_all(calls).await {
        assert!(outcome.unwrap().stored);
    }
    let view = engine.contact(owner(engine, "u1").await).await.unwrap().unwrap();
    assert_eq!((view.keys.len(), stored_events(&running).await.len()), (3, 201));
    running.stop().await;
}

#[actix::test]
async fn ig_30_a_contact_that_cannot_be_read_now_stores_nothing_and_is_well_afterwards() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let contact = running.engine.ingest(event("u1", "x")).await.unwrap().contact_id;
    running.stop().await;
    let running = world.start(None).await;
    world.faults.unreadable_after(contact, 0);
    let refused = running.engine.ingest(event("u1", "y")).await;
    assert!(matches!(refused, Err(EngineError::LogFailed(_))), "{refused:?}");
    assert!(running.engine.ingest(event("u1", "y")).await.unwrap().stored);
    assert_eq!(stored_events(&running).await.len(), 2);
    running.stop().await;
}
