//! Clocks that come with definitions, on a whole engine: quiet windows, schedules and ends that came later.

use std::collections::{BTreeMap, BTreeSet};

use mainspring_actors::{Engine, api::IngestCall, engine::Timing};
use mainspring_eventlog::Recorded;
use mainspring_schemas::{
    ContactId, StayId, Timestamp,
    event::{
        BucketEvent, ContactEvent,
        bucket::{BackfillCompleted, Purpose},
    },
};

use crate::{
    harness::{DAY, HOUR, MINUTE, T0, definitions, line},
    world::{TestClock, World, event, history, records},
};

/// More than one chunk of a pass.
const PEOPLE: usize = 700;

/// Whoever ordered within 60 days; a back-filled stay dwells from the newest order on.
fn buyers(more: &str) -> String {
    format!(
        "\n  - {{id: buyers, name: Buyers, enabled: true, criteria: {{event: order, within: 60d, exists: true}}{more}}}"
    )
}

const AFTER_A_WEEK: &str = ", reactions: [{on: dwell, after: 7d, do: [{track: {event: a_week}}]}]";

/// An engine without definitions, and people who ordered 30 days ago.
async fn people(world: &World) -> Vec<ContactId> {
    let running = world.start(Some(Vec::new())).await;
    let mut contacts = Vec::new();
    for n in 0..PEOPLE {
        let call =
            IngestCall { occurred_at: Some(Timestamp(T0 - 30 * DAY)), ..event(&format!("u{n}"), "order") };
        contacts.push(running.engine.ingest(call).await.unwrap().contact_id);
    }
    running.stop().await;
    contacts
}

async fn built(engine: &Engine) {
    while engine.buckets().is_building() {
        tokio::task::yield_now().await;
    }
}

async fn lines(engine: &Engine, contact: ContactId) -> Vec<String> {
    history(&**engine.log(), contact).await.iter().filter_map(line).collect()
}

fn count(records: &[Recorded], event_type: &str) -> usize {
    records.iter().filter(|record| record.event_type == event_type).count()
}

/// Where the pass for a purpose was through, and how many contacts it went to.
fn completed(records: &[Recorded], purpose: Purpose) -> Vec<(u64, u64)> {
    let completed = |record: &Recorded| match BucketEvent::decode(
        &record.event_type,
        record.schema_version,
        &record.payload,
    ) {
        Ok(BucketEvent::BackfillCompleted(BackfillCompleted { purpose: found, processed, .. }))
            if found == purpose =>
        {
            Some((record.position, processed))
        }
        _ => None,
    };
    records.iter().filter_map(completed).collect()
}

#[actix::test]
async fn sb_50_bk_135_members_dwell_when_the_first_back_fill_is_through_and_not_before() {
    let world = World::new(T0);
    let contacts = people(&world).await;
    let running = world.start(Some(definitions(&buyers(AFTER_A_WEEK)))).await;
    built(&running.engine).await;
    let all = records(&**running.engine.log()).await;
    let [(through, _)] = completed(&all, Purpose::Membership)[..] else { panic!("one back-fill") };
    let [(_, planned)] = completed(&all, Purpose::Clocks)[..] else { panic!("one planning of clocks") };
    assert_eq!(planned, PEOPLE as u64);
    let mut dwelled = all.iter().filter(|record| record.event_type == "contact.bucket-dwelled");
    assert!(dwelled.all(|record| record.position > through), "held until then");
    for contact in contacts.iter().step_by(150) {
        assert_eq!(
            lines(&running.engine, *contact).await,
            [
                "0h +buyers #1 backfill silent",
                "0h ~buyers #1 after-604800000 x1",
                "0h bucket-buyers-on-dwell-after-604800000 ran",
                "0h track a_week",
            ]
        );
    }
    running.stop().await;
    let running = world.start(Some(definitions(&buyers(AFTER_A_WEEK)))).await;
    assert!(!running.engine.buckets().is_building(), "a second start has nothing to do");
    assert_eq!(count(&records(&**running.engine.log()).await, "contact.bucket-dwelled"), PEOPLE);
    running.stop().await;
}

