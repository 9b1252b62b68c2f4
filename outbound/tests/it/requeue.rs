//! Deliveries that an operator asks for again, on virtual time (OB-160, OB-127, OB-128).

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use mainspring_outbound::{ports::Clock, schedule::Schedule};
use mainspring_schemas::event::delivery::AttemptResult;
use proptest::prelude::*;

use crate::{
    script::{Reply, Sent, Stage, pass, quick, status},
    world::World,
};

const A: &str = "https://a.example.com/hook";
const HOUR: Duration = Duration::from_secs(3600);

fn stage(lag_ms: u64, rule: impl Fn(&Sent, usize) -> Reply + Send + Sync + 'static) -> Stage {
    Stage::new(World::new(Duration::from_millis(lag_ms)), rule)
}

#[tokio::test(start_paused = true)]
async fn os_16_ob_160_a_failed_delivery_starts_its_schedule_afresh_and_numbers_on() {
    let mut stage = stage(7, |_, earlier| quick(if earlier < 5 { 500 } else { 200 }));
    stage.settings.schedule = Schedule::Delays(vec![1_000, 60_000]);
    let endpoint = stage.world.endpoint(A);
    let delivery = stage.world.enqueue(endpoint, "contact.created");
    let _running = stage.start();
    pass(HOUR).await;
    assert_eq!(stage.script.sent().len(), 3);
    assert!(stage.world.requeue(delivery, stage.clock.now(), false));
    pass(HOUR).await;
    let outcomes = stage.world.outcomes_of(delivery);
    let numbers: Vec<u32> = outcomes.iter().map(|outcome| outcome.attempt).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    assert_eq!(outcomes[2].result, AttemptResult::Failed);
    assert!(
        matches!(outcomes[4].result, AttemptResult::Retry { .. }),
        "the whole schedule is before it again"
    );
    assert_eq!(outcomes[5].result, AttemptResult::Delivered);
    assert_eq!(outcomes.iter().map(|outcome| outcome.requeues).collect::<Vec<_>>(), [0, 0, 0, 1, 1, 1]);
    assert!(outcomes.iter().all(|outcome| outcome.secret_count == Some(1)));
    let sent = stage.script.sent();
    assert!(sent.iter().all(|one| (&one.id, &one.body) == (&sent[0].id, &sent[0].body)), "same message");
    assert_eq!(sent[5].at.since(sent[4].at) / 1000, 60);
}

#[tokio::test(start_paused = true)]
async fn ob_160_a_delivered_one_is_sent_once_more_also_after_a_rebuild() {
    let stage = stage(3, |_, _| quick(200));
    let endpoint = stage.world.endpoint(A);
    let delivery = stage.world.enqueue(endpoint, "contact.created");
    let running = stage.start();
    pass(HOUR).await;
    assert!(stage.world.requeue(delivery, stage.clock.now(), false));
    pass(HOUR).await;
    assert_eq!(stage.script.sent().len(), 2);
    running.stop(HOUR).await;
    stage.world.rebuild();
    let _running = stage.start();
    pass(HOUR).await;
    assert_eq!((stage.script.sent().len(), stage.world.pending()), (2, 0), "os_11: nothing twice");
}

#[tokio::test(start_paused = true)]
async fn ob_160_what_is_in_flight_is_known() {
    let stage = stage(3, |_, _| (Duration::from_secs(2), status(200)));
    let endpoint = stage.world.endpoint(A);
    let delivery = stage.world.enqueue(endpoint, "contact.created");
    let _running = stage.start();
    pass(Duration::from_secs(1)).await;
    assert!(!stage.world.requeue(delivery, stage.clock.now(), false), "409");
    pass(Duration::from_secs(2)).await;
    assert!(stage.world.requeue(delivery, stage.clock.now(), false));
}

#[tokio::test(start_paused = true)]
async fn ob_160_a_requeue_that_races_a_failure_is_not_lost_with_it() {
    let mut stage =
        stage(5, |_, earlier| (Duration::from_secs(2), status(if earlier == 0 { 500 } else { 200 })));
    stage.settings.schedule = Schedule::Delays(Vec::new());
    let endpoint = stage.world.endpoint(A);
    let delivery = stage.world.enqueue(endpoint, "contact.created");
    let _running = stage.start();
    pass(Duration::from_secs(5)).await;
    assert!(stage.world.has_ended(delivery));
    assert!(stage.world.requeue(delivery, stage.clock.now(), false));
    pass(Duration::from_secs(1)).await;
    // The second attempt is under way when somebody asks again.
    assert!(stage.world.requeue(delivery, stage.clock.now(), true));
    pass(HOUR).await;
    let results: Vec<_> =
        stage.world.outcomes_of(delivery).into_iter().map(|outcome| outcome.result).collect();
    assert_eq!(
        results,
        [AttemptResult::Failed, AttemptResult::Delivered],
        "it was delivered: nothing is left to do"
    );
    assert_eq!(stage.world.pending(), 0);
}

/// An operator's request: after how many milliseconds, for which delivery, without looking whether it is in flight.
type Ask = (u64, usize, bool);

/// Runs requests against receivers that fail now and then; what was sent must be what was asked for.
async fn run(lag: u64, read_ms: u64, takes: u64, fails: usize, asks: Vec<Ask>) {
    const DELIVERIES: usize = 6;
    let mut stage = stage(lag, move |_, earlier| {
        (Duration::from_millis(takes), status(if earlier < fails { 500 } else { 200 }))
    });
    stage.settings.schedule = Schedule::Delays(vec![50, 900]);
    stage.world.read_ms.store(read_ms, SeqCst);
    let endpoint = stage.world.endpoint(A);
    let running = stage.start();
    let deliveries: Vec<_> =
        (0..DELIVERIES).map(|_| stage.world.enqueue(endpoint, "contact.created")).collect();
    // Requests for what has ended, by what the log says: each of them is one more success.
    let mut again = vec![0; DELIVERIES];
    let mut racing = false;
    for (after, which, careless) in asks {
        pass(Duration::from_millis(after)).await;
        let delivery = deliveries[which % DELIVERIES];
        let ended = stage.world.has_ended(delivery);
        racing |= careless;
        if stage.world.requeue(delivery, stage.clock.now(), careless) && ended {
            again[which % DELIVERIES] += 1;
        }
    }
    pass(HOUR * 2).await;
    assert_eq!(stage.world.pending(), 0, "everything asked for was done");
    for (delivery, again) in deliveries.iter().zip(again) {
        let outcomes = stage.world.outcomes_of(*delivery);
        let sent = stage.script.sent().len();
        assert!(sent >= outcomes.len());
        let ended = outcomes.iter().filter(|outcome| !matches!(outcome.result, AttemptResult::Retry { .. }));
        let ended = ended.count();
        // A failure that a requeue outran ends nothing, but is recorded as one.
        if racing {
            assert!(ended > again, "{outcomes:?}");
        } else {
            assert_eq!(ended, 1 + again, "{outcomes:?}");
        }
    }
    assert!(!running.task.is_finished());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn ob_127_ob_160_requests_at_any_moment_are_done_once(
        lag in 0_u64..60,
        read_ms in 0_u64..40,
        takes in 0_u64..80,
        fails in 0_usize..7,
        asks in prop::collection::vec((0_u64..120, 0_usize..6, prop::bool::weighted(0.2)), 0..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(lag, read_ms, takes, fails, asks));
    }
}
