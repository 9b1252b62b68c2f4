//! The crash matrix: the machine stops during every call that a workload makes of the file system, and loses what was
//! not synced in every way a disk can. Afterwards every acknowledged append is there, the others are whole or absent,
//! and the order is that of submission (D1, D2).

use std::sync::mpsc;

use mainspring_eventlog::{
    Append, AppendError, EventLog,
    embedded::{EmbeddedLog, Options},
};

use mainspring_schemas::Timestamp;

use crate::{
    fake_disk::{FakeDisk, Loss},
    workload::{append, everything, open, options, submit, whole_appends, write},
};

fn small(disk: &FakeDisk) -> Options {
    let mut options = options(disk);
    options.segment_bytes = 4 << 10;
    options
}

/// Appends alone and in bursts, over several segments, with a reopening in between. Returns what was submitted and
/// how many of it was acknowledged.
fn workload(disk: &FakeDisk) -> (Vec<Append>, usize) {
    let (mut submitted, mut acknowledged) = (Vec::new(), 0);
    for part in 0..2 {
        let Ok((log, _)) = EmbeddedLog::open(small(disk)) else { break };
        for burst in [1, 1, 7, 1, 12, 1] {
            let answers: Vec<_> = (0..burst)
                .map(|_| {
                    let append = append(submitted.len(), 90 + 200 * part);
                    submitted.push(append.clone());
                    submit(&log, append)
                })
                .collect();
            for answer in answers {
                match answer.recv().expect("an answer") {
                    Ok(_) => acknowledged += 1,
                    Err(AppendError::Failed(_)) => assert!(disk.has_stopped()),
                    Err(error) => panic!("{error}"),
                }
            }
        }
        log.close();
    }
    (submitted, acknowledged)
}

/// Checks a disk after a crash, and that the log goes on from there.
fn check(disk: &FakeDisk, submitted: &[Append], acknowledged: usize, case: &str) {
    let (log, _) = EmbeddedLog::open(small(disk)).unwrap_or_else(|error| panic!("{case}: {error}"));
    let found = whole_appends(&everything(&log).unwrap(), submitted);
    assert!(found >= acknowledged, "{case}: {acknowledged} acknowledged, {found} found");
    log.verify(|_| ()).unwrap_or_else(|error| panic!("{case}: {error}"));
    let mut sequence = submitted[..found].to_vec();
    // One as long as the first that the crash took, so that what stood behind that one would fit behind this one.
    if let Some(lost) = submitted.get(found) {
        let mut same_length = lost.clone();
        same_length.recorded_at = Timestamp(-1);
        write(&log, same_length.clone()).unwrap();
        sequence.push(same_length);
    }
    for number in 0..3 {
        let append = append(1_000 + number, 50);
        write(&log, append.clone()).unwrap();
        sequence.push(append);
    }
    drop(log);
    // What a crash left is never seen again once the log went on.
    let (log, _) = EmbeddedLog::open(small(&disk.crash(Loss::Everything))).unwrap();
    assert_eq!(whole_appends(&everything(&log).unwrap(), &sequence), sequence.len(), "{case}");
    log.verify(|_| ()).unwrap();
}

#[test]
fn d1_d2_a_crash_after_any_call_loses_nothing_acknowledged_and_halves_nothing() {
    for calls in 0.. {
        let mut has_stopped = false;
        for loss in Loss::ALL {
            let disk = FakeDisk::new(calls as u64 * 4 + loss as u64);
            disk.stop_after(calls);
            let (submitted, acknowledged) = workload(&disk);
            has_stopped |= disk.has_stopped();
            check(
                &disk.crash(loss),
                &submitted,
                acknowledged,
                &format!("stop after {calls}, losing {loss:?}"),
            );
        }
        if !has_stopped {
            assert!(calls > 40, "the workload makes more calls than {calls}");
            return;
        }
    }
}

#[test]
fn d1_a_crash_during_recovery_is_recovered_from() {
    for seed in 0..40 {
        for loss in Loss::ALL {
            let disk = FakeDisk::new(seed);
            disk.stop_after(20 + seed as usize % 37);
            let (submitted, acknowledged) = workload(&disk);
            let mut disk = disk.crash(loss);
            for calls in 0..4 {
                disk.stop_after(calls);
                drop(EmbeddedLog::open(small(&disk)));
                disk = disk.crash(loss);
            }
            check(&disk, &submitted, acknowledged, &format!("seed {seed}, losing {loss:?}"));
        }
    }
}

#[test]
fn d1_lost_sectors_of_one_write_are_told_from_damage() {
    for seed in 0..200 {
        let disk = FakeDisk::new(seed);
        let (log, _) = open(&disk).unwrap();
        let mut submitted: Vec<_> = (0..5).map(|number| append(number, 100)).collect();
        for append in &submitted {
            write(&log, append.clone()).unwrap();
        }
        // While the writer is held in a completion a burst gathers, so that all of it is one write. That write
        // happens, its sync does not.
        let (release, held) = mpsc::channel::<()>();
        let (reached, is_held) = mpsc::channel();
        submitted.push(append(5, 100));
        log.submit(
            append(5, 100),
            Box::new(move |_| {
                reached.send(()).unwrap();
                held.recv().unwrap_err();
            }),
        );
        is_held.recv().unwrap();
        let answers: Vec<_> = (6..60)
            .map(|number| {
                submitted.push(append(number, 100));
                submit(&log, append(number, 100))
            })
            .collect();
        disk.stop_after(1);
        drop(release);
        assert!(answers.into_iter().all(|answer| answer.recv().unwrap().is_err()));
        assert!(log.health().is_err());
        check(&disk.crash(Loss::Sectors), &submitted, 6, &format!("seed {seed}"));
    }
}