#[actix::test]
async fn bk_135_a_planning_of_clocks_goes_on_after_a_restart() {
    let world = World::new(T0);
    people(&world).await;
    let running = world.start(Some(definitions(&buyers(AFTER_A_WEEK)))).await;
    while count(&records(&**running.engine.log()).await, "contact.bucket-dwelled") == 0 {
        tokio::task::yield_now().await;
    }
    running.stop().await;
    // Definitions from the log alone: what was asked for is not forgotten.
    let running = world.start(None).await;
    built(&running.engine).await;
    let all = records(&**running.engine.log()).await;
    assert_eq!(count(&all, "contact.bucket-dwelled"), PEOPLE, "everybody, nobody twice");
    assert_eq!(completed(&all, Purpose::Clocks).len(), 1);
    running.stop().await;
}

#[actix::test]
async fn bk_138_a_schedule_added_later_fires_once_for_members_past_it() {
    let world = World::new(T0);
    let contacts = people(&world).await;
    let running = world.start(Some(definitions(&buyers("")))).await;
    built(&running.engine).await;
    running.stop().await;
    world.clock.set(T0 + DAY);
    let running = world.start(Some(definitions(&buyers(AFTER_A_WEEK)))).await;
    built(&running.engine).await;
    let all = records(&**running.engine.log()).await;
    assert_eq!(completed(&all, Purpose::Membership).len(), 1, "criteria are the same");
    assert_eq!(count(&all, "contact.bucket-dwelled"), contacts.len());
    assert_eq!(lines(&running.engine, contacts[0]).await[1], "24h ~buyers #1 after-604800000 x1");
    running.stop().await;
}

/// Every fire of a schedule: whose stay, when, and its ordinal.
fn fires(all: &[Recorded], label: &str) -> Vec<(StayId, Timestamp, u64)> {
    let of_contact = all.iter().filter(|record| record.event_type == "contact.bucket-dwelled");
    let decoded = of_contact.map(|record| ContactEvent::decode("contact.bucket-dwelled", 1, &record.payload));
    decoded
        .filter_map(|event| match event.unwrap() {
            ContactEvent::BucketDwelled(event) if event.label == label => {
                Some((event.stay, event.at, event.ordinal))
            }
            _ => None,
        })
        .collect()
}

/// Whether no minute has more of the instants than allowed.
fn keeps_to(per_minute: usize, instants: impl Iterator<Item = Timestamp>) -> bool {
    let mut sorted: Vec<Timestamp> = instants.collect();
    sorted.sort_unstable();
    sorted.windows(per_minute + 1).all(|window| window[per_minute].since(window[0]) >= MINUTE)
}

