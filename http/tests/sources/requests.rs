//! Complete requests of the vectors, through the edge to a log.

use std::sync::atomic::Ordering;

use mainspring_schemas::Timestamp;
use serde_json::Value;

use crate::{cases, vectors, world::World};

async fn world(file: &str) -> World {
    World::new(Timestamp(vectors(file)["now"].as_i64().unwrap() * 1000)).await
}

#[actix_web::test]
async fn ws_02_every_request_of_the_vectors_is_answered_as_they_say() {
    let mut wrong = Vec::new();
    for (file, count) in [
        ("clerk.json", 22),
        ("supabase.json", 18),
        ("stripe.json", 26),
        ("segment.json", 19),
        ("posthog.json", 10),
    ] {
        let world = world(file).await;
        for case in cases(file, count) {
            let answer = world.send(&case).await;
            let expected = &case["expect"];
            let members = expected["response"].as_object().unwrap();
            let same = members.iter().all(|(key, value)| answer.body.get(key) == Some(value));
            let taken = answer.body.get("event").is_some();
            let told = taken != expected["ingest"].is_null()
                && taken == answer.body.get("exits").is_some_and(Value::is_array)
                && taken == answer.body.get("stored").is_some_and(Value::is_boolean);
            if expected["status"] != answer.status || !same || !told {
                wrong.push(format!(
                    "{file} {}: {} {}, expected {expected}",
                    case["id"], answer.status, answer.body
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[actix_web::test]
async fn ss_15_while_storage_is_down_nothing_is_acknowledged() {
    let world = world("clerk.json").await;
    let case = cases("clerk.json", 22).remove(0);
    world.broken.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let answer = world.send(&case).await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        let seconds = answer.headers.get("retry-after").unwrap().to_str().unwrap();
        assert!(seconds.parse::<u64>().is_ok(), "{seconds}");
    }
    world.broken.store(false, Ordering::SeqCst);
    let mut stored = Vec::new();
    for _ in 0..3 {
        let answer = world.send(&case).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        stored.push(answer.body["stored"].clone());
    }
    assert_eq!(stored, [true, false, false], "exactly one event in the end");
}

#[actix_web::test]
async fn ws_52_a_deletion_that_can_never_erase_is_stored_as_an_event() {
    // The log of these tests is not sealed, so nobody can be erased.
    let mut world = world("clerk.json").await;
    world.registry.erase_on_delete = Some("clerk".to_owned());
    let cases = cases("clerk.json", 22);
    let case = |id: &str| cases.iter().find(|case| case["id"] == id).unwrap();
    let unknown = world.send(case("user-deleted")).await;
    assert_eq!((unknown.status, &unknown.body["skipped"]), (200, &Value::Bool(true)));
    assert_eq!(world.send(case("user-created")).await.body["stored"], true);
    for stored in [true, false] {
        let answer = world.send(case("user-deleted")).await;
        assert_eq!((answer.status, &answer.body["stored"]), (200, &Value::Bool(stored)), "{}", answer.body);
        assert_eq!(answer.body["event"], "contact.deleted");
    }
}
