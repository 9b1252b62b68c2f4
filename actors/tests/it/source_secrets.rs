//! Secrets that the engine makes for webhook sources.

use mainspring_actors::api::EngineError;
use mainspring_eventlog::sealing::KeyState;
use mainspring_schemas::{SourceId, StreamName};

use crate::world::World;

fn posthog() -> SourceId {
    SourceId::new("posthog").unwrap()
}

#[actix::test]
async fn ws_92_a_secret_is_made_once_and_survives_restarts() {
    let world = World::new(0);
    let running = world.start(None).await;
    let secrets = running.engine.source_secrets();
    assert_eq!(secrets.find(&posthog()).await.unwrap(), None);
    let id = posthog();
    let (made, again) = tokio::join!(secrets.ensure(&id), secrets.ensure(&id));
    let made = made.unwrap();
    assert_eq!(made, again.unwrap());
    assert_eq!(made.as_str().len(), 64);
    assert!(made.as_str().bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    assert!(!format!("{made:?}").contains(made.as_str()));
    assert_eq!(secrets.find(&posthog()).await.unwrap().as_ref(), Some(&made));
    let other = secrets.ensure(&SourceId::new("other").unwrap()).await.unwrap();
    assert_ne!(made, other, "every source has its own");
    running.stop().await;

    let running = world.start(None).await;
    let secrets = running.engine.source_secrets();
    assert_eq!(secrets.find(&posthog()).await.unwrap().as_ref(), Some(&made));
    assert_eq!(secrets.ensure(&posthog()).await.unwrap(), made);
    running.stop().await;
}

#[actix::test]
async fn ws_92_a_secret_that_cannot_be_read_is_not_an_absent_one() {
    let world = World::new(0);
    let running = world.start(None).await;
    let made = running.engine.source_secrets().ensure(&posthog()).await.unwrap();
    let records = running.engine.log().read_stream(&StreamName::source(&posthog()), 0, 9).await.unwrap();
    let data_key = records[0].sealed_with.unwrap();
    running.engine.destroy_keys(vec![data_key]).await.unwrap();
    assert!(running.data_keys.find(data_key).unwrap() == KeyState::Destroyed);
    running.stop().await;

    let running = world.start(None).await;
    let secrets = running.engine.source_secrets();
    for _ in 0..2 {
        let failed = secrets.find(&posthog()).await.unwrap_err();
        assert!(
            matches!(&failed, EngineError::LogFailed(why) if why.contains("posthog") && !why.contains(made.as_str()))
        );
        assert!(
            matches!(secrets.ensure(&posthog()).await, Err(EngineError::LogFailed(_))),
            "none is made over it"
        );
    }
    running.stop().await;
}

#[actix::test]
async fn ws_92_what_was_not_stored_is_not_used() {
    let world = World::new(0);
    let running = world.start(None).await;
    let secrets = running.engine.source_secrets();
    world.faults.refuse_appends(1);
    assert_eq!(secrets.ensure(&posthog()).await, Err(EngineError::Overloaded));
    assert_eq!(secrets.find(&posthog()).await.unwrap(), None);
    secrets.ensure(&posthog()).await.unwrap();
    running.stop().await;
}
