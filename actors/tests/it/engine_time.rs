//! Time and definitions through a whole engine: timers, restarts, passivation, back-fills, switches.

use std::time::{Duration, Instant};

use mainspring_actors::{Clock, Engine, api::IngestCall, engine::Timing};
use mainspring_eventlog::{Append, Expected, NewRecord, StreamAppend};
use mainspring_schemas::{
    ContactId, RecordId, StreamName, Timestamp,
    event::{ContactEvent, contact::TransitionSource},
};

use crate::{
    harness::{DAY, HOUR, T0, definitions, line},
    world::{Running, TestClock, World, event, history, records},
};

const DORMANT: &str = "
  - {id: dormant, name: Dormant, enabled: true, criteria: {all: [{event: seen, exists: true}, {event: seen, within: 7d, exists: false}]}}";
const BUYER: &str = "
  - {id: buyer, name: Buyer, enabled: true, criteria: {event: order, count: {gte: 2}}}";

async fn lines(engine: &Engine, contact: ContactId) -> Vec<String> {
    history(&**engine.log(), contact).await.iter().filter_map(line).collect()
}

/// How long after T0 the dormancy of [`seen_almost_7d_ago`] falls due.
const SOON: i64 = 300;

fn seen_almost_7d_ago(keys: &str) -> IngestCall {
    IngestCall { occurred_at: Some(Timestamp(T0 - 7 * DAY + SOON)), ..event(keys, "seen") }
}

/// Waits with patience for what is promised within about a second, while the clock runs.
async fn soon<T>(world: &World, promised: impl Future<Output = T>) -> T {
    let clock = world.clock.clone();
    let running = actix::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            clock.set(clock.now().0 + 20);
        }
    });
    let kept = tokio::time::timeout(Duration::from_secs(5), promised).await;
    running.abort();
    kept.expect("it is promised within a second")
}

/// Waits until the contact's history holds as many transitions; fails by the test runner's patience, not by a sleep.
async fn transitions(engine: &Engine, contact: ContactId, count: usize) -> Vec<String> {
    loop {
        let end = engine.log().durable_end();
        let lines = lines(engine, contact).await;
        if lines.len() >= count {
            return lines;
        }
        engine.log().wait_past(end).await;
    }
}

#[actix::test]
async fn what_fell_due_while_the_process_was_down_is_decided_at_start_with_its_due_instant() {
    let world = World::new(T0);
    let running = world.start(Some(definitions(DORMANT))).await;
    let contact = running.engine.ingest(event("u1", "seen")).await.unwrap().contact_id;
    running.stop().await;
    world.clock.set(T0 + 30 * DAY);
    let running = world.start(Some(definitions(DORMANT))).await;
    assert_eq!(transitions(&running.engine, contact, 1).await, ["168h+1ms +dormant #1 reconcile"]);
    running.stop().await;
}

#[actix::test]
async fn a_passivated_contact_comes_back_as_it_was_and_its_timers_still_fire() {
    let mut world = World::new(T0);
    world.resident = 2;
    world.shards = 1;
    let running = world.start(Some(definitions(DORMANT))).await;
    let engine = &running.engine;
    let contact = engine.ingest(seen_almost_7d_ago("u1")).await.unwrap().contact_id;
    for n in 2..20 {
        engine.ingest(event(&format!("u{n}"), "other")).await.unwrap();
    }
    assert!(engine.health().live_contacts <= 2, "{}", engine.health().live_contacts);
    assert_eq!(engine.contact(contact).await.unwrap().unwrap().wake_at.map(|at| at.0), Some(T0 + SOON + 1));
    for n in 20..30 {
        engine.ingest(event(&format!("u{n}"), "other")).await.unwrap();
    }
    world.clock.set(T0 + SOON + 1);
    assert_eq!(transitions(engine, contact, 1).await, ["0h+301ms +dormant #1 reconcile"]);
    assert_eq!(engine.ingest(event("u1", "other")).await.unwrap().contact_id, contact);
    running.stop().await;
}

