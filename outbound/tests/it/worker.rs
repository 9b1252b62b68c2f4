//! The worker on virtual time: states, retries, order, isolation, at-least-once.

use std::{
    collections::HashMap,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Duration,
};

use mainspring_outbound::{exchange::Response, outcome::Failure, schedule::Schedule, secret::Key, signature};
use mainspring_schemas::{
    Timestamp,
    event::{delivery::AttemptResult, endpoint::SigningSecret},
};

use crate::{
    script::{Reply, Stage, hang, pass, quick, status},
    world::World,
};

const A: &str = "https://a.example.com/hook";
const B: &str = "https://b.example.com/hook";
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn stage(lag_ms: u64, rule: impl Fn(&crate::script::Sent, usize) -> Reply + Send + Sync + 'static) -> Stage {
    Stage::new(World::new(Duration::from_millis(lag_ms)), rule)
}

#[tokio::test(start_paused = true)]
async fn os_02_a_204_is_delivered_once() {
    let stage = stage(0, |_, _| quick(204));
    let delivery = {
        let endpoint = stage.world.endpoint(A);
        stage.world.enqueue(endpoint, "contact.created")
    };
    let running = stage.start();
    pass(HOUR).await;
    let outcomes = stage.world.outcomes_of(delivery);
    assert_eq!(outcomes.len(), 1);
    let outcome = &outcomes[0];
    assert_eq!((outcome.attempt, &outcome.result), (1, &AttemptResult::Delivered));
    assert_eq!((outcome.response_status, outcome.response_snippet.as_ref()), (Some(204), None));
    assert_eq!((outcome.error.as_ref(), outcome.error_class.as_ref()), (None, None));
    let figures = running.handle.statistics();
    assert_eq!((figures.started, figures.delivered, figures.recorded, figures.in_flight), (1, 1, 1, 0));
    assert_eq!(stage.script.sent().len(), 1);
    assert_eq!(running.stop(SECOND).await.released, 0);
}

