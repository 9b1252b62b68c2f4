//! The runner: it follows, waits, stops, starts again, and refuses what it must not skip.

use std::{path::Path, sync::Arc, time::Duration};

use mainspring_eventlog::{EventLog, Recorded};
use mainspring_projections::{ProjectionError, ReadModels, Runner, RunnerStatus, digest};
use tokio::runtime::Runtime;

use crate::{
    history::{History, Step},
    memory_log::MemoryLog,
};

const PATIENCE: Duration = Duration::from_secs(20);

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// Projects all of a log with a runner.
pub fn follow(dir: &Path, log: &Arc<MemoryLog>) -> ReadModels {
    let read_models = ReadModels::open(dir).unwrap();
    let runner = Runner::start(log.clone(), read_models.clone(), None).unwrap();
    assert!(
        runtime().block_on(read_models.wait_for(log.durable_end(), PATIENCE)),
        "{:?}",
        read_models.status()
    );
    runner.stop();
    assert_eq!(read_models.status(), RunnerStatus::Stopped);
    read_models
}

/// Steps that exercise everything, always the same.
pub fn steps(count: u32) -> Vec<Step> {
    let mut seed = 7_u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        u8::try_from(seed >> 24).unwrap()
    };
    (0..count).map(|_| (next(), next(), next())).collect()
}

#[test]
fn c_3_a_gap_in_positions_is_refused() {
    let history = History::of(&steps(80));
    let mut records = history.records.clone();
    records.remove(40);
    expect_failure(&records, "position 41 follows where 40 was due");
}

#[test]
fn c_3_a_gap_in_the_versions_of_a_contact_is_refused() {
    let mut history = History::default();
    history.create(3);
    history.touch(0, 2);
    for by in [1, 2] {
        let mut records = history.records.clone();
        records.last_mut().unwrap().version += by;
        expect_failure(&records, "where 1 was due");
    }
    // Also where the contact is known from an earlier batch only, whether its row is read or not.
    for step in [(3, 0, 2), (10, 0, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let mut history = History::of(&[(0, 0, 3)]);
        let log = MemoryLog::of(&history.records);
        follow(dir.path(), &log);
        history.step(step);
        let mut record = history.records.last().unwrap().clone();
        record.version += 1;
        log.push(&[record]);
        let message = failure(dir.path(), &log);
        assert!(message.contains("where 1 was due"), "{message}");
    }
}

#[test]
fn an_undecodable_record_stops_it_visibly_and_nothing_after_it_is_projected() {
    let history = History::of(&steps(60));
    let mut records = history.records.clone();
    records[30].payload = bytes::Bytes::from_static(b"\xc1");
    expect_failure(&records, "record at position 30 cannot be read");
}

fn expect_failure(records: &[Recorded], expected: &str) {
    let dir = tempfile::tempdir().unwrap();
    let message = failure(dir.path(), &MemoryLog::of(records));
    assert!(message.contains(expected), "{message}");
}

fn failure(dir: &Path, log: &Arc<MemoryLog>) -> String {
    let read_models = ReadModels::open(dir).unwrap();
    let before = read_models.position();
    let runner = Runner::start(log.clone(), read_models.clone(), None).unwrap();
    let mut status = read_models.status();
    for _ in 0..2000 {
        status = read_models.status();
        if matches!(status, RunnerStatus::Failed(_)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    runner.stop();
    assert_eq!(read_models.position(), before, "nothing of the batch is stored");
    match status {
        RunnerStatus::Failed(message) => message,
        other => panic!("it should have failed: {other:?}"),
    }
}

#[test]
fn exactly_once_whatever_the_batches_and_wherever_it_stops() {
    let history = History::of(&steps(400));
    let whole = tempfile::tempdir().unwrap();
    follow(whole.path(), &MemoryLog::of(&history.records));
    let expected = digest(whole.path()).unwrap();
    for size in [1, 7, 64] {
        let dir = tempfile::tempdir().unwrap();
        let log = MemoryLog::of(&[]);
        for chunk in history.records.chunks(size * 10) {
            for batch in chunk.chunks(size) {
                log.push(batch);
                std::thread::yield_now();
            }
            follow(dir.path(), &log);
        }
        assert_eq!(digest(dir.path()).unwrap(), expected, "batches of {size}");
    }
}

#[test]
fn a_log_that_cannot_be_read_stops_it_and_the_next_start_goes_on() {
    let history = History::of(&steps(200));
    let dir = tempfile::tempdir().unwrap();
    let log = MemoryLog::of(&history.records);
    let end = log.durable_end();
    for broken in [end / 3, end / 2] {
        log.break_from(Some(broken));
        let read_models = ReadModels::open(dir.path()).unwrap();
        let runner = Runner::start(log.clone(), read_models.clone(), None).unwrap();
        assert!(runtime().block_on(read_models.wait_for(broken, PATIENCE)));
        assert!(!runtime().block_on(read_models.wait_for(broken + 1, Duration::from_millis(50))));
        runner.stop();
        assert_eq!(read_models.position(), broken);
    }
    log.break_from(None);
    follow(dir.path(), &log);
    let whole = tempfile::tempdir().unwrap();
    follow(whole.path(), &MemoryLog::of(&history.records));
    assert_eq!(digest(dir.path()).unwrap(), digest(whole.path()).unwrap());
}

#[test]
fn readers_are_told_of_every_commit_and_see_what_they_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let log = MemoryLog::of(&[]);
    let read_models = ReadModels::open(dir.path()).unwrap();
    let runner = Runner::start(log.clone(), read_models.clone(), None).unwrap();
    let mut changed = read_models.changed();
    let mut history = History::default();
    let runtime = runtime();
    for round in 0..20 {
        let from = history.records.len();
        history.create(3);
        log.push(&history.records[from..]);
        assert!(runtime.block_on(read_models.wait_for(log.durable_end(), PATIENCE)));
        assert_eq!(read_models.contact_total().unwrap(), round + 1);
        runtime.block_on(changed.changed()).unwrap();
    }
    runner.stop();
}

#[test]
fn read_models_of_another_log_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::of(&steps(30));
    follow(dir.path(), &MemoryLog::of(&history.records));
    let shorter = MemoryLog::of(&history.records[..5]);
    let read_models = ReadModels::open(dir.path()).unwrap();
    let runner = Runner::start(shorter, read_models.clone(), None).unwrap();
    while matches!(read_models.status(), RunnerStatus::Starting | RunnerStatus::Following) {
        std::thread::yield_now();
    }
    runner.stop();
    let expected = ProjectionError::Ahead { position: history.records.len() as u64, end: 5 }.to_string();
    assert_eq!(read_models.status(), RunnerStatus::Failed(expected));
}
