//! Deletions that are undone, and those whose grace ends (CT-74, GD-02).

use std::time::Duration;

use mainspring_actors::{
    Engine,
    api::{EngineError, Identity, IngestCall},
};
use mainspring_eventlog::sealing::KeyState;
use mainspring_schemas::{ContactId, StreamName, Timestamp, event::ContactEvent, identity::KeyKind};
use serde_json::json;

use crate::{
    harness::{DAY, HOUR, T0, definitions, line},
    world::{Running, TestClock, World, event, history},
};

const GRACE: i64 = 30 * DAY;

const PRO: &str = "
  - {id: pro, name: Pro, enabled: true, criteria: {prop: plan, eq: pro}}
  - {id: fresh, name: Fresh, enabled: true, criteria: {event: seen, within: 40d, exists: true}}";

/// A world whose time a test moves, with the grace that is the default.
fn world() -> World {
    let mut world = World::new(T0);
    world.clock = TestClock::by_hand(T0);
    world.grace = Some(GRACE);
    world
}

async fn pass(world: &World, running: &Running, now: i64) {
    world.clock.set(now);
    running.engine.advance(Timestamp(now), |_| {}).await.unwrap();
}

fn pro(keys: &str) -> IngestCall {
    let contact_properties = json!({"plan": "pro"}).as_object().cloned().unwrap();
    IngestCall { contact_properties, ..event(keys, "seen") }
}

async fn deleted(engine: &Engine, call: IngestCall) -> ContactId {
    let contact = engine.ingest(call).await.unwrap().contact_id;
    engine.delete_contact(contact).await.unwrap();
    contact
}

/// What the world was told of a contact, and how often it was erased.
async fn told(engine: &Engine, contact: ContactId) -> (Vec<String>, usize) {
    let history = history(&**engine.log(), contact).await;
    let erasures = history.iter().filter(|event| matches!(event, ContactEvent::Erased(_))).count();
    let told = history.iter().filter_map(|event| match event {
        ContactEvent::Announced(told) => {
            let reason = told.data.get("reason").and_then(|reason| reason.as_str()).unwrap_or_default();
            Some(format!("{} {reason}", told.outbound_type).trim_end().to_owned())
        }
        _ => None,
    });
    (told.collect(), erasures)
}

/// Waits until a contact is erased; fails by the test runner's patience.
async fn erased(engine: &Engine, contact: ContactId) {
    while told(engine, contact).await.1 == 0 {
        let end = engine.log().durable_end();
        if told(engine, contact).await.1 == 0 {
            engine.log().wait_past(end).await;
        }
    }
}

#[actix::test]
async fn gd_02_a_restored_contact_is_who_it_was_and_its_buckets_are_decided_anew() {
    let world = world();
    let running = world.start(Some(definitions(PRO))).await;
    let engine = &running.engine;
    let contact = deleted(engine, pro("u1 e1 v1")).await;
    pass(&world, &running, T0 + 20 * DAY).await;
    let restored = engine.restore(contact).await.unwrap();
    assert_eq!((restored.contact, restored.lost_keys.len(), restored.entered.len()), (contact, 0, 2));

    let view = engine.contact(contact).await.unwrap().unwrap();
    let keys: Vec<(KeyKind, &str, bool)> =
        view.keys.iter().map(|key| (key.kind, key.value.as_str(), key.primary)).collect();
    let expected = [
        (KeyKind::External, "u1", true),
        (KeyKind::Email, "e1@example.com", true),
        (KeyKind::Anonymous, "v1", true),
    ];
    assert_eq!(keys, expected);
    assert_eq!(view.contact.properties["plan"], "pro");
    assert_eq!(
        (view.contact.first_seen_at, view.contact.updated_at),
        (Timestamp(T0), Timestamp(T0 + 20 * DAY))
    );
    // Its keys lead to it again, and its clocks go on: the event was 40 days ago on the fortieth.
    assert_eq!(engine.ingest(event("e1", "other")).await.unwrap().contact_id, contact);
    pass(&world, &running, T0 + 60 * DAY).await;
    let expected = [
        "0h +pro #1 event",
        "0h +fresh #1 event",
        "0h -fresh #1 event deleted silent",
        "0h -pro #1 event deleted silent",
        "480h +pro #2 event",
        "480h +fresh #2 event",
        "960h+1ms -fresh #2 reconcile criteria",
    ];
    let lines: Vec<String> = history(&**engine.log(), contact).await.iter().filter_map(line).collect();
    assert_eq!(lines, expected);
    assert_eq!(
        told(engine, contact).await,
        (vec!["contact.deleted deleted".into(), "contact.created".into()], 0)
    );

    let before = engine.contact(contact).await.unwrap();
    running.stop().await;
    let running = world.start(Some(definitions(PRO))).await;
    assert_eq!(running.engine.contact(contact).await.unwrap(), before, "the log says the same");
    running.stop().await;
}