#[actix::test]
async fn bk_138_members_catch_up_at_no_more_than_so_many_a_minute_and_each_once() {
    const PER_MINUTE: usize = 40;
    let mut world = World::new(T0);
    world.clock = TestClock::by_hand(T0);
    // Some who never bought come first, so that a pass is with them first; buyers will become part of them.
    let running = world.start(Some(Vec::new())).await;
    for n in 0..20 {
        running.engine.ingest(event(&format!("u-late{n}"), "other")).await.unwrap();
    }
    running.stop().await;
    people(&world).await;
    let running = world.start(Some(Vec::new())).await;
    for n in 0..20 {
        let bought = IngestCall {
            occurred_at: Some(Timestamp(T0 - 30 * DAY)),
            ..event(&format!("e-late{n}"), "order")
        };
        running.engine.ingest(bought).await.unwrap();
    }
    running.stop().await;
    let running = world.start(Some(definitions(&buyers("")))).await;
    built(&running.engine).await;
    running.stop().await;
    let since = T0 + DAY + 1234;
    world.clock.set(since);
    let both = format!(
        ", dwellCatchUpPerMinute: {PER_MINUTE}, reactions: [{{on: dwell, after: 7d, do: [{{track: {{event: a}}}}]}}, \
         {{on: dwell, every: 1d, do: [{{track: {{event: b}}}}]}}]"
    );
    let running = world.start(Some(definitions(&buyers(&both)))).await;
    while count(&records(&**running.engine.log()).await, "contact.dwell-planned") == 0 {
        tokio::task::yield_now().await;
    }
    running.stop().await;
    // In the middle of the pass it ends; others act and merge while it goes on.
    let running = world.start(None).await;
    for n in 0..20 {
        running.engine.ingest(event(&format!("u-late{n} e-late{n}"), "other")).await.unwrap();
        running.engine.ingest(event(&format!("u{}", 30 * n), "other")).await.unwrap();
    }
    built(&running.engine).await;
    let given = count(&records(&**running.engine.log()).await, "contact.dwell-planned");
    // Restarts, and everybody but a few put aside meanwhile.
    running.stop().await;
    world.resident = 50;
    let mut now = since;
    let minutes = (2 * (PEOPLE + 20) / PER_MINUTE) as i64 + 30;
    for minute in 0..minutes {
        if minute % 16 == 0 {
            now += 7 * MINUTE;
        } else {
            now += MINUTE;
        }
        world.clock.set(now);
        if minute % 16 == 0 {
            let running = world.start(None).await;
            running.engine.advance(Timestamp(now), |_| {}).await.unwrap();
            running.stop().await;
        }
    }
    let running = world.start(None).await;
    running.engine.advance(Timestamp(now), |_| {}).await.unwrap();
    let all = records(&**running.engine.log()).await;
    assert_eq!(given, 2 * (PEOPLE + 20), "an instant for everybody and schedule");
    let (once, daily) = (fires(&all, "after-604800000"), fires(&all, "every-86400000"));
    for fires in [&once, &daily] {
        let stays: BTreeSet<StayId> = fires.iter().map(|(stay, ..)| *stay).collect();
        assert_eq!((fires.len(), stays.len()), (PEOPLE + 20, PEOPLE + 20), "everybody, nobody twice");
    }
    let instants = || once.iter().chain(&daily).map(|(_, at, _)| *at);
    assert!(instants().all(|at| at.0 >= since), "not before the schedules came");
    assert!(keeps_to(PER_MINUTE, instants()), "never more than so many in any minute");
    assert!(!keeps_to(PER_MINUTE - 1, instants()), "and no fewer than need be");
    assert!(daily.iter().all(|(_, _, ordinal)| *ordinal == 31), "31 days have passed by then");
    // From here on it is an ordinary schedule: on the grid of the clock it had.
    running.engine.advance(Timestamp(T0 + 2 * DAY), |_| {}).await.unwrap();
    let daily = fires(&records(&**running.engine.log()).await, "every-86400000");
    let grid: Vec<_> = daily.iter().skip(PEOPLE + 20).collect();
    assert_eq!(grid.len(), PEOPLE + 20);
    assert!(grid.iter().all(|(_, at, ordinal)| (at.0, *ordinal) == (T0 + 2 * DAY, 32)));
    running.stop().await;
}

#[actix::test]
async fn bk_138_without_the_limit_any_more_everybody_catches_up_at_once() {
    let world = World::new(T0);
    people(&world).await;
    let running = world.start(Some(definitions(&buyers("")))).await;
    built(&running.engine).await;
    running.stop().await;
    let slow = AFTER_A_WEEK.replacen(',', ", dwellCatchUpPerMinute: 1,", 1);
    let running = world.start(Some(definitions(&buyers(&slow)))).await;
    built(&running.engine).await;
    assert_eq!(fires(&records(&**running.engine.log()).await, "after-604800000").len(), 1);
    running.stop().await;
    let running = world.start(Some(definitions(&buyers(AFTER_A_WEEK)))).await;
    built(&running.engine).await;
    assert_eq!(fires(&records(&**running.engine.log()).await, "after-604800000").len(), PEOPLE);
    running.stop().await;
}

