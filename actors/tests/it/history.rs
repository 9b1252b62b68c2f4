//! Questions about the past and the reasons for it.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
};

use mainspring_actors::{
    engine::WhyError,
    history::{Because, Why, contact_at},
};
use mainspring_schemas::{BucketId, ContactId, Timestamp};
use serde_json::json;

use crate::{
    harness::{DAY, HOUR, T0, definitions},
    world::{Running, TestClock, World, event},
};

const DORMANT: &str = "
  - {id: dormant, name: Dormant, enabled: true, criteria: {all: [{event: seen, exists: true}, {event: seen, within: 7d, exists: false}]}}";
const SLEEPER: &str = "
  - {id: dormant, name: Sleeper, enabled: true, criteria: {all: [{event: seen, exists: true}, {event: seen, within: 30d, exists: false}]}}";

fn world() -> World {
    let mut world = World::new(T0);
    world.policy.max_moved_history = 2;
    world.clock = TestClock::by_hand(T0);
    world
}

async fn pass(world: &World, running: &Running, now: i64) {
    world.clock.set(now);
    running.engine.advance(Timestamp(now), |_| {}).await.unwrap();
}

async fn why(running: &Running, contact: ContactId, bucket: &str, at: Option<i64>) -> Result<Why, WhyError> {
    running.engine.why(contact, &BucketId::new(bucket).unwrap(), at.map(Timestamp)).await
}

#[actix::test]
async fn ct_85_whoever_reads_a_long_history_lets_others_have_their_turn() {
    let world = world();
    let running = world.start(None).await;
    let calls = vec![event("u1", "seen"); 1000];
    let stored = running.engine.ingest_batch(calls).await;
    let contact = stored[0].as_ref().unwrap().contact_id;
    let log = Arc::clone(running.engine.log());
    let mut read = pin!(contact_at(&*log, contact, Timestamp(T0)));
    let mut turns = 0;
    let state = poll_fn(|context| {
        turns += 1;
        read.as_mut().poll(context)
    });
    assert_eq!(state.await.unwrap().version, Some(1000));
    assert!(turns > 3, "{turns}");
    running.stop().await;
}

#[actix::test]
async fn the_answer_for_an_instant_is_what_was_true_then_however_late_it_was_written() {
    let world = world();
    let running = world.start(Some(definitions(DORMANT))).await;
    let contact = running.engine.ingest(event("u1", "seen")).await.unwrap().contact_id;
    // Nobody looked when it fell due: the transition was written on the tenth day, for the seventh.
    pass(&world, &running, T0 + 10 * DAY).await;
    let now = why(&running, contact, "dormant", None).await.unwrap();
    assert_eq!((now.member, now.because, now.next_change_at), (true, Because::Criteria, None));
    assert_eq!(now.stay.unwrap().entered_at, Timestamp(T0 + 7 * DAY + 1));
    for (at, member) in [(0, false), (3 * DAY, false), (7 * DAY, false), (7 * DAY + 1, true), (8 * DAY, true)]
    {
        let then = why(&running, contact, "dormant", Some(T0 + at)).await.unwrap();
        let next = (!member).then_some(Timestamp(T0 + 7 * DAY + 1));
        assert_eq!(
            (then.member, then.because, then.next_change_at),
            (member, Because::Criteria, next),
            "{at}"
        );
        assert_eq!((then.criteria.holds(), then.at), (member, Timestamp(T0 + at)));
    }
    assert_eq!(why(&running, contact, "dormant", Some(T0 - 1)).await, Err(WhyError::NoContact));
    assert_eq!(why(&running, contact, "nothing", None).await, Err(WhyError::NoBucket));
    let nobody = ContactId(uuid::Uuid::from_u128(1));
    assert_eq!(why(&running, nobody, "dormant", None).await, Err(WhyError::NoContact));
    running.stop().await;
}