#[actix::test]
async fn gd_02_a_key_taken_meanwhile_stays_with_whoever_took_it() {
    let world = world();
    let running = world.start(None).await;
    let engine = &running.engine;
    let first = deleted(engine, event("u1 e1", "x")).await;
    let second = engine.ingest(event("e1", "y")).await.unwrap().contact_id;
    assert_ne!(first, second);
    assert_eq!(engine.deleted("u1").await.unwrap(), Some(first), "by a key that nobody has");
    assert_eq!(engine.deleted("e1@example.com").await.unwrap(), Some(first), "by one that somebody has");
    let restored = engine.restore(first).await.unwrap();
    let lost: Vec<&str> = restored.lost_keys.iter().map(|key| key.value.as_str()).collect();
    assert_eq!(lost, ["e1@example.com"]);
    assert_eq!(engine.ingest(event("u1", "z")).await.unwrap().contact_id, first);
    assert_eq!(engine.ingest(event("e1", "z")).await.unwrap().contact_id, second);

    // Of several addresses the oldest that comes back is shown.
    let third = engine.ingest(event("u3 e3", "x")).await.unwrap().contact_id;
    engine.ingest(event("u3 e4", "x")).await.unwrap();
    engine.delete_contact(third).await.unwrap();
    engine.ingest(event("e3", "mine")).await.unwrap();
    engine.restore(third).await.unwrap();
    let email = engine.contact(third).await.unwrap().unwrap().contact.email;
    assert_eq!(email.as_deref(), Some("e4@example.com"));
    running.stop().await;
}

#[actix::test]
async fn ke_22_a_restored_contact_shares_its_name_with_nobody() {
    let world = world();
    let running = world.start(None).await;
    let engine = &running.engine;
    let by = |user: &str| IngestCall { identity: Identity::new(Some(user), None, None), ..event("", "x") };
    // Its anonymous id is somebody's user id by now, or the other way round.
    let browser = IngestCall { identity: Identity::new(None, Some("e9@x.io"), Some("u2")), ..event("", "x") };
    for (keys, now) in [("v1 e1", by("v1")), ("u2", browser)] {
        let first = deleted(engine, event(keys, "x")).await;
        let second = engine.ingest(now).await.unwrap();
        let name = second.contact_key.clone();
        let restored = engine.restore(first).await.unwrap();
        assert_eq!(restored.lost_keys.len(), 1, "{keys}");
        let view = engine.contact(first).await.unwrap().unwrap();
        assert_ne!(view.contact_key, name);
        assert_eq!(engine.ingest(by(&name)).await.unwrap().contact_id, second.contact_id);
        assert_eq!(engine.ingest(by(&view.contact_key)).await.unwrap().contact_id, first);
    }
    // Its id is somebody's user id, and it would have no other name.
    let first = deleted(engine, event("e3", "x")).await;
    engine.ingest(by(&first.to_string())).await.unwrap();
    assert!(matches!(engine.restore(first).await, Err(EngineError::State(_))));
    let named = deleted(engine, event("u4", "x")).await;
    engine.ingest(by(&named.to_string())).await.unwrap();
    assert_eq!(engine.restore(named).await.unwrap().contact, named);
    running.stop().await;
}

#[actix::test]
async fn gd_02_what_cannot_be_undone_is_refused_with_the_reason() {
    let world = world();
    let running = world.start(None).await;
    let engine = &running.engine;
    let refused = async |contact| match engine.restore(contact).await {
        Err(EngineError::State(reason)) => reason,
        other => panic!("{other:?}"),
    };
    let nobody = ContactId(uuid::Uuid::from_u128(7));
    assert_eq!(engine.restore(nobody).await, Err(EngineError::NotFound));
    assert_eq!(engine.deleted("nobody").await.unwrap(), None);
    let live = engine.ingest(event("u1", "x")).await.unwrap().contact_id;
    assert_eq!(refused(live).await, "Contact is not deleted");
    assert_eq!(engine.deleted("u1").await.unwrap(), Some(live));
    let erased = deleted(engine, event("u2", "x")).await;
    engine.erase_contact(erased).await.unwrap();
    assert!(refused(erased).await.contains("erased"));
    let late = deleted(engine, event("u3", "x")).await;
    world.clock.set(T0 + GRACE);
    assert!(refused(late).await.contains("over"));
    world.clock.set(T0 + GRACE - 1);
    engine.restore(late).await.unwrap();
    running.stop().await;
}

