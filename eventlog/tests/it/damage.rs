//! D3: a torn tail is cut to the longest valid prefix; damage anywhere else is named and stops the start; nothing that
//! was not written is ever served.

use mainspring_eventlog::{
    EventLog, LogError,
    embedded::{EmbeddedLog, RecoveryMode},
};

use crate::{
    fake_disk::FakeDisk,
    workload::{
        append, everything, frame_offsets, one_segment, open, options, ready, stream, whole_appends, write,
    },
};

/// Sweeps are as long as the design asks for in optimised builds and shorter in others.
const IS_OPTIMISED: bool = !cfg!(debug_assertions);

/// Runs a sweep's cases on two threads.
fn sweep(cases: std::ops::Range<usize>, check: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        let (check, cases) = (&check, &cases);
        for start in 0..2 {
            scope.spawn(move || cases.clone().skip(start).step_by(2).for_each(check));
        }
    });
}

#[test]
fn d3_truncation_at_every_byte_recovers_the_longest_valid_prefix() {
    let (name, bytes, appends) = one_segment(if IS_OPTIMISED { 240 } else { 24 }, 150);
    let offsets = frame_offsets(&bytes);
    assert_eq!(offsets.last(), Some(&bytes.len()));
    sweep(bytes.len().saturating_sub(64 << 10)..bytes.len(), |length| {
        let disk = FakeDisk::with_files([(name.clone(), bytes[..length].to_vec())]);
        let (log, recovery) = open(&disk).unwrap_or_else(|error| panic!("cut at {length}: {error}"));
        let expected = offsets.iter().filter(|offset| **offset <= length).count().saturating_sub(1);
        assert_eq!(whole_appends(&everything(&log).unwrap(), &appends), expected, "cut at {length}");
        let kept = if length < 96 { 0 } else { offsets[expected] };
        assert_eq!(recovery.cut_bytes, (length - kept) as u64, "cut at {length}");
        assert_eq!(disk.files()[&name].len(), kept.max(96), "what was cut is gone from the file");
        assert_eq!(recovery.records, log.durable_end());
    });
}

#[test]
fn d3_every_flipped_bit_is_detected_or_torn_off_and_never_served() {
    let (name, bytes, appends) = one_segment(if IS_OPTIMISED { 52 } else { 9 }, 100);
    let offsets = frame_offsets(&bytes);
    let last = offsets[offsets.len() - 2];
    sweep(0..bytes.len() * 8, |bit| {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match open(&FakeDisk::with_files([(name.clone(), flipped)])) {
            Err(LogError::Corrupt { file, offset, position, .. }) => {
                assert_eq!(file, format!("fake/{name}"));
                let frame = offsets.iter().rposition(|offset| *offset <= bit / 8);
                let expected = frame.map_or(0, |frame| offsets[frame]);
                assert_eq!(offset, expected as u64, "bit {bit}");
                assert!(frame.is_some() || position == 0);
            }
            Err(error) => panic!("bit {bit}: {error}"),
            Ok((log, recovery)) => {
                assert!(bit / 8 >= last, "bit {bit} went unnoticed");
                assert_eq!(whole_appends(&everything(&log).unwrap(), &appends), appends.len() - 1);
                assert_eq!(recovery.cut_bytes as usize, bytes.len() - last);
            }
        }
    });
}

#[test]
fn d3_a_bit_that_flips_while_the_log_is_open_is_never_served() {
    let directory = tempfile::tempdir().unwrap();
    let disk = mainspring_eventlog::embedded::Options::new(directory.path());
    let (log, _) = EmbeddedLog::open(disk).unwrap();
    let appends: Vec<_> = (0..8).map(|number| append(number, 60)).collect();
    for append in &appends {
        write(&log, append.clone()).unwrap();
    }
    let path = directory.path().join("00000000000000000000.log");
    let bytes = std::fs::read(&path).unwrap();
    let before = everything(&log).unwrap();
    for bit in (96 * 8..bytes.len() * 8).step_by(13) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &flipped).unwrap();
        assert!(everything(&log).is_err(), "bit {bit} was served by a scan");
        assert!(log.verify(|_| ()).is_err(), "bit {bit} passed verification");
        for number in 0..7 {
            let name = stream(number);
            let expected: Vec<_> = before.iter().filter(|record| record.stream == name).cloned().collect();
            for read in [ready(log.read_stream(&name, 0, 100)), ready(log.read_stream_back(&name, None, 100))]
            {
                let Ok(mut read) = read else { continue };
                read.sort_by_key(|record| record.version);
                assert_eq!(read, expected, "bit {bit} was served by a stream");
            }
        }
    }
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(log.verify(|_| ()).unwrap().records, before.len() as u64);
}

