//! New deliveries that come to the worker before the queue shows them.

use std::{collections::HashMap, sync::atomic::Ordering::SeqCst, time::Duration};

use mainspring_outbound::schedule::Schedule;
use mainspring_schemas::{ContactId, event::endpoint::Ordering};
use proptest::prelude::*;
use uuid::Uuid;

use crate::{
    script::{Reply, Sent, Stage, pass, quick},
    world::World,
};

const A: &str = "https://a.example.com/hook";
const HOUR: Duration = Duration::from_secs(3600);
const MILLISECOND: Duration = Duration::from_millis(1);

fn stage(lag: Duration, rule: impl Fn(&Sent, usize) -> Reply + Send + Sync + 'static) -> Stage {
    Stage::new(World::new(lag), rule)
}

fn contact(number: u128) -> ContactId {
    ContactId(Uuid::from_u128(number))
}

/// The number that the body of every message of this world ends with.
fn number(sent: &Sent) -> u64 {
    let text = String::from_utf8(sent.body.to_vec()).unwrap();
    let (_, number) = text.rsplit_once("\"n\":").unwrap();
    number.trim_end_matches('}').parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_happens_leaves_before_the_queue_shows_it() {
    let stage = stage(HOUR, |_, _| quick(200));
    let endpoint = stage.world.endpoint(A);
    let _running = stage.start();
    for round in 1..=50 {
        stage.world.enqueue(endpoint, "contact.created");
        pass(MILLISECOND).await;
        assert_eq!(stage.script.sent().len(), round);
    }
    pass(HOUR * 3).await;
    assert_eq!((stage.script.sent().len(), stage.world.pending()), (50, 0));
}

#[tokio::test(start_paused = true)]
async fn ob_163_who_is_erased_is_not_told_of_though_it_was_handed_over() {
    for lag in [Duration::ZERO, Duration::from_millis(40), Duration::from_secs(9)] {
        let stage = stage(lag, |_, _| quick(200));
        let endpoint = stage.world.endpoint(A);
        stage.world.change(endpoint, |endpoint| endpoint.settings.rate_limit = Some(1));
        let _running = stage.start();
        for who in [1, 2, 1, 2, 1, 2] {
            stage.world.enqueue_about(endpoint, "contact.updated", Some(contact(who)));
        }
        pass(Duration::from_millis(100)).await;
        let before = stage.script.sent().len();
        stage.world.erase(contact(1));
        pass(HOUR).await;
        let told: Vec<_> = stage.script.sent()[before..].iter().map(number).collect();
        assert!(told.iter().all(|number| number % 2 == 1), "lag {lag:?}: {told:?}");
        assert_eq!((stage.script.sent().len() - before, stage.world.pending()), (told.len(), 0));
        assert!(told.len() >= 2, "the other one is told of");
    }
}

#[tokio::test(start_paused = true)]
async fn ob_88_what_is_handed_over_for_a_disabled_endpoint_is_held_and_ended() {
    let mut stage = stage(Duration::from_millis(40), |_, _| quick(200));
    stage.settings.hold_ms = 10_000;
    let endpoint = stage.world.endpoint(A);
    stage.world.disable_by_hand(endpoint);
    let _running = stage.start();
    pass(Duration::from_secs(5)).await;
    let delivery = stage.world.enqueue(endpoint, "contact.created");
    pass(Duration::from_secs(9)).await;
    assert_eq!((stage.script.sent().len(), stage.world.pending()), (0, 1));
    pass(HOUR).await;
    assert_eq!((stage.script.sent().len(), stage.world.discarded()), (0, vec![delivery]));
}

/// What happens: after how many milliseconds, at which endpoint, and what.
#[derive(Clone, Debug)]
enum Act {
    /// So many deliveries come to be.
    Enqueue(usize),
    /// It is disabled, or enabled again.
    Switch,
    /// It is ordered by contact from now on, or no longer.
    Reorder,
}

fn acts() -> impl Strategy<Value = Vec<(u64, usize, Act)>> {
    let act = prop_oneof![
        8 => (1_usize..40).prop_map(Act::Enqueue),
        1 => Just(Act::Switch),
        1 => Just(Act::Reorder),
    ];
    prop::collection::vec((0_u64..60, 0_usize..3, act), 1..16)
}

/// Everything arrives once, whatever of it comes directly and whatever is found in the queue.
async fn run(lag: u64, read_ms: u64, takes: u64, room: usize, fails: usize, acts: Vec<(u64, usize, Act)>) {
    let mut stage = Stage::new(World::new(Duration::from_millis(lag)), move |_, earlier| {
        let status = if earlier < fails { 500 } else { 200 };
        (Duration::from_millis(takes), crate::script::status(status))
    });
    stage.settings.schedule = Schedule::Delays(vec![100, 2_000]);
    stage.world.read_ms.store(read_ms, SeqCst);
    stage.world.hand_over_room.store(room, SeqCst);
    let endpoints: Vec<_> =
        (0..3).map(|n| stage.world.endpoint(&format!("https://h{n}.example.com/hook"))).collect();
    let _running = stage.start();
    let (mut expected, mut enabled, mut plain) = (0, [true; 3], true);
    for (after, which, act) in acts {
        pass(Duration::from_millis(after)).await;
        let endpoint = endpoints[which];
        match act {
            Act::Enqueue(amount) => {
                for about in 0..amount {
                    let about = contact(about as u128 % 5);
                    stage.world.enqueue_about(endpoint, "contact.updated", Some(about));
                }
                expected += amount;
            }
            Act::Switch => {
                enabled[which] = !enabled[which];
                match enabled[which] {
                    true => stage.world.enable(endpoint),
                    false => stage.world.disable_by_hand(endpoint),
                }
                plain = false;
            }
            Act::Reorder => {
                stage.world.change(endpoint, |endpoint| {
                    endpoint.settings.ordering = match endpoint.settings.ordering {
                        Ordering::None => Ordering::Contact,
                        Ordering::Contact => Ordering::None,
                    }
                });
                plain = false;
            }
        }
    }
    for endpoint in endpoints {
        stage.world.enable(endpoint);
    }
    pass(HOUR).await;
    assert_eq!((stage.world.pending(), stage.script.sent().len()), (0, expected * (fails + 1)));
    let mut firsts: HashMap<_, Vec<u64>> = HashMap::new();
    let mut seen = HashMap::new();
    for sent in stage.script.sent() {
        let attempts: &mut usize = seen.entry(sent.id.clone()).or_default();
        *attempts += 1;
        if *attempts == 1 {
            firsts.entry(sent.url.clone()).or_default().push(number(&sent));
        }
    }
    assert_eq!(seen.len(), expected);
    if plain {
        assert!(firsts.values().all(|numbers| numbers.is_sorted()), "in the order of the log (OB-131)");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn ob_64_ob_131_everything_arrives_once_however_it_comes(
        lag in 0_u64..80,
        read_ms in 0_u64..40,
        takes in 0_u64..30,
        room in prop_oneof![Just(0_usize), 1_usize..40, Just(4_096), Just(usize::MAX)],
        fails in 0_usize..3,
        acts in acts(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(lag, read_ms, takes, room, fails, acts));
    }
}

#[tokio::test(start_paused = true)]
async fn ob_131_ordering_may_be_switched_on_while_outcomes_are_on_their_way() {
    let acts = vec![
        (0, 0, Act::Enqueue(1)),
        (4, 1, Act::Enqueue(1)),
        (24, 0, Act::Enqueue(30)),
        (46, 0, Act::Reorder),
    ];
    run(49, 7, 3, usize::MAX, 0, acts).await;
}
