//! The worked scenarios of section 12 that need a whole engine; the others stand beside `plan`, and on the wire.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use mainspring_actors::{
    Engine,
    api::{ContactView, EditCall, EngineError, Identity, UpsertCall},
    history::contact_at,
};
use mainspring_schemas::{
    ContactId, Timestamp,
    event::{
        ContactEvent,
        contact::{Absorbed, Via},
    },
    identity::{IdentityKey, KeyKind},
};
use serde_json::{Value, json};

use crate::{
    harness::{HOUR, T0, definitions},
    world::{Running, World, event, history},
};

fn upsert(keys: &str, properties: Value) -> UpsertCall {
    UpsertCall {
        identity: event(keys, "x").identity,
        properties: properties.as_object().cloned().unwrap(),
        via: Via::Attached,
        trace: None,
    }
}

async fn put(engine: &Engine, keys: &str, properties: Value) -> ContactId {
    engine.upsert(upsert(keys, properties)).await.unwrap().id
}

async fn view(engine: &Engine, id: ContactId) -> ContactView {
    engine.contact(id).await.unwrap().unwrap()
}

fn by_id(id: ContactId, name: &str) -> mainspring_actors::api::IngestCall {
    let identity = Identity::new(Some(&id.to_string()), None, None);
    mainspring_actors::api::IngestCall { identity, ..event("", name) }
}

async fn absorbed(running: &Running, survivor: ContactId) -> Vec<Absorbed> {
    let events = history(&**running.engine.log(), survivor).await;
    let absorbed = events.into_iter().filter_map(|event| match event {
        ContactEvent::Absorbed(absorbed) => Some(*absorbed),
        _ => None,
    });
    absorbed.collect()
}

#[actix::test]
async fn ms_06_and_ms_38_keys_attach_where_they_are_missing() {
    let world = World::new(T0);
    let running = world
        .start(Some(definitions("  - {id: new, name: New, enabled: true, criteria: {event: joined}}")))
        .await;
    let engine = &running.engine;
    let first = put(engine, "u1", json!({})).await;
    let linked = engine.ingest(event("u1 v1", "x")).await.unwrap();
    assert_eq!((linked.contact_id, linked.contact_key.as_str()), (first, "u1"), "MS-06: the key stays");

    let mail_only = engine.ingest(event("e2", "joined")).await.unwrap();
    assert_eq!(mail_only.entered.len(), 1);
    let id = mail_only.contact_id;
    assert_eq!(view(engine, id).await.contact.external_id, None, "MS-38: the transition names nobody anew");
    engine.ingest(by_id(id, "x")).await.unwrap();
    assert_eq!(view(engine, id).await.contact.external_id, None, "KE-23");
    let named = engine.ingest(event("e2 u2", "x")).await.unwrap();
    assert_eq!((named.contact_id, named.contact_key.as_str()), (id, "u2"), "MS-38: the real id attaches");
    running.stop().await;
}

#[actix::test]
async fn rs_88_a_long_history_is_absorbed_by_reference_and_no_read_notices() {
    const OFTEN: &str = "  - {id: often, name: Often, enabled: true, criteria: {event: seen, within: 40d, count: {gte: 9}}}\n";
    let mut world = World::new(T0);
    world.policy.max_moved_history = 3;
    let running = world.start(Some(definitions(OFTEN))).await;
    let engine = &running.engine;
    let keyed = |keys: &str, key: String| mainspring_actors::api::IngestCall {
        idempotency_key: Some(key.into()),
        ..event(keys, "seen")
    };
    for n in 0..4 {
        for keys in ["u1", "e1", "d1"] {
            engine.ingest(keyed(keys, format!("{keys}-{n}"))).await.unwrap();
        }
    }
    world.clock.set(T0 + HOUR);
    // The survivor of the first merge is the loser of the second.
    engine.ingest(event("e1 d1", "other")).await.unwrap();
    let merged = engine.ingest(event("u1 e1", "other")).await.unwrap();
    let survivor = merged.contact_id;
    assert_eq!(merged.entered.len(), 1, "the loser's occurrences count");
    let absorbed = absorbed(&running, survivor).await;
    assert_eq!((absorbed.len(), absorbed[0].by_reference, absorbed[0].occurrences.len()), (1, true, 0));

    let before = view(engine, survivor).await;
    let repeats = async |engine: &Engine| {
        for key in ["u1-0", "e1-3", "d1-2"] {
            let again = engine.ingest(keyed("u1", key.to_owned())).await.unwrap();
            assert!(!again.stored, "{key} is known (MC-31)");
        }
    };
    repeats(engine).await;
    assert_eq!(engine.timeline(survivor, 1, 0).await.unwrap().unwrap().total, 15);
    running.stop().await;
    world.forget_snapshots();
    let running = world.start(Some(definitions(OFTEN))).await;
    repeats(&running.engine).await;
    assert_eq!(view(&running.engine, survivor).await, before);
    let then = contact_at(&**running.engine.log(), survivor, Timestamp(T0 + HOUR)).await.unwrap();
    assert_eq!((then.occurrences.of("seen").len(), then.remembered.sorted().len()), (12, 12));
    running.stop().await;
}