#[actix::test]
async fn the_definition_is_the_one_of_the_instant() {
    let world = world();
    let running = world.start(Some(definitions(""))).await;
    let contact = running.engine.ingest(event("u1", "seen")).await.unwrap().contact_id;
    running.stop().await;
    world.clock.set(T0 + DAY);
    let running = world.start(Some(definitions(DORMANT))).await;
    running.stop().await;
    world.clock.set(T0 + 2 * DAY);
    let running = world.start(Some(definitions(SLEEPER))).await;
    assert_eq!(why(&running, contact, "dormant", Some(T0 + HOUR)).await, Err(WhyError::NoBucket));
    for (at, name, since) in
        [(DAY, "Dormant", DAY), (2 * DAY - 1, "Dormant", DAY), (2 * DAY, "Sleeper", 2 * DAY)]
    {
        let then = why(&running, contact, "dormant", Some(T0 + at)).await.unwrap().definition;
        assert_eq!((then.name.as_str(), then.since), (name, Timestamp(T0 + since)), "{at}");
    }
    let hash = definitions(SLEEPER)[0].criteria_hash();
    assert_eq!(why(&running, contact, "dormant", None).await.unwrap().definition.criteria_hash, hash);
    running.stop().await;
}

const PECULIAR: &str = "
  - {id: floor, name: F, enabled: true, criteria: {prop: plan, eq: pro}, minDwell: 2h}
  - {id: ceiling, name: C, enabled: true, criteria: {prop: plan, exists: true}, maxDwell: 1h}
  - {id: quiet, name: Q, enabled: true, criteria: {all: [{event: other}, {event: other, within: 30m, exists: false}]}, reconcileJoins: false}
  - {id: off, name: O, enabled: false, criteria: {prop: plan, exists: true}}";

#[actix::test]
async fn bk_92_bk_141_bk_200_a_membership_that_is_not_what_the_criteria_say_has_its_reason() {
    let world = world();
    let running = world.start(Some(definitions(PECULIAR))).await;
    let with = |plan: &str| {
        let mut call = event("u1", "other");
        call.contact_properties = json!({ "plan": plan }).as_object().cloned().unwrap();
        call
    };
    let contact = running.engine.ingest(with("pro")).await.unwrap().contact_id;
    running.engine.ingest(with("free")).await.unwrap();
    let floor = why(&running, contact, "floor", None).await.unwrap();
    assert_eq!((floor.member, floor.because, floor.criteria.holds()), (true, Because::MinDwell, false));
    assert_eq!(floor.next_change_at, Some(Timestamp(T0 + 2 * HOUR)));
    assert_eq!(floor.stay.unwrap().min_dwell_until, Some(Timestamp(T0 + 2 * HOUR)));
    let off = why(&running, contact, "off", None).await.unwrap();
    assert_eq!((off.member, off.because, off.definition.enabled), (false, Because::Disabled, false));
    pass(&world, &running, T0 + HOUR).await;
    let ceiling = why(&running, contact, "ceiling", None).await.unwrap();
    assert_eq!((ceiling.member, ceiling.because, ceiling.criteria.holds()), (false, Because::MaxDwell, true));
    let quiet = why(&running, contact, "quiet", None).await.unwrap();
    assert_eq!((quiet.member, quiet.because, quiet.criteria.holds()), (false, Because::NotDecided, true));
    running.stop().await;
}

#[actix::test]
async fn mc_14_a_merged_contact_answers_by_its_survivor() {
    let world = world();
    let running = world.start(Some(definitions(DORMANT))).await;
    let survivor = running.engine.ingest(event("u1", "other")).await.unwrap().contact_id;
    let loser = running.engine.ingest(event("e1", "seen")).await.unwrap().contact_id;
    world.clock.set(T0 + DAY);
    running.engine.ingest(event("u1 e1", "other")).await.unwrap();
    let merged = why(&running, loser, "dormant", None).await.unwrap();
    assert_eq!((merged.contact_id, merged.next_change_at), (survivor, Some(Timestamp(T0 + 7 * DAY + 1))));
    let before = why(&running, loser, "dormant", Some(T0 + HOUR)).await.unwrap();
    assert_eq!((before.contact_id, before.next_change_at), (survivor, None), "it had not been seen then");
    running.stop().await;
}