#[actix::test]
async fn ct_74_when_the_grace_ends_the_person_is_erased_once_and_nothing_is_told_twice() {
    let world = world();
    let running = world.start(None).await;
    let engine = &running.engine;
    let gone = deleted(engine, pro("u1 e1")).await;
    let restored = deleted(engine, pro("u2")).await;
    engine.restore(restored).await.unwrap();
    world.clock.set(T0 + HOUR);
    let later = deleted(engine, pro("u3")).await;
    let first = engine.log().read_stream(&StreamName::contact(gone), 0, 1).await.unwrap();
    let key = first[0].sealed_with.unwrap();

    pass(&world, &running, T0 + GRACE - 1).await;
    assert_eq!(told(engine, gone).await.1, 0);
    pass(&world, &running, T0 + GRACE).await;
    pass(&world, &running, T0 + GRACE + 1).await;
    // Once only; what it said is gone with the key.
    assert_eq!(told(engine, gone).await, (vec!["contact.deleted".into()], 1));
    assert!(running.data_keys.find(key).unwrap() == KeyState::Destroyed);
    assert!(matches!(engine.restore(gone).await, Err(EngineError::State(_))));
    assert!(engine.contact(restored).await.unwrap().is_some());
    assert_eq!(told(engine, later).await.1, 0, "its grace lasts an hour longer");
    running.stop().await;
}

#[actix::test]
async fn ct_74_a_grace_that_ended_while_nobody_watched_ends_at_the_next_start() {
    let mut world = World::new(T0);
    let running = world.start(None).await;
    let mut contacts = Vec::new();
    for n in 0..5 {
        contacts.push(deleted(&running.engine, event(&format!("u{n}"), "x")).await);
    }
    running.stop().await;
    world.clock.set(T0 + GRACE);
    world.grace = Some(GRACE);
    // The first attempt is refused in the middle.
    world.faults.refuse_appends(1);
    let running = world.start(None).await;
    for contact in contacts {
        erased(&running.engine, contact).await;
        let (told, erasures) = told(&running.engine, contact).await;
        assert_eq!((told.len(), erasures), (1, 1));
    }
    running.stop().await;
}

#[actix::test]
async fn ct_74_a_short_grace_ends_on_time_while_the_process_runs() {
    let mut world = World::new(T0);
    world.grace = Some(200);
    let running = world.start(None).await;
    let contact = deleted(&running.engine, event("u1", "x")).await;
    assert_eq!(told(&running.engine, contact).await.1, 0);
    world.clock.set(T0 + 200);
    tokio::time::timeout(Duration::from_secs(20), erased(&running.engine, contact)).await.unwrap();
    running.stop().await;
}

#[actix::test]
async fn ct_74_without_a_grace_deleting_erases() {
    let mut world = world();
    world.grace = Some(0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let contact = engine.ingest(event("u1", "x")).await.unwrap().contact_id;
    engine.delete(&Identity::new(Some("u1"), None, None)).await.unwrap();
    assert_eq!(told(engine, contact).await, (vec!["contact.deleted erased".into()], 1));
    assert_eq!(engine.delete_contact(contact).await, Err(EngineError::NotFound));
    running.stop().await;
}

#[actix::test]
async fn gd_02_a_former_self_stands_for_the_contact_it_became_part_of() {
    let world = world();
    let running = world.start(None).await;
    let engine = &running.engine;
    let loser = engine.ingest(event("e1", "x")).await.unwrap().contact_id;
    let survivor = engine.ingest(event("u1", "x")).await.unwrap().contact_id;
    engine.ingest(event("u1 e1", "x")).await.unwrap();
    engine.delete_contact(survivor).await.unwrap();
    assert_eq!(engine.deleted(&loser.to_string()).await.unwrap(), Some(survivor));
    assert_eq!(engine.restore(loser).await.unwrap().contact, survivor);
    assert_eq!(engine.timeline(survivor, 10, 0).await.unwrap().unwrap().total, 3);
    running.stop().await;
}