#[actix::test]
async fn rs_87_a_chain_of_merges_is_walked_once() {
    const LINKS: usize = 30;
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let key = |n: usize| format!("{}{n}", if n.is_multiple_of(2) { 'e' } else { 'd' });
    let mut contacts = Vec::new();
    for n in 0..=LINKS {
        world.clock.set(T0 + HOUR + n as i64);
        contacts.push(engine.ingest(event(&key(n), "x")).await.unwrap().contact_id);
    }
    // Whoever is older survives, so everybody absorbs the next one in turn.
    for n in (0..LINKS).rev() {
        let merged = engine.ingest(event(&format!("{} {}", key(n), key(n + 1)), "x")).await.unwrap();
        assert_eq!(merged.contact_id, contacts[n]);
    }
    running.stop().await;
    let running = world.start(None).await;
    let (engine, looks) = (&running.engine, &world.faults.looks_back);
    let by_the_last = async || {
        let before = looks.load(Ordering::SeqCst);
        assert_eq!(view(engine, contacts[LINKS]).await.contact.id, contacts[0]);
        assert_eq!(engine.ingest(by_id(contacts[LINKS], "y")).await.unwrap().contact_id, contacts[0]);
        looks.load(Ordering::SeqCst) - before
    };
    assert!(by_the_last().await > LINKS);
    let again = by_the_last().await;
    assert!(again < 15, "{again} look-ups");
    // A former self in the middle of the chain was passed on the way.
    let before = looks.load(Ordering::SeqCst);
    assert_eq!(engine.answers_for(contacts[LINKS / 2]).await.unwrap(), Some(contacts[0]));
    assert_eq!(looks.load(Ordering::SeqCst) - before, 1);
    running.stop().await;
}

#[actix::test]
async fn ms_13_keys_and_ids_survive_a_chain_of_merges() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    // Seen first, and last to absorb the others.
    let ninth = put(engine, "u9", json!({})).await;
    world.clock.set(T0 + 1);
    let first = put(engine, "u1 e1", json!({})).await;
    world.clock.set(T0 + 2);
    let second = put(engine, "u2 e2 v1", json!({})).await;
    assert_eq!(engine.ingest(event("u1 e2", "x")).await.unwrap().contact_id, first, "MS-10");
    assert_eq!(engine.ingest(event("u9 e1", "x")).await.unwrap().contact_id, ninth);
    for key in ["u1", "u2", "e1", "e2", "u9"] {
        assert_eq!(engine.ingest(event(key, "x")).await.unwrap().contact_id, ninth, "{key}");
    }
    for id in [first, second, ninth] {
        assert_eq!(engine.ingest(by_id(id, "x")).await.unwrap().contact_id, ninth, "MC-14");
    }
    let device = Identity::new(Some("v1"), None, None);
    assert_eq!(engine.find(&device).await.unwrap()[0].contact.id, ninth, "KE-22");
    let keys: Vec<(String, Via)> =
        view(engine, ninth).await.keys.into_iter().map(|key| (key.value.to_string(), key.via)).collect();
    assert!(keys.contains(&("u2".to_owned(), Via::Merge)) && keys.contains(&("u9".to_owned(), Via::Created)));
    running.stop().await;
}

