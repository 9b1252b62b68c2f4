//! Definitions tried on recorded histories: the one that was in force all along must give what was recorded.

use std::collections::BTreeMap;

use mainspring_actors::{
    Engine,
    api::{EngineError, IngestCall, UpsertCall},
    backtest::{Backtest, Period, Report},
    history::{Members, contact_at, contact_event},
};
use mainspring_eventlog::Recorded;
use mainspring_schemas::{
    BucketId, ContactId, Timestamp,
    definition::BucketDefinition,
    event::{ContactEvent, contact::Via},
};
use serde_json::json;

use crate::{
    harness::{DAY, HOUR, T0, definitions, line},
    membership_model::POOL,
    random::Random,
    world::{Running, TestClock, World, event, records},
};

const MINUTE: i64 = 60_000;
const KEYS: [&str; 9] = ["u0", "u1", "u2", "e0", "e1", "e2", "v0", "v1", "v2"];

type Transitions = BTreeMap<ContactId, Vec<ContactEvent>>;

fn bucket_of(event: &ContactEvent) -> Option<&BucketId> {
    match event {
        ContactEvent::BucketEntered(entered) => Some(&entered.bucket),
        ContactEvent::BucketLeft(left) => Some(&left.bucket),
        _ => None,
    }
}

fn backtest(log: &[Recorded], definition: &BucketDefinition, period: Period) -> (Transitions, Report) {
    let mut transitions = Transitions::new();
    let mut tell = |contact, event: &ContactEvent| {
        transitions.entry(contact).or_default().push(event.clone());
    };
    let mut backtest = Backtest::new(definition.clone(), period);
    for record in log {
        backtest.record(record, &mut tell).unwrap();
    }
    let report = backtest.finish(10, &mut tell);
    (transitions, report)
}

fn recorded(log: &[Recorded], bucket: &BucketId) -> Transitions {
    let mut transitions = Transitions::new();
    for record in log {
        let Some(contact) = record.stream.contact_id() else { continue };
        let event = contact_event(record).unwrap();
        if bucket_of(&event) == Some(bucket) {
            transitions.entry(contact).or_default().push(event);
        }
    }
    transitions
}

fn members(log: &[Recorded], bucket: &BucketId, at: i64) -> Vec<ContactId> {
    let mut members = Members::new(bucket.clone(), Timestamp(at));
    for record in log {
        if let Some(contact) = record.stream.contact_id() {
            members.tell(contact, &contact_event(record).unwrap());
        }
    }
    members.into_sorted().into_iter().map(|(contact, _)| contact).collect()
}

fn call(random: &mut Random, now: i64) -> IngestCall {
    let keys: Vec<&str> = loop {
        let keys: Vec<&str> =
            KEYS.chunks(3).filter_map(|kind| kind.get(random.below(6) as usize).copied()).collect();
        if keys.iter().any(|key| !key.starts_with('v')) {
            break keys;
        }
    };
    let name = ["a", "a", "b", "b", "c"][random.below(5) as usize];
    let mut call = event(&keys.join(" "), name);
    if random.below(4) == 0 {
        call.occurred_at = Some(Timestamp(now - (random.below(600) as i64 - 60) * MINUTE));
    }
    if random.below(3) == 0 {
        let plan = [json!("pro"), json!("free"), json!(null)][random.below(3) as usize].clone();
        call.contact_properties = json!({ "plan": plan }).as_object().cloned().unwrap();
    }
    call
}

/// A random life of some people in a world without a moment's delay, with all definitions in force from the beginning.
async fn life(seed: u64, definitions: &[BucketDefinition]) -> (Vec<Recorded>, i64, Running) {
    let mut random = Random(seed);
    let mut world = World::new(T0);
    world.policy.max_moved_history = 2;
    world.clock = TestClock::by_hand(T0);
    let mut running = world.start(Some(definitions.to_vec())).await;
    let mut now = T0;
    let pass = async |running: &Running, now: i64| {
        world.clock.set(now);
        running.engine.advance(Timestamp(now), |_| {}).await.unwrap();
    };
    for _ in 0..45 {
        now += [0, random.below(400) as i64, 60, 180][random.below(4) as usize] * MINUTE;
        pass(&running, now).await;
        match random.below(16) {
            0 => {
                running.stop().await;
                running = world.start(Some(definitions.to_vec())).await;
            }
            1 => {
                let identity = event(KEYS[random.below(6) as usize], "x").identity;
                let deleted = running.engine.delete(&identity).await;
                assert!(matches!(deleted, Ok(_) | Err(EngineError::NotFound)), "{deleted:?}");
            }
            14 | 15 => {
                let key = event(KEYS[random.below(6) as usize], "x").identity;
                let key = key.keys().next().unwrap().value.clone();
                if let Some(contact) = running.engine.deleted(&key).await.unwrap() {
                    let restored = running.engine.restore(contact).await;
                    assert!(matches!(restored, Ok(_) | Err(EngineError::State(_))), "{restored:?}");
                }
            }
            2 | 3 => {
                let IngestCall { identity, contact_properties: properties, .. } = call(&mut random, now);
                let upsert = UpsertCall { identity, properties, via: Via::Attached, trace: None };
                running.engine.upsert(upsert).await.unwrap();
            }
            _ => drop(running.engine.ingest(call(&mut random, now)).await.unwrap()),
        }
    }
    now += 30 * HOUR;
    pass(&running, now).await;
    let log = records(&**running.engine.log()).await;
    (log, now, running)
}

