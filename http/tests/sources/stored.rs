//! The stored secret of a source (WS-92).

use std::sync::atomic::Ordering;

use mainspring_schemas::{SourceId, Timestamp};
use serde_json::{Value, json};

use crate::world::{Answer, World};

const EVENT: &str = r#"{"event": {"event": "signed up", "distinct_id": "u1"}}"#;

async fn send(world: &World, configured: Option<&str>, presented: &str) -> Answer {
    let env = configured.map_or(json!({}), |secret| json!({"POSTHOG_WEBHOOK_SECRET": secret}));
    let headers = json!({"x-posthog-webhook-secret": presented});
    let request = json!({"path": "/v1/webhooks/posthog", "body": EVENT, "headers": headers});
    world.send(&json!({"env": env, "request": request})).await
}

fn answered(answer: &Answer) -> (u16, Value) {
    (answer.status, answer.body["error"].clone())
}

#[actix_web::test]
async fn ws_92_a_stored_secret_counts_at_once_and_only_while_the_variable_is_unset() {
    let world = World::new(Timestamp(1_780_272_000_000)).await;
    let unknown = (404, json!("Unknown webhook source"));
    assert_eq!(answered(&send(&world, None, "guess").await), unknown);
    let stored = world.engine.source_secrets().ensure(&SourceId::new("posthog").unwrap()).await.unwrap();
    assert_eq!(send(&world, None, stored.as_str()).await.status, 200);
    let invalid = (401, json!("Invalid webhook secret"));
    assert_eq!(answered(&send(&world, None, "guess").await), invalid);
    assert_eq!(answered(&send(&world, None, "").await), invalid);
    assert_eq!(send(&world, Some("configured"), "configured").await.status, 200);
    assert_eq!(answered(&send(&world, Some("configured"), stored.as_str()).await), invalid);
}

#[actix_web::test]
async fn ws_92_a_stored_secret_closes_an_open_source() {
    let mut world = World::new(Timestamp(1_780_272_000_000)).await;
    world.registry.unauthenticated = Some("posthog".to_owned());
    assert_eq!(send(&world, None, "anything").await.status, 200);
    world.engine.source_secrets().ensure(&SourceId::new("posthog").unwrap()).await.unwrap();
    assert_eq!(send(&world, None, "anything").await.status, 401);
}

#[actix_web::test]
async fn ws_92_a_failed_look_up_is_closed() {
    let mut world = World::new(Timestamp(1_780_272_000_000)).await;
    world.unreadable.store(true, Ordering::SeqCst);
    for unauthenticated in [None, Some("posthog".to_owned())] {
        world.registry.unauthenticated = unauthenticated;
        let answer = send(&world, None, "guess").await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert_eq!(send(&world, Some("configured"), "configured").await.status, 200, "nothing is looked up");
    world.unreadable.store(false, Ordering::SeqCst);
    world.registry.unauthenticated = None;
    assert_eq!(send(&world, None, "guess").await.status, 404, "a failure is not remembered");
}