#[actix::test]
async fn ms_14_to_ms_16_what_a_merge_makes_of_two_people() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    put(engine, "e1", json!({"plan": "free", "x": 1, "discord": {"b": 2, "c": 2}})).await;
    world.clock.set(T0 + HOUR);
    let survivor = put(engine, "u1", json!({"plan": "pro", "discord": {"a": 1, "b": 1}})).await;
    world.clock.set(T0 + 2 * HOUR);
    put(engine, "u1 e1", json!({"y": 2, "x": null, "discord": {"a": null}})).await;
    let merged = view(engine, survivor).await.contact;
    let expected = json!({"plan": "pro", "y": 2, "discord": {"b": 1, "c": 2}});
    assert_eq!(json!(merged.properties), expected, "MS-14, MS-15");
    assert_eq!(merged.first_seen_at, Timestamp(T0), "MS-16: the minimum");
    assert_eq!((merged.created_at, merged.last_seen_at), (Timestamp(T0 + HOUR), Timestamp(T0 + 2 * HOUR)));
    assert_eq!(absorbed(&running, survivor).await.len(), 1);
    running.stop().await;
}

#[actix::test]
async fn ms_23_a_bucket_sees_the_united_history_in_the_same_append() {
    let world = World::new(T0);
    let yaml = "  - {id: busy, name: Busy, enabled: true, criteria: {event: viewed, count: {gte: 10}}}";
    let running = world.start(Some(definitions(yaml))).await;
    let engine = &running.engine;
    for _ in 0..6 {
        engine.ingest(event("e1 v1", "viewed")).await.unwrap();
    }
    for _ in 0..5 {
        let outcome = engine.ingest(event("u1", "viewed")).await.unwrap();
        assert!(outcome.entered.is_empty());
    }
    let merged = engine.ingest(event("u1 e1", "signed.in")).await.unwrap();
    assert_eq!(merged.entered.len(), 1, "MS-23");
    running.stop().await;
}

#[actix::test]
async fn ms_30_a_changed_address_replaces_the_primary_one() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let id = put(engine, "u1 e1", json!({})).await;
    put(engine, "u1 e2", json!({})).await;
    let email = async |id| view(engine, id).await.contact.email.unwrap_or_default();
    assert_eq!(email(id).await, "e2@example.com");
    assert_eq!(put(engine, "e1", json!({})).await, id, "the former address still finds the contact");
    assert_eq!(email(id).await, "e2@example.com", "an address that names the contact does not change it");

    // RS-30: named by its id, or by an anonymous id given as `userId`, which attach nothing.
    for (name, address) in [(id.to_string(), "e3"), ("v1".to_owned(), "e4")] {
        engine.ingest(event("u1 v1", "x")).await.unwrap();
        let mail = format!("{address}@example.com");
        let identity = Identity::new(Some(&name), Some(&mail), None);
        let call = UpsertCall { identity, ..upsert("", json!({})) };
        assert_eq!(engine.upsert(call).await.unwrap().id, id);
        assert_eq!(email(id).await, mail, "{name}");
    }
    running.stop().await;
}

#[actix::test]
async fn ms_32_a_deleted_persons_key_makes_a_new_person() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let first = engine.ingest(event("u1 e1", "old")).await.unwrap().contact_id;
    engine.delete_contact(first).await.unwrap();
    let again = engine.ingest(event("u1", "new")).await.unwrap();
    assert_ne!(again.contact_id, first);
    let timeline = engine.timeline(again.contact_id, 10, 0).await.unwrap().unwrap();
    assert_eq!((timeline.total, timeline.events[0].name.as_str()), (1, "new"), "an empty history");
    assert_eq!(engine.timeline(first, 10, 0).await.unwrap(), None);
    assert_eq!(engine.delete_contact(first).await, Err(EngineError::NotFound), "CT-75");
    running.stop().await;
}

#[actix::test]
async fn ms_33_events_by_a_losers_id_are_the_survivors() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let loser = put(engine, "e1", json!({})).await;
    let survivor = put(engine, "u1", json!({})).await;
    put(engine, "u1 e1", json!({})).await;
    let calls = (0..10).map(|n| engine.ingest(by_id(loser, &format!("event-{n}"))));
    for outcome in join_all(calls).await {
        assert_eq!(outcome.unwrap().contact_id, survivor);
    }
    assert_eq!(engine.timeline(survivor, 100, 0).await.unwrap().unwrap().total, 10);
    running.stop().await;
}

