//! Claims about many callers at once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::task::JoinSet;

use super::{Adapter, all_from, append, assert_gapless, number, one, record, stream, submit, whole_stream};
use crate::{AppendError, EventLog, Expected};

/// How many of these expectations were met; panics on anything but success and conflict.
async fn winners(log: &Arc<dyn EventLog>, name: &str, expected: Expected, racers: u64) -> usize {
    let mut tasks = JoinSet::new();
    for racer in 0..racers {
        let (log, name) = (Arc::clone(log), stream(name));
        tasks.spawn(async move { log.append(one(&name, expected, racer)).await });
    }
    let mut won = 0;
    while let Some(answer) = tasks.join_next().await {
        match answer.unwrap() {
            Ok(_) => won += 1,
            Err(AppendError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    won
}

/// The expected version is the guarantee, whoever believes to be the only writer (invariant 11).
pub async fn of_writers_that_expect_the_same_version_exactly_one_wins(adapter: &mut dyn Adapter) {
    let (log, name) = (adapter.log(), stream("contact-1"));
    log.append(one(&name, Expected::NoStream, 0)).await.unwrap();
    for round in 0..30 {
        assert_eq!(winners(&log, "contact-1", Expected::Version(round), 8).await, 1);
    }
    let records = whole_stream(&log, &name).await;
    assert_eq!(records.len(), 31);
    assert_gapless(&records, 0);
}

/// The first append wins an identity (C2).
pub async fn of_writers_that_create_the_same_stream_exactly_one_wins(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    for round in 0..30 {
        assert_eq!(winners(&log, &format!("identity-{round}"), Expected::NoStream, 8).await, 1);
    }
    assert_eq!(log.durable_end(), 30);
}

/// Many writers, own and shared streams, batches and single records, while a reader looks for gaps.
pub async fn a_storm_of_writers_leaves_no_gaps(adapter: &mut dyn Adapter) {
    const WRITERS: u64 = 16;
    const ROUNDS: u64 = 60;
    let log = adapter.log();
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let log = Arc::clone(&log);
        tasks.spawn(async move {
            let own = stream(&format!("contact-{writer}"));
            let mut next = 0;
            for round in 0..ROUNDS {
                let size = 1 + (writer + round) % 3;
                let expected = if next == 0 { Expected::NoStream } else { Expected::Version(next - 1) };
                let shared = submit(&log, one(&stream("shared"), Expected::Any, writer));
                log.append(append(&own, expected, (next..next + size).map(record).collect())).await.unwrap();
                next += size;
                shared.await.unwrap().unwrap();
            }
            next
        });
    }
    let reader = tokio::spawn({
        let log = Arc::clone(&log);
        async move {
            let mut next = 0;
            while next < WRITERS * ROUNDS {
                for record in log.read_all(next, 64).await.unwrap() {
                    assert_eq!(record.position, next, "a gap was visible");
                    next += 1;
                }
                tokio::task::yield_now().await;
            }
        }
    });
    let mut written = 0;
    while let Some(count) = tasks.join_next().await {
        written += count.unwrap();
    }
    reader.await.unwrap();
    let records = all_from(&log, 0, 500).await;
    assert_eq!(records.len() as u64, written + WRITERS * ROUNDS);
    assert_gapless(&records, 0);
    for writer in 0..WRITERS {
        let values: Vec<_> =
            whole_stream(&log, &stream(&format!("contact-{writer}"))).await.iter().map(number).collect();
        assert_eq!(values, (0..values.len() as u64).collect::<Vec<_>>(), "one writer's records out of order");
    }
}

/// Every submission is answered exactly once, success and failure alike.
pub async fn each_callback_is_called_once_and_with_its_own_answer(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    let calls: Arc<Vec<AtomicUsize>> = Arc::new((0..1_000).map(|_| AtomicUsize::new(0)).collect());
    let (finished, mut all) = tokio::sync::mpsc::unbounded_channel();
    for index in 0..1_000_usize {
        let name = stream(&format!("contact-{}", index / 2));
        let (calls, finished) = (Arc::clone(&calls), finished.clone());
        let answer = move |answer: Result<_, AppendError>| {
            calls[index].fetch_add(1, Ordering::SeqCst);
            // The second append to each stream must fail, the first must not.
            assert_eq!(answer.is_ok(), index % 2 == 0);
            finished.send(answer.is_ok()).expect("a test that still waits");
        };
        log.submit(one(&name, Expected::NoStream, index as u64), Box::new(answer));
    }
    drop(finished);
    let mut answers = 0;
    while all.recv().await.is_some() {
        answers += 1;
    }
    assert_eq!(answers, 1_000);
    assert!(calls.iter().all(|count| count.load(Ordering::SeqCst) == 1));
    assert_eq!(log.durable_end(), 500);
}

/// When an answer arrives the record can be read; what can be read is below the durable end.
pub async fn nothing_is_read_before_it_is_durable(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    let name = stream("contact-1");
    for value in 0..100 {
        let answer = submit(&log, one(&name, Expected::Any, value));
        for record in log.read_all(value.saturating_sub(1), 10).await.unwrap() {
            assert!(record.position < log.durable_end());
        }
        for record in log.read_stream_back(&name, None, 1).await.unwrap() {
            assert!(record.version <= value);
        }
        let appended = answer.await.unwrap().unwrap();
        assert!(log.durable_end() > appended.last_position);
        assert_eq!(number(&log.read_all(value, 1).await.unwrap()[0]), value);
        assert_eq!(number(&log.read_stream_back(&name, None, 1).await.unwrap()[0]), value);
    }
}