#[test]
fn d3_a_sector_of_zeros_in_a_frame_that_was_synced_is_damage() {
    let (name, bytes, _) = one_segment(6, 2_000);
    let offsets = frame_offsets(&bytes);
    for (frame, offset) in offsets.iter().copied().enumerate().take(offsets.len() - 2) {
        let mut zeroed = bytes.clone();
        let sector = offset.next_multiple_of(512);
        zeroed[sector..sector + 512].fill(0);
        match open(&FakeDisk::with_files([(name.clone(), zeroed)])) {
            Err(LogError::Corrupt { offset: named, reason, .. }) => {
                assert_eq!(named, offset as u64);
                assert!(reason.contains("synced"), "{reason}");
            }
            other => panic!("frame {frame}: {other:?}"),
        }
    }
}

#[test]
fn d3_strict_recovery_refuses_a_torn_tail() {
    let (name, bytes, _) = one_segment(5, 40);
    let disk = FakeDisk::with_files([(name, bytes[..bytes.len() - 1].to_vec())]);
    let mut strict = options(&disk);
    strict.recovery = RecoveryMode::Strict;
    assert!(matches!(EmbeddedLog::open(strict), Err(LogError::Corrupt { .. })));
    assert!(open(&disk).is_ok());
}

#[test]
fn d3_prepared_zeros_behind_the_end_are_no_damage() {
    let (name, mut bytes, appends) = one_segment(5, 40);
    bytes.resize(bytes.len() + 100_000, 0);
    let (log, recovery) = open(&FakeDisk::with_files([(name, bytes)])).unwrap();
    assert_eq!(whole_appends(&everything(&log).unwrap(), &appends), 5);
    assert_eq!(recovery.cut_bytes, 0);
}

/// A log of several sealed segments, closed properly.
fn several_segments() -> (FakeDisk, usize) {
    let disk = FakeDisk::new(3);
    let mut small = options(&disk);
    small.segment_bytes = 4 << 10;
    let (log, _) = EmbeddedLog::open(small).unwrap();
    for number in 0..60 {
        write(&log, append(number, 80)).unwrap();
    }
    let records = log.durable_end() as usize;
    log.close();
    (disk, records)
}

#[test]
fn d3_damage_in_a_sealed_segment_stops_the_start() {
    let (disk, _) = several_segments();
    let files = disk.files();
    let sealed: Vec<_> = files.keys().filter(|name| name.ends_with(".log")).rev().skip(1).cloned().collect();
    assert!(sealed.len() >= 3, "{sealed:?}");
    for name in sealed {
        let bytes = &files[&name];
        let cut = |length: usize| Some(bytes[..length].to_vec());
        let mut zeros = bytes.clone();
        zeros.resize(bytes.len() + 600, 0);
        let mut flipped = bytes.clone();
        let middle = bytes.len() / 2;
        flipped[middle] ^= 4;
        for (what, damaged) in [
            ("cut", cut(bytes.len() - 1)),
            ("cut at a frame", cut(frame_offsets(bytes).into_iter().rev().nth(1).unwrap())),
            ("emptied", cut(0)),
            ("extended", Some(zeros)),
            ("flipped", Some(flipped)),
            ("missing", None),
        ] {
            let mut files = files.clone();
            files.remove("index.checkpoint");
            match damaged {
                Some(damaged) => files.insert(name.clone(), damaged),
                None => files.remove(&name),
            };
            let opened = open(&FakeDisk::with_files(files));
            assert!(matches!(opened, Err(LogError::Corrupt { .. })), "{name} {what}: {opened:?}");
        }
    }
}

