//! Full disks (D4), failing disks (D5) and overload.

use std::sync::{Arc, mpsc};

use mainspring_eventlog::{AppendError, EventLog, embedded::EmbeddedLog};

use crate::{
    fake_disk::{FakeDisk, Loss},
    workload::{append, everything, open, options, submit, whole_appends, write},
};

#[test]
fn d4_a_full_disk_refuses_keeps_reading_and_recovers_without_a_restart() {
    for seed in 0..30 {
        let disk = FakeDisk::new(seed);
        let (log, _) = open(&disk).unwrap();
        let mut stored = Vec::new();
        for number in 0..10 {
            write(&log, append(number, 100)).unwrap();
            stored.push(append(number, 100));
        }
        for round in 0..3 {
            disk.set_capacity(Some(disk.used() + 1_500));
            let answers: Vec<_> =
                (0..10).map(|i| (i, submit(&log, append(100 * round + 20 + i, 300)))).collect();
            let mut refused = 0;
            for (i, answer) in answers {
                match answer.recv().unwrap() {
                    Ok(_) => stored.push(append(100 * round + 20 + i, 300)),
                    Err(AppendError::Unavailable(_)) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            assert!(refused > 0, "the disk was not full");
            assert!(log.health().is_ok(), "a full disk is no failure");
            assert_eq!(whole_appends(&everything(&log).unwrap(), &stored), stored.len());
            disk.set_capacity(None);
            let next = append(100 * round + 50, 300);
            write(&log, next.clone()).unwrap();
            stored.push(next);
        }
        log.verify(|_| ()).unwrap();
        // Not even a crash brings back what was refused.
        let (log, _) = open(&disk.crash(Loss::ALL[seed as usize % 4])).unwrap();
        assert_eq!(whole_appends(&everything(&log).unwrap(), &stored), stored.len());
    }
}

#[test]
fn d4_a_disk_too_full_for_the_next_segment_recovers_too() {
    let disk = FakeDisk::new(9);
    let mut small = options(&disk);
    small.segment_bytes = 4 << 10;
    let (log, _) = EmbeddedLog::open(small.clone()).unwrap();
    let mut stored = Vec::new();
    for number in 0..200 {
        let append = append(number, 300);
        disk.set_capacity(Some(disk.used() + 700));
        match write(&log, append.clone()) {
            Ok(_) => stored.push(append),
            Err(AppendError::Unavailable(_)) => {
                disk.set_capacity(None);
                assert!(log.health().is_ok());
            }
            Err(error) => panic!("{error}"),
        }
    }
    disk.set_capacity(Some(disk.used() + 40));
    while write(&log, append(7, 2_000)).is_ok() {}
    disk.set_capacity(None);
    write(&log, append(8, 3_000)).unwrap();
    stored.push(append(8, 3_000));
    assert_eq!(whole_appends(&everything(&log).unwrap(), &stored), stored.len());
    assert!(log.statistics().segments > 5);
    log.verify(|_| ()).unwrap();
    log.close();
    let (log, _) = EmbeddedLog::open(small).unwrap();
    assert_eq!(whole_appends(&everything(&log).unwrap(), &stored), stored.len());
}

#[test]
fn d5_after_a_failed_sync_nothing_is_acknowledged_ever_again() {
    let disk = FakeDisk::new(4);
    let (log, _) = open(&disk).unwrap();
    let stored: Vec<_> = (0..5).map(|number| append(number, 50)).collect();
    for append in &stored {
        write(&log, append.clone()).unwrap();
    }
    disk.fail_next_sync();
    for number in 5..10 {
        let answer = write(&log, append(number, 50));
        assert!(matches!(answer, Err(AppendError::Failed(_))), "{answer:?}");
    }
    let reason = log.health().unwrap_err();
    assert!(reason.contains("syncing") && reason.contains("input/output error"), "{reason}");
    let syncs = log.statistics().syncs;
    // Readers still have everything that was acknowledged, and nothing else.
    assert_eq!(whole_appends(&everything(&log).unwrap(), &stored), 5);
    log.close();
    assert_eq!(log.statistics().syncs, syncs, "a failed sync was tried again");
    assert!(!disk.files().contains_key("index.checkpoint"), "a failed log left a checkpoint");
    let (log, _) = open(&disk.crash(Loss::Everything)).unwrap();
    assert_eq!(whole_appends(&everything(&log).unwrap(), &stored), 5);
}

#[test]
fn d5_a_failed_write_stops_the_log_too() {
    let disk = FakeDisk::new(4);
    let (log, _) = open(&disk).unwrap();
    write(&log, append(0, 50)).unwrap();
    disk.fail_next_write();
    assert!(matches!(write(&log, append(1, 50)), Err(AppendError::Failed(_))));
    assert!(matches!(write(&log, append(2, 50)), Err(AppendError::Failed(_))));
    assert!(log.health().unwrap_err().contains("writing"));
}

#[test]
fn o1_a_full_queue_refuses_at_once_and_forgets_nothing_it_took() {
    let disk = FakeDisk::new(4);
    let mut tiny = options(&disk);
    tiny.queue_bytes = 4_000;
    let (log, _) = EmbeddedLog::open(tiny).unwrap();
    // The writer is held in a completion while the queue fills.
    let (release, held) = mpsc::channel::<()>();
    let (reached, is_held) = mpsc::channel();
    log.submit(
        append(0, 10),
        Box::new(move |_| {
            reached.send(()).unwrap();
            held.recv().unwrap_err();
        }),
    );
    is_held.recv().unwrap();
    let answers: Vec<_> = (1..50).map(|number| (number, submit(&log, append(number, 300)))).collect();
    drop(release);
    let mut stored = vec![append(0, 10)];
    let mut refused = 0;
    for (number, answer) in answers {
        match answer.recv().unwrap() {
            Ok(_) => stored.push(append(number, 300)),
            Err(AppendError::Unavailable(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 30 && stored.len() > 3, "{refused} refused");
    assert_eq!(whole_appends(&everything(&log).unwrap(), &stored), stored.len());
}

#[test]
fn a_completion_that_panics_harms_nobody_else() {
    let (log, _) = open(&FakeDisk::new(1)).unwrap();
    log.submit(append(0, 10), Box::new(|_| panic!("expected by the test")));
    assert_eq!(write(&log, append(1, 10)).unwrap().first_position, 3);
    assert!(log.health().is_ok());
}

#[test]
fn closing_stores_what_was_submitted_and_refuses_what_comes_later() {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk).unwrap();
    let answers: Vec<_> = (0..100).map(|number| submit(&log, append(number, 10))).collect();
    log.close();
    assert!(answers.into_iter().all(|answer| answer.recv().unwrap().is_ok()));
    assert!(matches!(write(&log, append(100, 10)), Err(AppendError::Failed(_))));
    log.close();
    let (again, _) = open(&disk).unwrap();
    assert_eq!(everything(&again).unwrap(), everything(&log).unwrap());
}

#[test]
fn the_last_owner_may_be_a_completion() {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk).unwrap();
    let (sender, receiver) = mpsc::channel();
    let own = Arc::clone(&log);
    let (go, wait) = mpsc::channel::<()>();
    log.submit(
        append(0, 10),
        Box::new(move |_| {
            wait.recv().unwrap_err();
            drop(own);
            sender.send(()).unwrap();
        }),
    );
    drop(log);
    drop(go);
    receiver.recv().unwrap();
}
