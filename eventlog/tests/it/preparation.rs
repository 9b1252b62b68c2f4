//! Zeros written ahead of the log change nothing that anybody reads, whatever a crash leaves of them.

use mainspring_eventlog::{
    EventLog,
    embedded::{EmbeddedLog, Options},
};

use crate::{
    fake_disk::{FakeDisk, Loss},
    workload::{append, everything, options, submit, whole_appends, write},
};

fn prepared(disk: &FakeDisk) -> Options {
    let mut options = options(disk);
    options.segment_bytes = 5 << 20;
    options.prepare_bytes = 2 << 20;
    options
}

#[test]
fn d1_prepared_space_survives_crashes_rolls_and_full_disks() {
    for loss in Loss::ALL {
        let mut disk = FakeDisk::new(loss as u64);
        let mut stored = Vec::new();
        for round in 0..4 {
            let (log, recovery) = EmbeddedLog::open(prepared(&disk)).unwrap();
            assert_eq!(recovery.cut_bytes, 0, "zeros are no torn write");
            let answers: Vec<_> = (0..10)
                .map(|number| {
                    let append = append(round * 100 + number, 90_000);
                    stored.push(append.clone());
                    submit(&log, append)
                })
                .collect();
            assert!(answers.into_iter().all(|answer| answer.recv().unwrap().is_ok()));
            assert_eq!(whole_appends(&everything(&log).unwrap(), &stored), stored.len());
            disk.set_capacity(Some(disk.used()));
            let refused = (0..30).filter(|number| {
                let append = append(round * 100 + 10 + number, 90_000);
                let is_refused = write(&log, append.clone()).is_err();
                if !is_refused {
                    stored.push(append);
                }
                is_refused
            });
            assert!(refused.count() > 0);
            disk.set_capacity(None);
            let next = append(round * 100 + 50, 90_000);
            write(&log, next.clone()).unwrap();
            stored.push(next);
            disk = disk.crash(loss);
        }
        let (log, _) = EmbeddedLog::open(prepared(&disk)).unwrap();
        assert_eq!(whole_appends(&everything(&log).unwrap(), &stored), stored.len());
        let verification = log.verify(|_| ()).unwrap();
        assert!(verification.segments > 1 && verification.records == log.durable_end());
        log.close();
        let bytes: u64 = disk
            .files()
            .iter()
            .filter(|(name, _)| name.ends_with(".log"))
            .map(|(_, file)| file.len() as u64)
            .sum();
        assert_eq!(bytes, verification.bytes, "closing leaves nothing behind the last frame");
    }
}