#[test]
fn d6_a_checkpoint_spares_the_scan_and_a_bad_one_costs_only_time() {
    let (disk, records) = several_segments();
    let files = disk.files();
    let (log, recovery) = open(&disk).unwrap();
    assert!(recovery.used_checkpoint);
    assert_eq!((recovery.scanned_records, recovery.records), (0, records as u64));
    let expected = everything(&log).unwrap();
    drop(log);
    let checkpoint = &files["index.checkpoint"];
    for bit in (0..checkpoint.len() * 8).step_by(499) {
        let mut flipped = checkpoint.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let mut files = files.clone();
        files.insert("index.checkpoint".into(), flipped);
        let (log, recovery) = open(&FakeDisk::with_files(files)).unwrap();
        assert!(!recovery.used_checkpoint, "bit {bit} of the checkpoint went unnoticed");
        assert_eq!(recovery.scanned_records, records as u64);
        assert_eq!(everything(&log).unwrap(), expected);
    }
}

#[test]
fn d3_a_log_shorter_than_its_checkpoint_proves_is_refused() {
    let (disk, _) = several_segments();
    let files = disk.files();
    let newest = files.keys().rfind(|name| name.ends_with(".log")).unwrap();
    let bytes = &files[newest];
    let last_frame = frame_offsets(bytes).into_iter().rev().nth(1).unwrap();
    let mut flipped = bytes.clone();
    flipped[last_frame + 50] ^= 1;
    for damaged in [bytes[..last_frame].to_vec(), bytes[..bytes.len() - 1].to_vec(), flipped] {
        let mut files = files.clone();
        files.insert(newest.clone(), damaged);
        let opened = open(&FakeDisk::with_files(files.clone()));
        assert!(matches!(opened, Err(LogError::Corrupt { .. })), "{opened:?}");
        // Without the proof it looks like a torn write.
        files.remove("index.checkpoint");
        assert!(open(&FakeDisk::with_files(files)).is_ok());
    }
}

#[test]
fn the_chain_notices_a_change_that_the_checksum_does_not() {
    let (name, mut bytes, _) = one_segment(6, 40);
    let offsets = frame_offsets(&bytes);
    let (begin, end) = (offsets[2], offsets[3]);
    // Change the last payload byte of a frame in the middle and make its checksum right again.
    bytes[end - 1] ^= 1;
    let frame = &mut bytes[begin..end];
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[8..]);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
    let (log, _) = open(&FakeDisk::with_files([(name, bytes)])).unwrap();
    match log.verify(|_| ()) {
        Err(LogError::Corrupt { offset, reason, .. }) => {
            assert_eq!(offset, begin as u64);
            assert!(reason.contains("chain"), "{reason}");
        }
        other => panic!("expected a broken chain, got {other:?}"),
    }
}

#[test]
fn a_second_process_is_kept_out_and_a_later_one_is_let_in() {
    let directory = tempfile::tempdir().unwrap();
    let options = mainspring_eventlog::embedded::Options::new(directory.path());
    let (log, _) = EmbeddedLog::open(options.clone()).unwrap();
    let second = EmbeddedLog::open(options.clone());
    assert!(matches!(second, Err(LogError::Unusable(text)) if text.contains("another process")));
    log.close();
    assert!(EmbeddedLog::open(options).is_ok());
}

#[test]
fn a_later_format_is_refused_politely() {
    let (name, mut bytes, _) = one_segment(1, 10);
    bytes[8] = 2;
    let checksum = crc32c::crc32c(&bytes[..92]);
    bytes[92..96].copy_from_slice(&checksum.to_le_bytes());
    let opened = open(&FakeDisk::with_files([(name, bytes)]));
    assert!(matches!(opened, Err(LogError::Unusable(text)) if text.contains("version 2")));
}