#[actix::test]
async fn a_wake_that_was_refused_is_tried_again_within_a_second() {
    let world = World::new(T0);
    let running = world.start(Some(definitions(DORMANT))).await;
    let contact = running.engine.ingest(seen_almost_7d_ago("u1")).await.unwrap().contact_id;
    world.faults.refuse_appends(2);
    world.clock.set(T0 + SOON + 1);
    let began = Instant::now();
    let lines = soon(&world, transitions(&running.engine, contact, 1)).await;
    assert_eq!(lines, ["0h+301ms +dormant #1 reconcile"]);
    assert!(began.elapsed() > Duration::from_millis(600), "two refusals cost time");
    running.stop().await;
}

#[actix::test]
async fn a_refused_append_does_not_lose_the_timer_it_would_have_moved() {
    let world = World::new(T0);
    let running = world.start(Some(definitions(DORMANT))).await;
    let contact = running.engine.ingest(seen_almost_7d_ago("u1")).await.unwrap().contact_id;
    // The back-fill writes, too, and the fault is not meant for it.
    while running.engine.buckets().is_building() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.faults.refuse_appends(1);
    assert!(running.engine.ingest(event("u1", "seen")).await.is_err());
    world.clock.set(T0 + SOON + 1);
    assert_eq!(
        soon(&world, transitions(&running.engine, contact, 1)).await,
        ["0h+301ms +dormant #1 reconcile"]
    );
    running.stop().await;
}

#[actix::test]
async fn timers_that_cannot_be_armed_at_start_are_armed_within_a_second() {
    let world = World::new(T0);
    let running = world.start(Some(definitions(DORMANT))).await;
    let contact = running.engine.ingest(seen_almost_7d_ago("u1")).await.unwrap().contact_id;
    running.stop().await;
    world.clock.set(T0 + HOUR);
    world.faults.refuse_wakes(1);
    let running = world.start(Some(definitions(DORMANT))).await;
    assert_eq!(
        soon(&world, transitions(&running.engine, contact, 1)).await,
        ["0h+301ms +dormant #1 reconcile"]
    );
    running.stop().await;
}