#[actix::test]
async fn bk_142_a_longest_stay_added_later_ends_stays_that_are_older() {
    let world = World::new(T0);
    let contacts = people(&world).await;
    let running = world.start(Some(definitions(&buyers("")))).await;
    built(&running.engine).await;
    running.stop().await;
    world.clock.set(T0 + HOUR);
    let running = world.start(Some(definitions(&buyers(", maxDwell: 2h")))).await;
    built(&running.engine).await;
    let before = ["0h +buyers #1 backfill silent", "1h |buyers #1 2h"];
    assert_eq!(lines(&running.engine, contacts[0]).await, before);
    running.stop().await;
    world.clock.set(T0 + 3 * HOUR);
    let running = world.start(Some(definitions(&buyers(", maxDwell: 30d")))).await;
    while count(&records(&**running.engine.log()).await, "contact.bucket-left") < PEOPLE {
        tokio::task::yield_now().await;
    }
    let after = lines(&running.engine, contacts[0]).await;
    assert_eq!(after[2..], ["2h -buyers #1 reconcile maxDwell"], "BK-142: a changed maxDwell moves nothing");
    running.stop().await;
}

#[actix::test]
async fn bk_201_switched_on_again_a_bucket_dwells_on_its_grid() {
    let world = World::new(T0);
    let hourly = buyers(", reactions: [{on: dwell, every: 1h, do: [{track: {event: an_hour}}]}]");
    let running = world.start(Some(definitions(&hourly))).await;
    let engine = &running.engine;
    built(engine).await;
    let contact = engine.ingest(event("u1", "order")).await.unwrap().contact_id;
    engine.buckets().switch("buyers", false).await.unwrap();
    world.clock.set(T0 + 5 * HOUR + 1);
    engine.ingest(event("u1", "other")).await.unwrap();
    assert_eq!(lines(engine, contact).await, ["0h +buyers #1 event"], "off");
    engine.buckets().switch("buyers", true).await.unwrap();
    built(engine).await;
    let dwelled: Vec<String> = lines(engine, contact).await.drain(1..).collect();
    assert_eq!(
        dwelled,
        [
            "5h+1ms ~buyers #1 every-3600000 x5",
            "5h+1ms bucket-buyers-on-dwell-every-3600000 ran",
            "5h+1ms track an_hour",
        ]
    );
    running.stop().await;
}

#[actix::test]
async fn what_a_reaction_does_stands_in_the_append_of_its_transition_and_names_it() {
    let world = World::new(T0);
    let yaml = buyers(", reactions: [{on: enter, do: [{set: {buyer: true}}, {send: {name: thanks}}]}]");
    let running = world.start(Some(definitions(&yaml))).await;
    let engine = &running.engine;
    engine.ingest(event("u1", "other")).await.unwrap();
    let outcome = engine.ingest(event("u1", "order")).await.unwrap();
    let all = records(&**engine.log()).await;
    let join = all.iter().find(|record| record.event_type == "contact.bucket-entered").unwrap();
    assert_eq!(join.causation, Some(outcome.event_id));
    let effects: Vec<_> = all.iter().filter(|record| record.causation == Some(join.id)).collect();
    let types: Vec<&str> = effects.iter().map(|record| record.event_type.as_str()).collect();
    assert_eq!(types, ["contact.reacted", "contact.properties", "contact.announced"]);
    assert!(effects.iter().all(|record| record.recorded_at == join.recorded_at));
    assert_eq!(outcome.position, effects.last().map(|record| record.position), "one append");
    let reacted = ContactEvent::decode("contact.reacted", 1, &effects[0].payload).unwrap();
    assert!(matches!(reacted, ContactEvent::Reacted(reacted) if reacted.transition == join.id));
    running.stop().await;
}

