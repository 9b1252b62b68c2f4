//! Endpoints that fail, on virtual time: spacing, disabling, alerts, what is held, what comes after (OB-88, OB-151..OB-153).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use mainspring_outbound::{
    exchange::Response, ports::DisableReason, schedule::Schedule, settings::Concealed,
};
use serde_json::Value;

use crate::{
    script::{Reply, Sent, Stage, hang, pass, quick},
    world::World,
};

const A: &str = "https://a.example.com/hook";
const B: &str = "https://b.example.com/hook";
const OPERATIONS: &str = "https://ops.example.com/alerts";
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn stage(lag_ms: u64, rule: impl Fn(&Sent, usize) -> Reply + Send + Sync + 'static) -> Stage {
    Stage::new(World::new(Duration::from_millis(lag_ms)), rule)
}

/// What operators were sent.
fn alerts(stage: &Stage) -> Vec<Value> {
    stage.script.sent_to(OPERATIONS).iter().map(|sent| serde_json::from_slice(&sent.body).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn ob_151_first_attempts_to_an_endpoint_that_fails_quickly_are_a_second_apart() {
    let mut stage = stage(5, |_, _| quick(500));
    stage.settings.endpoint_concurrency = 1;
    stage.settings.schedule = Schedule::Delays(vec![3_600_000]);
    let a = stage.world.endpoint(A);
    for _ in 0..30 {
        stage.world.enqueue(a, "contact.created");
    }
    let _running = stage.start();
    pass(SECOND * 60).await;
    let at: Vec<i64> = stage.script.sent().iter().map(|sent| sent.at.0).collect();
    let gaps: Vec<i64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(at.len(), 30);
    assert!(gaps[..4].iter().all(|gap| *gap < 100), "not failing yet: {gaps:?}");
    assert!(gaps[4..].iter().all(|gap| *gap >= 1_000 && *gap < 1_010), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn ob_151_slow_failures_and_retries_are_not_spaced_and_a_success_resets_all() {
    let healed = Arc::new(AtomicBool::new(false));
    let well = Arc::clone(&healed);
    let mut stage = stage(5, move |_, _| if well.load(SeqCst) { quick(200) } else { hang() });
    stage.settings.schedule = Schedule::Delays(vec![60_000, 60_000]);
    let a = stage.world.endpoint(A);
    for _ in 0..10 {
        stage.world.enqueue(a, "contact.created");
    }
    let _running = stage.start();
    pass(SECOND * 31).await;
    let slow = stage.script.sent();
    assert_eq!(slow.len(), 8 + 2, "eight at once, then one at a time without a pause");
    healed.store(true, SeqCst);
    pass(SECOND * 200).await;
    assert_eq!(stage.world.pending(), 0);
    for _ in 0..50 {
        stage.world.enqueue(a, "contact.created");
    }
    pass(SECOND).await;
    assert_eq!(stage.world.pending(), 0, "healthy again: nothing is held back");
}

#[tokio::test(start_paused = true)]
async fn ob_151_counters_and_a_429_survive_a_restart() {
    let mut stage = stage(5, |sent, _| {
        let throttle = Response { status: 429, retry_after: Some("600".to_owned()), ..Response::default() };
        if sent.url == B { (SECOND / 10, Ok(throttle)) } else { quick(500) }
    });
    stage.settings.schedule = Schedule::Delays(vec![7_200_000]);
    let (a, b) = (stage.world.endpoint(A), stage.world.endpoint(B));
    for _ in 0..5 {
        stage.world.enqueue(a, "contact.created");
    }
    stage.world.enqueue(b, "contact.created");
    let running = stage.start();
    pass(SECOND).await;
    assert_eq!(running.stop(SECOND).await.released, 0);
    for _ in 0..5 {
        stage.world.enqueue(a, "contact.created");
        stage.world.enqueue(b, "contact.created");
    }
    let _running = stage.start();
    pass(Duration::from_millis(3_500)).await;
    assert_eq!(stage.script.sent_to(A).len(), 5 + 4, "still failing: one a second");
    assert_eq!(stage.script.sent_to(B).len(), 1, "still throttled (OB-145)");
    pass(SECOND * 597).await;
    assert_eq!(stage.script.sent_to(B).len(), 6, "until the instant it asked for");
}

#[tokio::test(start_paused = true)]
async fn ob_152_nothing_but_failures_for_five_days_disable_with_notice_before() {
    let mut stage = stage(5, |sent, _| quick(if sent.url == OPERATIONS { 200 } else { 503 }));
    stage.settings.alert_url = Some(Concealed(OPERATIONS.to_owned()));
    stage.settings.schedule = Schedule::Delays(vec![3_600_000; 200]);
    let a = stage.world.endpoint(A);
    let started = stage.clock.now_millis();
    stage.world.enqueue(a, "contact.created");
    let running = stage.start();
    pass(HOUR * 61).await;
    let told = alerts(&stage);
    let names: Vec<_> = told.iter().map(|alert| alert["alert"].as_str().unwrap()).collect();
    assert_eq!(names, ["webhook_endpoint_failing", "webhook_endpoint_failing"], "at the fifth and half way");
    assert_eq!((&told[0]["consecutiveFailures"], &told[1]["consecutiveFailures"]), (&5.into(), &61.into()));
    let end: mainspring_schemas::Timestamp = serde_json::from_value(told[1]["disablesAt"].clone()).unwrap();
    assert_eq!((end.0 - started) / 1000, 5 * 86_400);
    // What was counted before a restart counts after it, and nobody is told twice.
    assert_eq!(running.stop(SECOND).await.released, 0);
    let _running = stage.start();
    pass(HOUR * 100).await;
    let disabled = stage.world.disabled.lock().clone();
    assert_eq!(disabled.len(), 1);
    assert_eq!((disabled[0].0, disabled[0].2), (a, DisableReason::Failing));
    assert!(disabled[0].1 >= end && disabled[0].1.since(end) < 3_700_000, "by the first failure after it");
    let told = alerts(&stage);
    assert_eq!((told.len(), &told[2]["alert"]), (3, &"webhook_endpoint_disabled".into()));
    assert_eq!((&told[2]["reason"], stage.world.pending()), (&"failing".into(), 1));
}

#[tokio::test(start_paused = true)]
async fn ob_152_too_few_failures_a_success_in_between_or_zero_disable_nothing() {
    // Nineteen failures over ten days, then silence.
    let mut few = stage(5, |_, _| quick(500));
    few.settings.schedule = Schedule::Delays(vec![46_000_000; 18]);
    let a = few.world.endpoint(A);
    few.world.enqueue(a, "contact.created");
    let _one = few.start();
    // One success a day.
    let mut healing = stage(5, |_, earlier| quick(if earlier % 24 == 23 { 200 } else { 500 }));
    healing.settings.schedule = Schedule::Delays(vec![3_600_000; 100]);
    let b = healing.world.endpoint(B);
    let _two = healing.start();
    let mut never = stage(5, |_, _| quick(500));
    never.settings.schedule = Schedule::Delays(vec![3_600_000; 100]);
    never.settings.auto_disable_ms = 0;
    let c = never.world.endpoint(A);
    never.world.enqueue(c, "contact.created");
    let _three = never.start();
    for _ in 0..10 {
        healing.world.enqueue(b, "contact.created");
        never.world.enqueue(c, "contact.created");
        pass(HOUR * 24).await;
    }
    for stage in [&few, &healing, &never] {
        assert!(stage.world.disabled.lock().is_empty());
    }
    assert_eq!(few.world.outcomes().len(), 19);
}

#[tokio::test(start_paused = true)]
async fn ob_153_given_up_deliveries_are_told_once_an_hour_and_never_to_the_endpoint_itself() {
    let mut stage = stage(5, |sent, _| quick(if sent.url == OPERATIONS { 200 } else { 410 - 6 }));
    stage.settings.alert_url = Some(Concealed(OPERATIONS.to_owned()));
    stage.settings.schedule = Schedule::Delays(Vec::new());
    let (a, own) = (stage.world.endpoint(A), stage.world.endpoint(OPERATIONS));
    stage.world.change(own, |endpoint| endpoint.settings.url = format!("{OPERATIONS}#x"));
    let _running = stage.start();
    for _ in 0..3 {
        stage.world.enqueue(a, "contact.created");
        pass(SECOND).await;
    }
    let told = alerts(&stage);
    assert_eq!((told.len(), &told[0]["alert"]), (1, &"webhook_delivery_exhausted".into()));
    assert_eq!(told[0]["errorClass"], "client_error");
    pass(HOUR).await;
    stage.world.enqueue(a, "contact.created");
    pass(SECOND).await;
    assert_eq!(alerts(&stage).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn ob_88_what_is_held_for_too_long_ends_and_the_rest_goes_on() {
    let stage = stage(5, |_, _| quick(200));
    let a = stage.world.endpoint(A);
    stage.world.disable_by_hand(a);
    let _running = stage.start();
    let test = stage.world.enqueue(a, "webhook.test");
    let early: Vec<_> = (0..600).map(|_| stage.world.enqueue(a, "contact.created")).collect();
    pass(HOUR * 48).await;
    let late: Vec<_> = (0..10).map(|_| stage.world.enqueue(a, "contact.created")).collect();
    pass(HOUR * 23).await;
    assert_eq!((stage.world.discarded().len(), stage.world.pending()), (0, 610));
    assert_eq!(stage.world.outcomes_of(test).len(), 1);
    pass(HOUR * 2).await;
    assert_eq!(stage.world.discarded(), early, "after 72 hours, oldest first, each once");
    stage.world.enable(a);
    pass(SECOND * 61).await;
    assert_eq!((stage.script.sent().len(), stage.world.pending()), (1 + 10, 0));
    assert!(late.iter().all(|id| stage.world.outcomes_of(*id).len() == 1));
    pass(HOUR * 200).await;
    assert_eq!(stage.world.discarded().len(), 600);
}

#[tokio::test(start_paused = true)]
async fn ob_88_the_time_before_disabling_does_not_count_and_a_restart_changes_nothing() {
    let mut stage = stage(5, |_, _| quick(500));
    stage.settings.schedule = Schedule::Delays(vec![360_000_000]);
    let a = stage.world.endpoint(A);
    let old = stage.world.enqueue(a, "contact.created");
    let running = stage.start();
    pass(HOUR * 80).await;
    stage.world.disable_by_hand(a);
    pass(HOUR * 40).await;
    assert_eq!(running.stop(SECOND).await.released, 0);
    let _running = stage.start();
    pass(HOUR * 31).await;
    assert_eq!(stage.world.discarded(), []);
    pass(HOUR * 2).await;
    assert_eq!(stage.world.discarded(), [old]);
}

#[tokio::test(start_paused = true)]
async fn ob_88_a_hold_of_zero_discards_at_once_but_not_what_is_in_flight() {
    let mut stage = stage(5, |_, _| (SECOND * 3, Ok(Response { status: 200, ..Response::default() })));
    stage.settings.hold_ms = 0;
    stage.settings.endpoint_concurrency = 2;
    let a = stage.world.endpoint(A);
    for _ in 0..10 {
        stage.world.enqueue(a, "contact.created");
    }
    let _running = stage.start();
    pass(SECOND).await;
    stage.world.disable_by_hand(a);
    pass(SECOND).await;
    assert_eq!(stage.world.discarded().len(), 8);
    pass(SECOND * 10).await;
    assert_eq!((stage.world.outcomes().len(), stage.world.pending()), (2, 0));
    let meanwhile = stage.world.enqueue(a, "contact.created");
    pass(SECOND * 2).await;
    assert_eq!(stage.world.discarded().last(), Some(&meanwhile));
    stage.world.enable(a);
    pass(HOUR).await;
    assert_eq!(stage.script.sent().len(), 2);
}