#[actix::test]
async fn idle_contacts_leave_memory_even_if_they_were_used_more_than_once() {
    let mut world = World::new(T0);
    world.idle_after = Duration::from_millis(200);
    let running = world.start(None).await;
    for name in ["a", "b"] {
        for n in 0..100 {
            running.engine.ingest(event(&format!("u{n}"), name)).await.unwrap();
        }
    }
    soon(&world, async {
        while running.engine.health().live_contacts > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    running.stop().await;
}

#[actix::test]
async fn gauges_count_over_all_shards() {
    let mut world = World::new(T0);
    world.shards = 3;
    let running = world.start(Some(definitions(DORMANT))).await;
    for n in 0..20 {
        running.engine.ingest(seen_almost_7d_ago(&format!("u{n}"))).await.unwrap();
    }
    // A round through every shard: what was answered before is counted by now.
    running.engine.buckets().switch("dormant", false).await.unwrap();
    let health = running.engine.health();
    assert_eq!((health.live_contacts, health.armed_timers, health.refused_calls), (20, 20, 0));
    running.stop().await;
}

#[actix::test]
async fn a_switch_during_a_back_fill_leaves_one_pass_whose_end_counts() {
    let world = World::new(T0);
    let running = world.start(None).await;
    for n in 0..1200 {
        running.engine.ingest(event(&format!("u{n}"), "order")).await.unwrap();
    }
    running.stop().await;
    let running = world.start(Some(definitions(BUYER))).await;
    let buckets = running.engine.buckets();
    for enabled in [false, true] {
        buckets.switch("buyer", enabled).await.unwrap();
    }
    while buckets.is_building() {
        tokio::task::yield_now().await;
    }
    let stream = records(&**running.engine.log()).await;
    let steps: Vec<_> = stream.iter().filter(|record| record.stream.category() == "bucket").collect();
    let last = steps.iter().rposition(|record| record.event_type == "bucket.switched").unwrap();
    let steps: Vec<&str> = steps[last + 1..].iter().map(|record| record.event_type.as_str()).collect();
    let advanced = "bucket.fill-advanced";
    assert_eq!(steps, ["bucket.fill-started", advanced, advanced, advanced, "bucket.fill-completed"]);
    running.stop().await;
}

#[actix::test]
async fn bk_180_to_bk_185_a_new_definition_back_fills_and_says_how_far_it_is() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let mut contacts = Vec::new();
    for n in 0..1200 {
        let call = |name: &str| event(&format!("u{n}"), name);
        contacts.push(running.engine.ingest(call("order")).await.unwrap().contact_id);
        if n % 3 == 0 {
            running.engine.ingest(call("order")).await.unwrap();
        }
    }
    running.stop().await;
    world.clock.set(T0 + HOUR);
    let running = world.start(Some(definitions(BUYER))).await;
    let engine = &running.engine;
    while engine.buckets().is_building() {
        tokio::task::yield_now().await;
    }
    let bucket = engine.buckets().get("buyer").unwrap();
    assert_eq!((bucket.processed, bucket.total, bucket.building), (1200, 1200, false));
    assert_eq!(lines(engine, contacts[0]).await, ["1h +buyer #1 backfill silent"]);
    assert!(lines(engine, contacts[1]).await.is_empty());
    let joins = records(&**engine.log()).await;
    let joins = joins.iter().filter(|record| record.event_type == "contact.bucket-entered").count();
    assert_eq!(joins, 400);
    running.stop().await;
    let running = world.start(Some(definitions(BUYER))).await;
    assert!(!running.engine.buckets().is_building(), "a second start has nothing to do");
    running.stop().await;
}

#[actix::test]
async fn sb_64_a_switched_off_bucket_decides_nothing_and_catches_up_silently() {
    let world = World::new(T0);
    let running = world.start(Some(definitions(BUYER))).await;
    let engine = &running.engine;
    assert!(!engine.buckets().switch("buyer", false).await.unwrap().enabled);
    engine.ingest(event("u1", "order")).await.unwrap();
    let contact = engine.ingest(event("u1", "order")).await.unwrap().contact_id;
    assert!(lines(engine, contact).await.is_empty());
    world.clock.set(T0 + HOUR);
    assert!(engine.buckets().switch("buyer", true).await.unwrap().enabled);
    assert_eq!(transitions(engine, contact, 1).await, ["1h +buyer #1 backfill silent"]);
    running.stop().await;
}

/// Adds a record to a contact's stream that no code understands.
async fn corrupt(engine: &Engine, contact: ContactId) {
    let stream = StreamName::contact(contact);
    let last = engine.log().read_stream_back(&stream, None, 1).await.unwrap().remove(0);
    let record = NewRecord {
        id: RecordId(uuid::Uuid::from_u128(1)),
        event_type: "contact.from-the-future".into(),
        schema_version: 1,
        causation: None,
        trace: None,
        wake_at: None,
        definitions: 0,
        sealed_with: None,
        payload: Vec::new().into(),
    };
    let part = StreamAppend { stream, expected: Expected::Version(last.version), records: vec![record] };
    engine.log().append(Append { recorded_at: last.recorded_at, streams: vec![part] }).await.unwrap();
}

#[actix::test]
async fn bk_185_bf_15_a_back_fill_goes_on_after_an_error_and_passes_by_whom_nobody_can_read() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let mut contacts = Vec::new();
    for n in 0..3 {
        for _ in 0..2 {
            contacts.push(running.engine.ingest(event(&format!("u{n}"), "order")).await.unwrap().contact_id);
        }
    }
    contacts.dedup();
    corrupt(&running.engine, contacts[1]).await;
    running.stop().await;
    world.faults.refuse_append_to(contacts[2]);
    let running = world.start(Some(definitions(BUYER))).await;
    while running.engine.buckets().is_building() {
        tokio::task::yield_now().await;
    }
    for contact in [contacts[0], contacts[2]] {
        assert_eq!(lines(&running.engine, contact).await, ["0h +buyer #1 backfill silent"]);
    }
    let all = records(&**running.engine.log()).await;
    let started = all.iter().filter(|record| record.event_type == "bucket.fill-started");
    assert_eq!(started.count(), 1, "it goes on where it was");
    running.stop().await;
}