fn pool() -> Vec<BucketDefinition> {
    let bucket = |(index, criteria): (usize, &&str)| {
        format!("\n  - {{id: b{index}, name: B{index}, enabled: true, {criteria}}}")
    };
    definitions(&POOL.iter().enumerate().map(bucket).collect::<String>())
}

/// Invariant of a backtest: it cannot disagree with the engine.
#[actix::test]
async fn a_definition_that_was_always_in_force_gives_exactly_the_recorded_transitions() {
    let definitions = pool();
    let (mut seen, mut merges, mut deletions, mut restored) = (0, 0, 0, 0);
    for seed in 0..18 {
        let (log, now, running) = life(seed, &definitions).await;
        merges += log.iter().filter(|record| record.event_type == "contact.absorbed").count();
        deletions += log.iter().filter(|record| record.event_type == "contact.deleted").count();
        restored += log.iter().filter(|record| record.event_type == "contact.restored").count();
        for definition in &definitions {
            let place = format!("seed {seed}, bucket {}", definition.id);
            let expected = recorded(&log, &definition.id);
            seen += expected.values().map(Vec::len).sum::<usize>();
            let period = Period { from: None, until: Some(Timestamp(now)) };
            let (found, report) = backtest(&log, definition, period);
            assert_eq!(found, expected, "{place}");
            assert_eq!((report.would_join.total, report.would_leave.total), (0, 0), "{place}");
            assert_eq!(report.members, report.recorded_members, "{place}");
            assert_eq!(report.members, report.days.last().map_or(0, |day| day.members), "{place}");
        }
        running.stop().await;
    }
    assert!(seen > 1_600 && merges > 40, "{seen} {merges}");
    assert!(deletions > 20 && restored > 10, "{deletions} {restored}");
}

/// Members at any instant: by the backtest's initial population, by the transitions, and by each contact's own state.
#[actix::test]
async fn members_of_a_past_instant_are_the_same_by_every_way() {
    let definitions = pool();
    for seed in 100..105 {
        let (log, now, running) = life(seed, &definitions).await;
        let engine: &Engine = &running.engine;
        let mut random = Random(seed);
        for definition in &definitions {
            let at = T0 + random.below((now - T0) as u64) as i64;
            let place = format!("seed {seed}, bucket {}, at {}", definition.id, Timestamp(at));
            let expected = members(&log, &definition.id, at);
            let period = Period { from: Some(Timestamp(at + 1)), until: Some(Timestamp(now)) };
            let (told, report) = backtest(&log, definition, period);
            assert_eq!(report.initial, expected.len() as u64, "{place}");
            assert_eq!(
                report.days.last().map_or(report.initial, |day| day.members),
                report.members,
                "{place}"
            );
            let first = told.values().flatten().filter_map(|event| match event {
                ContactEvent::BucketEntered(entered) => Some(entered.at),
                ContactEvent::BucketLeft(left) => Some(left.at),
                _ => None,
            });
            assert!(first.min().is_none_or(|first| first.0 > at), "{place}");
            let contacts: BTreeMap<ContactId, ()> =
                log.iter().filter_map(|record| Some((record.stream.contact_id()?, ()))).collect();
            let mut found = Vec::new();
            for contact in contacts.into_keys() {
                let state = contact_at(&**engine.log(), contact, Timestamp(at)).await.unwrap();
                let lives = state.fate == mainspring_actors::contact::Fate::Live;
                if lives && state.stay(&definition.id).is_some() {
                    found.push(contact);
                }
            }
            assert_eq!(found, expected, "{place}");
        }
        running.stop().await;
    }
}

const BUYER: &str = "
  - {id: buyer, name: Buyer, enabled: true, criteria: {event: order, count: {gte: 2}}}";
const ANY_BUYER: &str = "
  - {id: buyer, name: Buyer, enabled: false, criteria: {event: order, within: 1d, exists: true}}";

#[actix::test]
async fn a_changed_definition_shows_who_differs_and_its_timers_fire_on_time() {
    let mut world = World::new(T0);
    world.clock = TestClock::by_hand(T0);
    let running = world.start(Some(definitions(BUYER))).await;
    for (hours, keys) in [(0, "u1"), (1, "u1"), (30, "u2"), (31, "u3")] {
        world.clock.set(T0 + hours * HOUR);
        running.engine.ingest(event(keys, "order")).await.unwrap();
    }
    let log = records(&**running.engine.log()).await;
    running.stop().await;
    let until = Some(Timestamp(T0 + 2 * DAY));
    let (told, report) = backtest(&log, &definitions(ANY_BUYER)[0], Period { from: None, until });
    let lines: Vec<Vec<String>> =
        told.values().map(|events| events.iter().filter_map(line).collect()).collect();
    assert_eq!(
        lines,
        [
            vec!["0h +buyer #1 event", "25h+1ms -buyer #1 reconcile criteria"],
            vec!["30h +buyer #1 event"],
            vec!["31h +buyer #1 event"],
        ]
    );
    let keys = |differences: &mainspring_actors::backtest::Differences| -> Vec<String> {
        differences.first.iter().map(|difference| difference.user_id.to_string()).collect()
    };
    assert_eq!(keys(&report.would_join), ["u2", "u3"]);
    assert_eq!(keys(&report.would_leave), ["u1"]);
    let days: Vec<_> = report.days.iter().map(|day| (day.entered, day.left, day.members)).collect();
    assert_eq!(days, [(1, 0, 1), (2, 1, 2)]);
    assert_eq!((report.entered, report.announced, report.left["criteria"]), (3, 3, 1));
}
