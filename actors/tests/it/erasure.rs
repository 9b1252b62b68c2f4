//! Erasure (GD-03, CT-74): what is left of a person, and of everybody else.

use std::path::Path;

use mainspring_actors::api::{EngineError, Identity};
use mainspring_eventlog::sealing::KeyState;
use mainspring_schemas::{
    ContactId,
    event::{ContactEvent, contact::LeaveReason},
};
use serde_json::json;

use crate::{
    harness::definitions,
    world::{Running, World, event, history, records},
};

fn by(user: &str) -> Identity {
    Identity::new(Some(user), None, None)
}

async fn id_of(running: &Running, user: &str) -> ContactId {
    running.engine.find(&by(user)).await.unwrap()[0].contact.id
}

fn holds(directory: &Path, needle: &str) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        std::fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle.as_bytes())
    })
}

#[actix::test]
async fn gd_03_an_erased_person_is_nowhere_and_everybody_else_is_as_before() {
    let world = World::new(0);
    let plan = definitions("- {id: pro, name: Pro, enabled: true, criteria: {prop: plan, eq: pro}}\n");
    let running = world.start(Some(plan)).await;
    for user in ["u-ada-lovelace", "u-charles-babbage"] {
        let mut call = event(&format!("{user} e-{user}"), &format!("said-by-{user}"));
        call.contact_properties.insert("plan".to_owned(), json!("pro"));
        call.contact_properties.insert("note".to_owned(), json!(format!("secret-of-{user}")));
        running.engine.ingest(call).await.unwrap();
    }
    let (one, two) = (id_of(&running, "u-ada-lovelace").await, id_of(&running, "u-charles-babbage").await);
    let (before, count) =
        (history(&**running.engine.log(), two).await, records(&**running.engine.log()).await.len());

    let erased = running.engine.erase(&by("u-ada-lovelace")).await.unwrap();
    assert_eq!((erased.contact, erased.former), (one, 0));
    assert!(running.engine.find(&by("u-ada-lovelace")).await.unwrap().is_empty());
    assert_eq!(history(&**running.engine.log(), two).await, before);
    assert!(records(&**running.engine.log()).await.len() > count, "nothing disappears from the log");

    let left = history(&**running.engine.log(), one).await;
    let text = format!("{left:?}");
    for trace in ["u-ada-lovelace", "e-u-ada-lovelace", "said-by-u-ada-lovelace", "secret-of-u-ada-lovelace"]
    {
        assert!(!text.contains(trace), "{trace} in {text}");
        assert!(!holds(world.path(), trace), "{trace} on disk");
    }
    // What happened, and when, is still told.
    let stays = left.iter().filter_map(|event| match event {
        ContactEvent::BucketEntered(entered) => Some(entered.bucket.as_str()),
        ContactEvent::BucketLeft(left) => {
            assert_eq!((left.reason, left.announced), (LeaveReason::Deleted, false));
            Some(left.bucket.as_str())
        }
        _ => None,
    });
    assert_eq!(stays.collect::<Vec<_>>(), ["pro", "pro"]);
    let told: Vec<_> = left
        .iter()
        .filter_map(|event| match event {
            ContactEvent::Announced(told) => Some((told.outbound_type.as_str(), told.data.clone())),
            _ => None,
        })
        .collect();
    let data = json!({"id": one, "externalId": null, "email": null, "reason": "erased"});
    assert_eq!(told, [("contact.deleted", data.as_object().unwrap().clone())]);
    running.stop().await;

    let running = world.start(None).await;
    assert!(running.engine.find(&by("u-ada-lovelace")).await.unwrap().is_empty());
    assert_eq!(
        running.engine.find(&by("u-charles-babbage")).await.unwrap()[0].contact.properties["note"],
        "secret-of-u-charles-babbage"
    );
    running.stop().await;
}

#[actix::test]
async fn gd_04_whoever_comes_back_with_the_same_key_is_a_new_contact() {
    let world = World::new(0);
    let running = world.start(None).await;
    running.engine.ingest(event("u-ada-lovelace", "x")).await.unwrap();
    let before = id_of(&running, "u-ada-lovelace").await;
    running.engine.erase(&by("u-ada-lovelace")).await.unwrap();
    assert!(matches!(running.engine.erase(&by("u-ada-lovelace")).await, Err(EngineError::NotFound)));
    running.engine.ingest(event("u-ada-lovelace", "y")).await.unwrap();
    let after = id_of(&running, "u-ada-lovelace").await;
    assert_ne!(after, before);
    let told = format!("{:?}", history(&**running.engine.log(), after).await);
    assert!(told.contains("u-ada-lovelace") && told.contains('y'), "{told}");
    running.stop().await;
}

#[actix::test]
async fn gd_03_former_selves_are_erased_too_and_erasing_again_changes_nothing() {
    let world = World::new(0);
    let running = world.start(None).await;
    running.engine.ingest(event("e-first", "seen-by-mail")).await.unwrap();
    running.engine.ingest(event("u-second", "seen-by-id")).await.unwrap();
    running.engine.ingest(event("u-second e-first", "both")).await.unwrap();
    let survivor = id_of(&running, "u-second").await;
    running.engine.delete(&by("u-second")).await.unwrap();

    // Deleted already: only the id still names the contact, or the one that was merged into it.
    let erased = running.engine.erase_contact(survivor).await.unwrap();
    assert_eq!(erased.former, 1);
    let end = records(&**running.engine.log()).await.len();
    let again = running.engine.erase_contact(survivor).await.unwrap();
    assert_eq!((again.position, records(&**running.engine.log()).await.len()), (None, end));
    for record in records(&**running.engine.log()).await {
        if let Some(key) = record.sealed_with {
            assert!(running.data_keys.find(key).unwrap() == KeyState::Destroyed);
        }
    }
    running.stop().await;
    for trace in ["e-first", "u-second", "seen-by-mail", "seen-by-id"] {
        assert!(!holds(world.path(), trace), "{trace}");
    }
}