#[tokio::test(start_paused = true)]
async fn os_03_a_retry_keeps_id_and_body_and_signs_anew() {
    let stage = stage(3, |_, earlier| quick(if earlier == 0 { 503 } else { 200 }));
    let endpoint = stage.world.endpoint(A);
    stage.world.enqueue(endpoint, "contact.created");
    let _running = stage.start();
    pass(HOUR).await;
    let sent = stage.script.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!((&sent[0].id, &sent[0].body), (&sent[1].id, &sent[1].body));
    assert_eq!(
        sent[1].at.since(sent[0].at),
        5_001,
        "5 s after the first outcome, to the millisecond (OB-146)"
    );
    assert_ne!(sent[0].signature, sent[1].signature);
    let key = Key::parse(&mainspring_outbound::secret::generate([7; 32])).unwrap();
    for sent in &sent {
        let verdict = signature::verify(
            std::slice::from_ref(&key),
            &sent.id,
            &sent.timestamp,
            &sent.signature,
            &sent.body,
            sent.at,
        );
        assert_eq!(verdict, Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn ob_144_ten_attempts_over_three_days_at_their_instants() {
    let stage = stage(20, |_, _| quick(500));
    let endpoint = stage.world.endpoint(A);
    let delivery = stage.world.enqueue(endpoint, "contact.created");
    let _running = stage.start();
    pass(HOUR * 100).await;
    let sent = stage.script.sent();
    let gaps: Vec<_> = sent.windows(2).map(|pair| pair[1].at.since(pair[0].at) / 1000).collect();
    assert_eq!(gaps, [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]);
    let outcomes = stage.world.outcomes_of(delivery);
    assert_eq!(outcomes.last().unwrap().result, AttemptResult::Failed);
    assert_eq!(outcomes.last().unwrap().error.as_deref(), Some("HTTP 500"));
    assert_eq!(
        outcomes.iter().map(|outcome| outcome.attempt).collect::<Vec<_>>(),
        (1..=10).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn os_04_formula_of_the_reference() {
    let mut stage = stage(0, |_, _| quick(500));
    stage.settings.schedule = Schedule::Formula { max_attempts: 3, base_ms: 1_000, max_ms: 60_000 };
    let endpoint = stage.world.endpoint(A);
    stage.world.enqueue(endpoint, "contact.created");
    let _running = stage.start();
    pass(HOUR).await;
    let sent = stage.script.sent();
    let gaps: Vec<_> = sent.windows(2).map(|pair| pair[1].at.since(pair[0].at)).collect();
    assert_eq!(gaps, [2_501, 4_501]);
}

#[tokio::test(start_paused = true)]
async fn os_05_a_hanging_receiver_costs_one_timeout() {
    let stage = stage(0, |_, _| hang());
    let endpoint = stage.world.endpoint(A);
    let delivery = stage.world.enqueue(endpoint, "contact.created");
    let _running = stage.start();
    pass(SECOND * 16).await;
    let outcome = &stage.world.outcomes_of(delivery)[0];
    assert_eq!(outcome.error.as_deref(), Some("Timeout after 15000ms"));
    assert_eq!((outcome.error_class.as_deref(), outcome.duration_ms), (Some("timeout"), 15_000));
    assert!(matches!(outcome.result, AttemptResult::Retry { .. }));
}

#[tokio::test(start_paused = true)]
async fn os_06_a_410_disables_and_holds_the_rest() {
    let mut stage = stage(5, |_, _| quick(410));
    stage.settings.endpoint_concurrency = 1;
    let endpoint = stage.world.endpoint(A);
    let first = stage.world.enqueue(endpoint, "contact.created");
    for _ in 0..20 {
        stage.world.enqueue(endpoint, "contact.created");
    }
    let _running = stage.start();
    pass(HOUR * 70).await;
    assert_eq!(stage.script.sent().len(), 1);
    let outcomes = stage.world.outcomes();
    assert_eq!((outcomes.len(), outcomes[0].delivery), (1, first));
    assert_eq!(
        (&outcomes[0].result, outcomes[0].error_class.as_deref()),
        (&AttemptResult::Failed, Some("gone"))
    );
    assert_eq!(stage.world.pending(), 20);
}

#[tokio::test(start_paused = true)]
async fn ob_141_ob_83_a_410_of_an_address_that_was_left_disables_nothing() {
    let slowly_gone = || (Duration::from_secs(2), status(410));
    let stage = stage(5, move |sent, _| if sent.url == A { slowly_gone() } else { quick(200) });
    let endpoint = stage.world.endpoint(A);
    stage.world.enqueue(endpoint, "contact.created");
    let _running = stage.start();
    pass(SECOND).await;
    assert_eq!(stage.script.sent_to(A).len(), 1);
    stage.world.change(endpoint, |endpoint| endpoint.settings.url = B.to_owned());
    pass(SECOND * 2).await;
    stage.world.enqueue(endpoint, "contact.created");
    pass(SECOND).await;
    assert_eq!(stage.script.sent_to(B).len(), 1);
    assert!(stage.world.disabled.lock().is_empty());
    // Another change of the endpoint is none of its receiver.
    stage.world.change(endpoint, |endpoint| endpoint.settings.url = A.to_owned());
    stage.world.enqueue(endpoint, "contact.created");
    pass(SECOND).await;
    stage.world.change(endpoint, |endpoint| endpoint.settings.description = Some("x".to_owned()));
    pass(SECOND * 2).await;
    assert_eq!(stage.world.disabled.lock().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn os_08_held_deliveries_continue_after_enabling() {
    let stage = stage(5, |_, _| quick(200));
    let endpoint = stage.world.endpoint(A);
    stage.world.disable_by_hand(endpoint);
    let _running = stage.start();
    for _ in 0..50 {
        stage.world.enqueue(endpoint, "contact.created");
    }
    pass(HOUR).await;
    assert_eq!(stage.script.sent().len(), 0);
    stage.world.enable(endpoint);
    pass(SECOND * 30).await;
    let half = stage.script.sent().len();
    assert!((24..=27).contains(&half), "{half} of 50: spread over a minute (OB-152)");
    pass(SECOND * 30).await;
    assert_eq!(stage.script.sent().len(), 50);
    assert_eq!(stage.world.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn ob_88_disabling_in_the_middle_holds_what_was_read_and_loses_nothing() {
    let mut stage = stage(30, |_, earlier| (SECOND / 10, status(if earlier == 0 { 500 } else { 200 })));
    stage.settings.schedule = Schedule::Delays(vec![2_000, 2_000, 2_000]);
    let endpoint = stage.world.endpoint(A);
    for _ in 0..100 {
        stage.world.enqueue(endpoint, "contact.created");
    }
    let _running = stage.start();
    for round in 0..20 {
        pass(Duration::from_millis(370)).await;
        stage.world.change(endpoint, |endpoint| endpoint.enabled = round % 2 == 1);
        if round % 2 == 0 {
            pass(SECOND / 2).await;
            let before = stage.script.sent().len();
            pass(SECOND * 5).await;
            assert_eq!(stage.script.sent().len(), before, "nothing is sent while it is disabled");
        }
    }
    pass(HOUR).await;
    assert_eq!((stage.world.pending(), stage.script.sent().len()), (0, 200));
}

#[tokio::test(start_paused = true)]
async fn ob_177_a_test_goes_to_a_disabled_endpoint_and_only_once() {
    let stage = stage(5, |_, _| quick(410));
    let endpoint = stage.world.endpoint(A);
    stage.world.change(endpoint, |endpoint| endpoint.enabled = false);
    stage.world.enqueue(endpoint, "contact.created");
    let test = stage.world.enqueue(endpoint, "webhook.test");
    let _running = stage.start();
    pass(SECOND).await;
    let later = stage.world.enqueue(endpoint, "webhook.test");
    pass(HOUR * 100).await;
    assert_eq!(stage.script.sent().len(), 2);
    for delivery in [test, later] {
        assert_eq!(stage.world.outcomes_of(delivery)[0].result, AttemptResult::Failed);
    }
    assert_eq!(stage.world.pending(), 1, "the other delivery is held");
}

#[tokio::test(start_paused = true)]
async fn ob_177_a_test_says_nothing_about_health() {
    let stage = stage(0, |sent, _| {
        let throttle = Response { status: 429, retry_after: Some("3600".to_owned()), ..Response::default() };
        if sent.body.windows(12).any(|part| part == b"webhook.test") {
            (SECOND, Ok(throttle))
        } else {
            quick(200)
        }
    });
    let endpoint = stage.world.endpoint(A);
    let test = stage.world.enqueue(endpoint, "webhook.test");
    let _running = stage.start();
    pass(SECOND * 2).await;
    assert_eq!(
        stage.world.outcomes_of(test)[0].result,
        AttemptResult::Failed,
        "one attempt, whatever came back"
    );
    stage.world.enqueue(endpoint, "contact.created");
    pass(SECOND).await;
    assert_eq!(stage.world.pending(), 0, "the endpoint is not throttled by a test");
}

#[tokio::test(start_paused = true)]
async fn ob_122_deliveries_of_a_deleted_endpoint_are_skipped() {
    let mut stage = stage(0, |_, _| (SECOND, status(200)));
    stage.settings.endpoint_concurrency = 1;
    let endpoint = stage.world.endpoint(A);
    for _ in 0..5 {
        stage.world.enqueue(endpoint, "contact.created");
    }
    let _running = stage.start();
    pass(Duration::from_millis(1_500)).await;
    stage.world.delete(endpoint);
    pass(HOUR).await;
    assert_eq!(stage.script.sent().len(), 2, "the one in flight ended, no other began");
}

#[tokio::test(start_paused = true)]
async fn os_13_w3_a_hanging_endpoint_delays_nobody_else() {
    let stage = stage(5, |sent, _| if sent.url == A { hang() } else { quick(200) });
    let (a, b) = (stage.world.endpoint(A), stage.world.endpoint(B));
    for _ in 0..1_000 {
        stage.world.enqueue(a, "contact.created");
        stage.world.enqueue(b, "contact.created");
    }
    let _running = stage.start();
    pass(SECOND).await;
    assert_eq!(stage.script.sent_to(B).len(), 1_000, "all of B's within the first second");
    assert_eq!(stage.script.sent_to(A).len(), 8, "A has its share and no more (OB-150)");
    pass(SECOND * 60).await;
    assert!(stage.script.most_open() <= 64);
}

#[tokio::test(start_paused = true)]
async fn w3_a_healthy_endpoint_is_served_while_a_thousand_hang() {
    let healthy = Arc::new(AtomicBool::new(true));
    let well = Arc::clone(&healthy);
    let stage = stage(0, move |sent, _| if sent.url == A || well.load(SeqCst) { quick(200) } else { hang() });
    let a = stage.world.endpoint(A);
    let others: Vec<_> =
        (0..1_000).map(|n| stage.world.endpoint(&format!("https://h{n}.example.com/hook"))).collect();
    let _running = stage.start();
    healthy.store(false, SeqCst);
    // The first minutes teach the worker who hangs.
    for _ in 0..3 {
        for other in &others {
            stage.world.enqueue(*other, "contact.created");
        }
    }
    pass(SECOND * 600).await;
    let mut slowest = 0;
    for _ in 0..200 {
        let before = stage.clock.now_millis();
        let delivery = stage.world.enqueue(a, "contact.created");
        pass(SECOND / 20).await;
        let outcome = &stage.world.outcomes_of(delivery)[0];
        slowest = slowest.max(outcome.at.0 - before);
    }
    assert!(slowest <= 2, "{slowest} ms");
    assert!(stage.script.most_open() <= 64);
}

#[tokio::test(start_paused = true)]
async fn ob_150_a_slow_endpoint_gets_its_turns_though_quick_ones_have_a_backlog() {
    let slow = |sent: &crate::script::Sent| sent.url == A;
    let stage = stage(0, move |sent, _| match slow(sent) {
        true => (Duration::from_millis(1_100), status(200)),
        false => (Duration::from_millis(10), status(200)),
    });
    let a = stage.world.endpoint(A);
    let others: Vec<_> =
        (0..70).map(|n| stage.world.endpoint(&format!("https://h{n}.example.com/hook"))).collect();
    // It is known to be slow when the others come.
    stage.world.enqueue(a, "contact.created");
    let _running = stage.start();
    pass(SECOND * 2).await;
    for _ in 0..12 {
        stage.world.enqueue(a, "contact.created");
    }
    for _ in 0..600 {
        for other in &others {
            stage.world.enqueue(*other, "contact.created");
        }
    }
    pass(SECOND * 4).await;
    let sent = stage.script.sent();
    assert_eq!(sent.iter().filter(|sent| slow(sent)).count(), 13, "eight at a time");
    assert!(stage.world.pending() > 5_000, "the others have a backlog all the time");
}

#[tokio::test(start_paused = true)]
async fn ob_150_never_more_than_the_limits() {
    let stage = stage(2, |_, _| (SECOND / 10, status(200)));
    for n in 0..70 {
        let endpoint = stage.world.endpoint(&format!("https://h{n}.example.com/hook"));
        for _ in 0..20 {
            stage.world.enqueue(endpoint, "contact.created");
        }
    }
    let _running = stage.start();
    pass(SECOND * 10).await;
    assert_eq!(stage.world.pending(), 0);
    assert_eq!(stage.script.most_open(), 64);
}

#[tokio::test(start_paused = true)]
async fn os_14_a_429_holds_back_the_whole_endpoint() {
    let stage = stage(5, |sent, earlier| {
        let first = sent.url == A && sent.body.ends_with(br#""n":3}}"#) && earlier == 0;
        let throttle = Response { status: 429, retry_after: Some("120".to_owned()), ..Response::default() };
        if first { (Duration::from_millis(1), Ok(throttle)) } else { quick(200) }
    });
    let (a, b) = (stage.world.endpoint(A), stage.world.endpoint(B));
    let throttled = stage.world.enqueue(a, "contact.created");
    let _running = stage.start();
    pass(SECOND).await;
    assert_eq!(stage.world.outcomes_of(throttled)[0].error_class.as_deref(), Some("throttled"));
    for _ in 0..10 {
        stage.world.enqueue(a, "contact.created");
        stage.world.enqueue(b, "contact.created");
    }
    pass(SECOND * 118).await;
    assert_eq!((stage.script.sent_to(A).len(), stage.script.sent_to(B).len()), (1, 10));
    pass(SECOND * 2).await;
    assert_eq!((stage.script.sent_to(A).len(), stage.world.pending()), (12, 0));
}

#[tokio::test(start_paused = true)]
async fn w5_first_attempts_start_in_log_order_whatever_the_lag() {
    for lag in [0, 40] {
        let stage = stage(lag, |_, earlier| quick(if earlier == 0 { 500 } else { 200 }));
        let endpoint = stage.world.endpoint(A);
        let mut expected = Vec::new();
        let _running = stage.start();
        for round in 0..40 {
            for _ in 0..50 {
                expected.push(stage.world.enqueue(endpoint, "contact.created"));
            }
            pass(Duration::from_millis(round % 7)).await;
        }
        pass(HOUR).await;
        let mut seen = HashMap::new();
        let firsts: Vec<_> = stage
            .script
            .sent()
            .into_iter()
            .filter(|sent| seen.insert(sent.id.clone(), ()).is_none())
            .map(|sent| sent.body)
            .collect();
        let number = |body: &bytes::Bytes| {
            let text = String::from_utf8(body.to_vec()).unwrap();
            let (_, number) = text.rsplit_once("\"n\":").unwrap();
            number.trim_end_matches('}').parse::<u64>().unwrap()
        };
        let numbers: Vec<_> = firsts.iter().map(number).collect();
        assert_eq!(numbers.len(), expected.len());
        assert!(numbers.is_sorted(), "lag {lag}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_twice_however_far_the_queue_lags_and_however_old_its_answers_are() {
    for (lag, read_ms) in
        [(0, 0), (0, 5), (1, 2), (2, 1), (17, 30), (30, 17), (700, 1), (9_000, 0), (40, 2_500)]
    {
        let mut stage = stage(lag, |_, earlier| quick(if earlier < 2 { 500 } else { 200 }));
        stage.settings.schedule = Schedule::Delays(vec![100, 2_000, 60_000]);
        stage.world.read_ms.store(read_ms, SeqCst);
        let endpoints: Vec<_> =
            (0..5).map(|n| stage.world.endpoint(&format!("https://h{n}.example.com/hook"))).collect();
        let running = stage.start();
        for round in 0..300 {
            stage.world.enqueue(endpoints[round % 5], "contact.created");
            if round % 10 == 0 {
                pass(Duration::from_millis(3)).await;
            }
        }
        pass(HOUR).await;
        assert_eq!(
            (stage.script.sent().len(), stage.world.pending()),
            (900, 0),
            "lag {lag}, reading {read_ms}"
        );
        assert!(!running.task.is_finished());
    }
}

#[tokio::test(start_paused = true)]
async fn what_happens_while_the_queue_is_read_is_found_by_the_next_read() {
    let stage = stage(0, |_, _| quick(200));
    stage.world.read_ms.store(50, SeqCst);
    let endpoint = stage.world.endpoint(A);
    let _running = stage.start();
    for _ in 0..10 {
        stage.world.enqueue(endpoint, "contact.created");
        pass(Duration::from_millis(20)).await;
        stage.world.enqueue(endpoint, "contact.created");
        pass(SECOND).await;
        assert_eq!(stage.world.pending(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn os_11_restart_and_rebuild_send_nothing_again() {
    let mut stage = stage(50, |sent, earlier| {
        let fails = sent.body.ends_with(b"0}}") && earlier < 2;
        quick(if fails { 503 } else { 200 })
    });
    stage.settings.schedule = Schedule::Delays(vec![10_000, 10_000, 10_000]);
    let endpoint = stage.world.endpoint(A);
    for _ in 0..100 {
        stage.world.enqueue(endpoint, "contact.created");
    }
    let running = stage.start();
    pass(SECOND * 5).await;
    assert_eq!(running.stop(SECOND).await.released, 0);
    assert_eq!(stage.script.sent().len(), 100);
    stage.world.rebuild();
    let running = stage.start();
    pass(SECOND * 4).await;
    assert_eq!(
        stage.script.sent().len(),
        100,
        "terminal ones are not sent, pending ones wait for their instant"
    );
    pass(HOUR).await;
    assert_eq!((stage.script.sent().len(), stage.world.pending()), (120, 0));
    assert_eq!(running.stop(SECOND).await.released, 0);
}

#[tokio::test(start_paused = true)]
async fn os_09_what_was_in_flight_at_a_kill_is_sent_again_with_the_same_id() {
    let stage = stage(10, |_, _| (SECOND, status(200)));
    let endpoint = stage.world.endpoint(A);
    for _ in 0..40 {
        stage.world.enqueue(endpoint, "contact.created");
    }
    let mut kills = 0;
    while stage.world.pending() > 0 {
        let running = stage.start();
        pass(Duration::from_millis(2_500)).await;
        running.task.abort();
        let _ = running.task.await;
        kills += 1;
    }
    let sent = stage.script.sent();
    let mut bodies = HashMap::new();
    for sent in &sent {
        let first = bodies.entry(sent.id.clone()).or_insert_with(|| sent.body.clone());
        assert_eq!(*first, sent.body, "byte-identical (W2)");
    }
    assert_eq!(bodies.len(), 40, "every delivery arrived (W1)");
    assert!(sent.len() <= 40 + kills * 8, "repeated only what was in flight (W1)");
}

#[tokio::test(start_paused = true)]
async fn w1_a_receiver_that_fails_a_third_gets_everything() {
    let stage = stage(25, |sent, earlier| {
        let dice = sent.body.iter().map(|byte| usize::from(*byte)).sum::<usize>() + earlier * 7;
        match dice % 10 {
            0 => quick(500),
            1 => (Duration::from_millis(2), Err(Failure::Reset)),
            2 => (Duration::from_millis(2), Err(Failure::Connect)),
            _ => quick(200),
        }
    });
    let endpoints: Vec<_> =
        (0..20).map(|n| stage.world.endpoint(&format!("https://h{n}.example.com/hook"))).collect();
    let _running = stage.start();
    for n in 0..2_000 {
        stage.world.enqueue(endpoints[n % 20], "contact.created");
        if n % 100 == 0 {
            pass(Duration::from_millis(10)).await;
        }
    }
    pass(HOUR * 100).await;
    assert_eq!(stage.world.pending(), 0);
    let delivered =
        stage.world.outcomes().iter().filter(|outcome| outcome.result == AttemptResult::Delivered).count();
    assert_eq!(delivered, 2_000);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_is_recorded_even_if_the_log_refuses_for_a_while() {
    let mut stage = stage(0, |_, _| quick(200));
    stage.settings.concurrency = 4;
    let endpoint = stage.world.endpoint(A);
    for _ in 0..100 {
        stage.world.enqueue(endpoint, "contact.created");
    }
    stage.world.refusals.store(200, SeqCst);
    let running = stage.start();
    pass(SECOND).await;
    assert!(stage.script.sent().len() <= 20, "sending stops while outcomes cannot be recorded");
    pass(HOUR).await;
    assert_eq!((stage.world.pending(), stage.script.sent().len()), (0, 100));
    assert_eq!(running.handle.statistics().port_errors, 200);
}

#[tokio::test(start_paused = true)]
async fn stopping_finishes_what_is_in_flight_or_releases_it_at_the_deadline() {
    for (grace, released) in [(SECOND * 5, 0), (SECOND, 8)] {
        let stage = stage(0, |_, _| (SECOND * 2, status(200)));
        let endpoint = stage.world.endpoint(A);
        for _ in 0..100 {
            stage.world.enqueue(endpoint, "contact.created");
        }
        let running = stage.start();
        pass(SECOND / 2).await;
        let before = stage.clock.now_millis();
        assert_eq!(running.stop(grace).await.released, released);
        assert!(stage.clock.now_millis() - before <= 1_501);
        assert_eq!((stage.script.sent().len(), stage.world.pending()), (8, 92 + released));
    }
}

#[tokio::test(start_paused = true)]
async fn ob_83_endpoints_are_read_at_every_attempt() {
    let stage = stage(0, |_, earlier| quick(if earlier == 0 { 500 } else { 200 }));
    let endpoint = stage.world.endpoint(A);
    stage.world.enqueue(endpoint, "contact.created");
    let _running = stage.start();
    pass(SECOND).await;
    let now = stage.clock.now_millis();
    stage.world.change(endpoint, |endpoint| {
        endpoint.settings.url = B.to_owned();
        endpoint.secrets[0].expires_at = Some(Timestamp(now + 60_000));
        let secret = mainspring_outbound::secret::generate([8; 32]);
        endpoint.secrets.insert(0, SigningSecret { secret, expires_at: None });
    });
    pass(SECOND * 10).await;
    let sent = stage.script.sent();
    assert_eq!((sent[0].url.as_str(), sent[1].url.as_str()), (A, B));
    assert_eq!((sent[0].signature.split(' ').count(), sent[1].signature.split(' ').count()), (1, 2), "OS-12");
}

#[tokio::test(start_paused = true)]
async fn ob_204_deliveries_of_an_unknown_kind_are_held() {
    let stage = stage(0, |_, _| quick(200));
    let endpoint = stage.world.endpoint(A);
    stage.world.change(endpoint, |endpoint| endpoint.settings.kind = "crm".to_owned());
    let held = stage.world.enqueue(endpoint, "contact.created");
    let test = stage.world.enqueue(endpoint, "webhook.test");
    let _running = stage.start();
    pass(HOUR).await;
    assert_eq!(stage.world.outcomes_of(held), []);
    let outcome = &stage.world.outcomes_of(test)[0];
    assert_eq!(outcome.error.as_deref(), Some("destination \"crm\" is not registered"));
    assert_eq!((outcome.error_class.as_deref(), outcome.response_status), (Some("config"), None));
    stage.world.change(endpoint, |endpoint| endpoint.settings.kind = "webhook".to_owned());
    pass(SECOND).await;
    assert_eq!(stage.world.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn ob_151_a_failing_endpoint_gets_one_attempt_at_a_time() {
    let stage = stage(0, |_, _| (SECOND * 11, status(500)));
    let endpoint = stage.world.endpoint(A);
    for _ in 0..30 {
        stage.world.enqueue(endpoint, "contact.created");
    }
    let _running = stage.start();
    pass(SECOND * 56).await;
    assert_eq!(stage.script.sent().len(), 8 + 5, "eight at once, then one every eleven seconds");
}
