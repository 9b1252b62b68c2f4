//! What criteria would match, asked of every contact (BK-229).

use mainspring_schemas::{Timestamp, criteria::read_json};
use serde_json::json;

use crate::{
    harness::{DAY, T0},
    world::{World, event, records},
};

#[actix::test]
async fn bk_229_a_preview_asks_everybody_once_and_writes_nothing() {
    let mut world = World::new(T0);
    world.resident = 8;
    let running = world.start(None).await;
    let engine = &running.engine;
    for n in 0..520 {
        let mut call = event(&format!("u{n} e{n}"), if n % 4 == 0 { "order" } else { "visit" });
        call.occurred_at = (n % 8 == 0).then_some(Timestamp(T0 - 2 * DAY));
        engine.ingest(call).await.unwrap();
    }
    // One is gone, two became one: neither is asked.
    engine.delete(&event("u4", "x").identity).await.unwrap();
    engine.ingest(event("u12 e16", "visit")).await.unwrap();
    let before = records(&**engine.log()).await.len();
    let ordered = read_json(&json!({"event": "order", "within": "1d"})).0.unwrap();
    let found = engine.preview(&ordered, 3).await.unwrap();
    assert_eq!((found.size, found.evaluated, found.sample.len()), (64, 518, 3));
    assert!(found.sample.is_sorted_by_key(|contact| contact.id), "by id");
    for contact in &found.sample {
        let number: u64 = contact.user_id.trim_start_matches('u').parse().unwrap();
        if [12, 16].contains(&number) {
            // Which of the two is left depends on their ids.
            continue;
        }
        assert_eq!(
            (number % 8, contact.user_email.as_deref()),
            (4, Some(&*format!("e{number}@example.com")))
        );
    }
    world.clock.set(T0 + DAY + 1);
    assert_eq!(engine.preview(&ordered, 3).await.unwrap().size, 0, "as of now");
    assert_eq!(records(&**engine.log()).await.len(), before);
    assert!(engine.health().live_contacts <= 8);
    running.stop().await;
}