/// How many records the largest append has that dwells stand in, by the instants at which appends were decided and at which
/// the contact is to be looked at after them.
fn most_in_a_turn(all: &[Recorded]) -> usize {
    let decided = all.iter().filter(|record| record.stream.contact_id().is_some());
    let mut turns: BTreeMap<_, usize> = BTreeMap::new();
    decided.for_each(|record| {
        *turns.entry((record.stream.clone(), record.recorded_at, record.wake_at)).or_default() += 1;
    });
    turns.into_values().max().unwrap_or_default()
}

#[actix::test]
async fn bk_132_a_long_gap_in_an_import_is_caught_up_in_turns_of_a_thousand_records() {
    let mut world = World::new(T0);
    world.clock = TestClock::by_hand(T0);
    let yaml = "\n  - {id: buyers, name: Buyers, enabled: true, maxDwell: 5d, criteria: {event: order}, \
                reactions: [{on: dwell, every: 1m, do: [{track: {event: tick}}]}]}";
    let running = world.start(Some(definitions(yaml))).await;
    let engine = &running.engine;
    built(engine).await;
    let import = async |keys: &str, name: &str, at: i64| {
        let call = IngestCall { occurred_at: Some(Timestamp(at)), ..event(keys, name) };
        let timing = Timing { at: Some(Timestamp(at)), continuous: true };
        engine.submit_ingest(call, timing).await.unwrap().ingested().await.unwrap().contact_id
    };
    let contact = import("u1", "order", T0 + HOUR).await;
    import("u1", "other", T0 + HOUR + 9 * DAY).await;
    let loser = import("e2", "order", T0 + 10 * DAY).await;
    import("u1 e2", "other", T0 + 20 * DAY).await;
    let all = records(&**engine.log()).await;
    // What one instant brings stays together.
    assert!((1000..1010).contains(&most_in_a_turn(&all)), "{}", most_in_a_turn(&all));
    let fires = fires(&all, "every-60000");
    // The longest stay ends with the minute in which it would fire for the last time.
    let minutes = u64::try_from(5 * DAY / MINUTE - 1).unwrap();
    let expected = |from: i64| (1..=minutes).map(move |n| (Timestamp(from + n as i64 * MINUTE), n));
    let found: Vec<_> = fires.iter().map(|(_, at, ordinal)| (*at, *ordinal)).collect();
    let both: Vec<_> = expected(T0 + HOUR).chain(expected(T0 + 10 * DAY)).collect();
    assert!(found == both, "each minute once, in order, up to the end of the stay");
    let ticks = async |contact| {
        let all = lines(engine, contact).await;
        all.iter().filter(|line| line.ends_with(" tick")).count() as u64
    };
    assert_eq!((ticks(contact).await, ticks(loser).await), (minutes, minutes));
    running.stop().await;

    let running = world.start(None).await;
    let another = IngestCall { occurred_at: Some(Timestamp(T0 + 30 * DAY)), ..event("u3", "order") };
    let timing = Timing { at: Some(Timestamp(T0 + 30 * DAY)), continuous: true };
    running.engine.submit_ingest(another, timing).await.unwrap().ingested().await.unwrap();
    let before = records(&**running.engine.log()).await.len();
    running.engine.advance(Timestamp(T0 + 40 * DAY), |_| {}).await.unwrap();
    let all = records(&**running.engine.log()).await;
    // The new member, and the survivor of the merge, whose bucket was touched by it.
    assert_eq!(count(&all[before..], "contact.bucket-dwelled") as u64, 2 * minutes);
    assert_eq!(count(&all[before..], "contact.bucket-left"), 2, "and the ends of the stays after them");
    assert!(most_in_a_turn(&all[before..]) < 1010);
    running.stop().await;
}