#[actix::test]
async fn bk_151_bk_170_after_a_clock_jump_timers_fire_without_any_message() {
    // Within the horizon, and beyond it.
    for (due_in, jump) in [(HOUR, 2 * HOUR), (3 * DAY, 4 * DAY)] {
        let world = World::new(T0);
        let running = world.start(Some(definitions(DORMANT))).await;
        let seen = Timestamp(T0 - 7 * DAY + due_in - 1);
        let call = IngestCall { occurred_at: Some(seen), ..event("u1", "seen") };
        let contact = running.engine.ingest(call).await.unwrap().contact_id;
        while running.engine.buckets().is_building() {
            tokio::task::yield_now().await;
        }
        world.clock.set(T0 + jump);
        let hours = due_in / HOUR;
        let expected = [format!("{hours}h +dormant #1 reconcile")];
        assert_eq!(transitions(&running.engine, contact, 1).await, expected);
        running.stop().await;
    }
}

/// A bucket that arms itself again and again.
const REMINDER: &str = "
  - {id: remind, name: Remind, enabled: true, criteria: {all: [{event: seen, exists: true}, {event: reminded, within: 30m, exists: false}]}, reactions: [{on: enter, do: [{track: {event: reminded}}]}]}";

#[actix::test]
async fn bk_85_after_a_long_outage_a_bucket_that_arms_itself_again_is_caught_up_in_many_turns() {
    let world = World::new(T0);
    let running = world.start(Some(definitions(REMINDER))).await;
    let contact = running.engine.ingest(event("u1", "seen")).await.unwrap().contact_id;
    running.stop().await;
    world.clock.set(T0 + 40 * DAY);
    let running = world.start(Some(definitions(REMINDER))).await;
    // Joined, reacted, tracked, left.
    let rounds = 1 + 40 * DAY / (30 * 60_000 + 1);
    let lines = transitions(&running.engine, contact, 4 * rounds as usize).await;
    let joins: Vec<&String> = lines.iter().filter(|line| line.contains(" +")).collect();
    assert_eq!((joins.len(), joins[2].as_str()), (rounds as usize, "1h+2ms +remind #3 reconcile"));
    let mut turns = std::collections::BTreeMap::new();
    for record in records(&**running.engine.log()).await {
        if record.stream.contact_id().is_some() {
            *turns.entry((record.recorded_at, record.wake_at)).or_insert(0) += 1;
        }
    }
    assert!(turns.values().all(|records| *records < 1010), "{turns:?}");
    running.engine.ingest(event("u1", "other")).await.unwrap();
    running.stop().await;
}

/// Starts with other definitions at an instant and waits for the pass over the contacts.
async fn redefined(world: &World, at: i64, yaml: &str) -> Running {
    world.clock.set(at);
    let running = world.start(Some(definitions(yaml))).await;
    while running.engine.buckets().is_building() {
        tokio::task::yield_now().await;
    }
    running
}

#[actix::test]
async fn bk_92_a_leave_deferred_by_a_longer_shortest_stay_comes_when_that_gets_shorter() {
    for shorter in ["minDwell: 2h, ", ""] {
        let mut world = World::new(T0);
        world.clock = TestClock::by_hand(T0);
        let bucket = |shortest: &str| {
            format!("\n  - {{id: b, name: B, enabled: true, {shortest}criteria: {{prop: plan, eq: pro}}}}")
        };
        let running = redefined(&world, T0, &bucket("minDwell: 10h, ")).await;
        let plan = |plan: &str| {
            let mut call = event("u1", "any");
            call.contact_properties.insert("plan".into(), plan.into());
            call
        };
        let contact = running.engine.ingest(plan("pro")).await.unwrap().contact_id;
        world.clock.set(T0 + HOUR);
        running.engine.ingest(plan("free")).await.unwrap();
        world.clock.set(T0 + 4 * HOUR);
        running.engine.ingest(event("u1", "any")).await.unwrap();
        running.stop().await;
        let running = redefined(&world, T0 + 5 * HOUR, &bucket(shorter)).await;
        let expected = ["0h +b #1 event", "5h -b #1 reconcile criteria"];
        assert_eq!(lines(&running.engine, contact).await, expected);
        running.stop().await;
    }
}