#[actix::test]
async fn rs_60_whom_to_erase_may_be_named_by_a_user_id_that_looks_like_a_contact_id() {
    let world = World::new(0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let user = "018f9f3a-2c41-7c3e-9a50-1f0d6b1f7a11";
    let mut call = event("u", "x");
    call.identity = by(user);
    let named = engine.ingest(call.clone()).await.unwrap().contact_id;
    assert_eq!(engine.to_erase(user).await.unwrap(), Some(named));
    // A contact's id comes first, and only it names somebody who is deleted.
    assert_eq!(engine.to_erase(&named.to_string()).await.unwrap(), Some(named));
    engine.delete_contact(named).await.unwrap();
    assert_eq!(engine.to_erase(&named.to_string()).await.unwrap(), Some(named));
    // Unless somebody lives who has it as user id (KE-24).
    call.identity = by(&named.to_string());
    let other = engine.ingest(call).await.unwrap().contact_id;
    assert_eq!(engine.to_erase(&named.to_string()).await.unwrap(), Some(other));
    assert_eq!(engine.to_erase("nobody").await.unwrap(), None);
    running.stop().await;
}

#[actix::test]
async fn gd_03_older_keys_that_are_restored_do_not_bring_anybody_back() {
    let world = World::new(0);
    let running = world.start(None).await;
    running.engine.ingest(event("u-ada-lovelace", "x")).await.unwrap();
    let backup = std::fs::read(world.data_keys()).unwrap();
    running.engine.erase(&by("u-ada-lovelace")).await.unwrap();
    running.stop().await;
    std::fs::write(world.data_keys(), backup).unwrap();

    let running = world.start(None).await;
    let listed: Vec<_> = records(&**running.engine.log())
        .await
        .iter()
        .filter_map(|record| {
            match ContactEvent::decode(&record.event_type, record.schema_version, &record.payload) {
                Ok(ContactEvent::Erased(erased)) => Some(erased.data_keys),
                _ => None,
            }
        })
        .flatten()
        .collect();
    assert!(listed.iter().all(|key| running.data_keys.find(*key).unwrap() != KeyState::Destroyed));
    running.engine.destroy_keys(listed.clone()).await.unwrap();
    assert!(listed.iter().all(|key| running.data_keys.find(*key).unwrap() == KeyState::Destroyed));
    running.stop().await;
}

#[actix::test]
async fn gd_03_no_snapshot_of_a_former_self_stays() {
    let mut world = World::new(0);
    world.resident = 2;
    world.shards = 1;
    let running = world.start(None).await;
    let engine = &running.engine;
    for n in 0..100 {
        engine.ingest(event("e-first", &format!("said-{n}"))).await.unwrap();
    }
    let former = engine.find(&event("e-first", "x").identity).await.unwrap()[0].contact.id;
    for n in 0..5 {
        engine.ingest(event(&format!("u-other-{n}"), "x")).await.unwrap();
    }
    let survivor = engine.ingest(event("u-second", "x")).await.unwrap().contact_id;
    engine.ingest(event("u-second e-first", "both")).await.unwrap();
    for n in 0..5 {
        engine.ingest(event(&format!("u-other-{n}"), "x")).await.unwrap();
    }
    running.stop().await;
    assert!(world.has_snapshot(former).await);
    let running = world.start(None).await;
    running.engine.erase_contact(survivor).await.unwrap();
    running.stop().await;
    assert!(!world.has_snapshot(former).await && !world.has_snapshot(survivor).await);
}

#[actix::test]
async fn a_sealed_snapshot_saves_reading_and_shows_nobody() {
    let mut world = World::new(0);
    world.resident = 2;
    world.shards = 1;
    let running = world.start(None).await;
    for n in 0..200 {
        running.engine.ingest(event("u-ada-lovelace e-ada", &format!("said-{n}"))).await.unwrap();
    }
    for n in 0..5 {
        running.engine.ingest(event(&format!("u-other-{n}"), "x")).await.unwrap();
    }
    let found = running.engine.find(&by("u-ada-lovelace")).await.unwrap();
    assert_eq!(found[0].version, 200);
    running.stop().await;
    assert!(world.path().join("snapshots.sqlite").exists());
    assert!(!holds(world.path(), "e-ada") && !holds(world.path(), "said-7"));
    let running = world.start(None).await;
    let one = id_of(&running, "u-ada-lovelace").await;
    assert_eq!(running.engine.find(&by("u-ada-lovelace")).await.unwrap()[0].version, 200);
    running.engine.erase_contact(one).await.unwrap();
    assert!(running.engine.contact(one).await.unwrap().is_none());
    running.stop().await;
    let running = world.start(None).await;
    assert!(running.engine.contact(one).await.unwrap().is_none());
    running.stop().await;
}