#[actix::test]
async fn ms_35_and_ms_36_overlapping_calls_end_in_one_contact() {
    for _ in 0..20 {
        let world = World::new(T0);
        let running = world.start(None).await;
        let engine = &running.engine;
        let (first, second) = futures_util::future::join(
            engine.ingest(event("u1 e1", "a")),
            engine.ingest(event("e1 v1", "b")),
        )
        .await;
        let id = first.unwrap().contact_id;
        assert_eq!(second.unwrap().contact_id, id, "MS-35");
        assert_eq!(view(engine, id).await.keys.len(), 3);
        assert_eq!(engine.timeline(id, 10, 0).await.unwrap().unwrap().total, 2);

        for keys in ["u4", "e5", "u6"] {
            engine.ingest(event(keys, keys)).await.unwrap();
        }
        let (first, second) = futures_util::future::join(
            engine.ingest(event("u4 e5", "c")),
            engine.ingest(event("u6 e5", "d")),
        )
        .await;
        assert!(first.is_ok() && second.is_ok(), "RS-84");
        let owner = engine.ingest(event("e5", "e")).await.unwrap().contact_id;
        for key in ["u4", "u6"] {
            assert_eq!(engine.ingest(event(key, key)).await.unwrap().contact_id, owner, "MS-36: {key}");
        }
        assert_eq!(engine.timeline(owner, 20, 0).await.unwrap().unwrap().total, 8, "MS-36: all history");
        running.stop().await;
    }
}

#[actix::test]
async fn ig_20_a_losers_idempotency_key_is_known_to_the_very_call_that_merges() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let keyed = |keys: &str| mainspring_actors::api::IngestCall {
        idempotency_key: Some("k1".into()),
        ..event(keys, "paid")
    };
    let stored = engine.ingest(keyed("e1")).await.unwrap();
    put(engine, "u1", json!({})).await;
    let again = engine.ingest(keyed("u1 e1")).await.unwrap();
    assert_eq!((again.stored, again.event_id), (false, stored.event_id));
    assert_eq!(again.same_request, Some(false), "IG-22");
    assert_eq!(
        put(engine, "e1", json!({})).await,
        stored.contact_id,
        "IG-21: nothing changed, no merge either"
    );
    running.stop().await;
}

#[actix::test]
async fn ke_24_an_anonymous_id_equal_to_the_callers_own_user_id_is_attached() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let own = |user: &str, anonymous: &str| {
        let identity = Identity::new(Some(user), None, Some(anonymous));
        mainspring_actors::api::IngestCall { identity, ..event("", "x") }
    };
    let id = put(engine, "u1", json!({})).await;
    engine.ingest(own("u1", "u1")).await.unwrap();
    assert_eq!(view(engine, id).await.anonymous_id.as_deref(), Some("u1"));
    let other = engine.ingest(own("u2", "u1")).await.unwrap();
    assert_ne!(other.contact_id, id, "it is evidence of the first contact, and weak");
    running.stop().await;
}

#[actix::test]
async fn ct_83_an_edit_changes_that_contact_or_nothing() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let first = put(engine, "e1", json!({})).await;
    world.clock.set(T0 + 1);
    let second = put(engine, "e2", json!({})).await;
    let edit = |contact, email: &str, merge| EditCall {
        contact,
        email: IdentityKey::new(KeyKind::Email, email),
        properties: json!({"edited": true}).as_object().cloned().unwrap(),
        merge,
        trace: None,
    };
    assert_eq!(engine.edit(edit(first, "e2@example.com", false)).await, Err(EngineError::EmailTaken));
    assert!(view(engine, first).await.contact.properties.is_empty(), "HT-35");
    // Edits of one contact, and creations under the address they bring, all at once: nobody is joined by accident.
    let (edits, created) = futures_util::future::join(
        join_all((0..10).map(|_| engine.edit(edit(first, "e3@example.com", false)))),
        engine.ingest(event("e3", "x")),
    )
    .await;
    let created = created.unwrap().contact_id;
    for edited in edits {
        assert!(
            matches!(edited, Ok(ref outcome) if outcome.id == first)
                || edited == Err(EngineError::EmailTaken)
        );
    }
    let owner = engine.find(&event("e3", "x").identity).await.unwrap()[0].contact.id;
    assert_eq!(owner, created, "the event is with the owner of its key");
    assert_eq!(
        engine.edit(edit(second, "e1@example.com", true)).await.unwrap().id,
        first,
        "MC-01: the older one"
    );
    assert_eq!(view(engine, second).await.contact.email.as_deref(), Some("e1@example.com"));
    engine.delete_contact(first).await.unwrap();
    assert_eq!(engine.edit(edit(second, "e9@example.com", true)).await, Err(EngineError::NotFound));
    running.stop().await;
}