#[actix::test]
async fn bk_22_whoever_is_quiet_joins_by_the_clock_once_it_may() {
    let mut world = World::new(T0);
    world.clock = TestClock::by_hand(T0);
    let without = DORMANT.replace("criteria", "reconcileJoins: false, criteria");
    let running = redefined(&world, T0, &without).await;
    let [soon, long_ago] = ["u1", "u2"].map(|key| {
        let since = if key == "u1" { T0 } else { T0 - 7 * DAY + HOUR };
        IngestCall { occurred_at: Some(Timestamp(since)), ..event(key, "seen") }
    });
    let soon = running.engine.ingest(soon).await.unwrap().contact_id;
    let long_ago = running.engine.ingest(long_ago).await.unwrap().contact_id;
    running.stop().await;
    let running = redefined(&world, T0 + DAY, DORMANT).await;
    running.engine.advance(Timestamp(T0 + 8 * DAY), |_| {}).await.unwrap();
    assert_eq!(lines(&running.engine, soon).await, ["168h+1ms +dormant #1 reconcile"]);
    assert_eq!(lines(&running.engine, long_ago).await, ["24h +dormant #1 reconcile"], "not before it may");
    running.stop().await;
}

#[actix::test]
async fn bk_01_a_transition_stands_in_the_same_append_as_the_event_that_caused_it() {
    let world = World::new(T0);
    let running = world.start(Some(definitions(BUYER))).await;
    let engine = &running.engine;
    engine.ingest(event("u1", "order")).await.unwrap();
    let outcome = engine.ingest(event("u1", "order")).await.unwrap();
    assert_eq!(outcome.entered.len(), 1, "DP-12");
    let records = records(&**engine.log()).await;
    let join = records.iter().find(|record| record.event_type == "contact.bucket-entered").unwrap();
    assert_eq!(join.causation, Some(outcome.event_id));
    assert_eq!(join.position, outcome.position.unwrap());
    let cause = records.iter().find(|record| record.id == outcome.event_id).unwrap();
    assert_eq!((cause.position + 1, cause.recorded_at), (join.position, join.recorded_at));
    assert!(matches!(
        ContactEvent::decode(&join.event_type, join.schema_version, &join.payload).unwrap(),
        ContactEvent::BucketEntered(entered) if entered.announced
    ));
    running.stop().await;
}

/// On the data's own clock nobody looks between two calls: what fell due for the loser of a merge is decided before it
/// goes.
#[actix::test]
async fn bk_155_what_fell_due_for_the_loser_is_decided_before_the_merge() {
    let mut world = World::new(T0);
    world.clock = TestClock::by_hand(T0);
    let running = world.start(Some(definitions(DORMANT))).await;
    let at = |now: i64| Timing { at: Some(Timestamp(now)), continuous: true };
    let send = async |keys: &str, name: &str, now: i64| {
        let mut call = event(keys, name);
        call.occurred_at = Some(Timestamp(now));
        running.engine.submit_ingest(call, at(now)).await.unwrap().ingested().await.unwrap();
    };
    send("e-loser", "seen", T0).await;
    send("u-survivor", "other", T0).await;
    send("u-survivor e-loser", "other", T0 + 10 * DAY).await;
    let joins: Vec<(Timestamp, TransitionSource)> = records(&**running.engine.log())
        .await
        .iter()
        .filter(|record| record.stream.contact_id().is_some())
        .filter_map(|record| {
            match ContactEvent::decode(&record.event_type, record.schema_version, &record.payload).unwrap() {
                ContactEvent::BucketEntered(entered) => Some((entered.at, entered.source)),
                _ => None,
            }
        })
        .collect();
    assert_eq!(joins, [(Timestamp(T0 + 7 * DAY + 1), TransitionSource::Reconcile)]);
    running.stop().await;
}
