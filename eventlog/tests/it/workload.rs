//! Appends for tests, and what a log must look like after them.

use std::sync::{Arc, mpsc};

use mainspring_eventlog::{
    Append, AppendError, Appended, EventLog, Expected, LogError, NewRecord, Recorded, StreamAppend,
    embedded::{EmbeddedLog, Options, Recovery},
};
use mainspring_schemas::{RecordId, StreamName, Timestamp};
use uuid::Uuid;

use crate::fake_disk::FakeDisk;

pub type Answer = mpsc::Receiver<Result<Appended, AppendError>>;

pub fn stream(number: usize) -> StreamName {
    StreamName::new(format!("contact-{number}"))
}

/// One append number `number`: every third writes two streams, sizes vary.
pub fn append(number: usize, payload: usize) -> Append {
    let part = |stream_number: usize, count: usize| StreamAppend {
        stream: stream(stream_number),
        expected: Expected::Any,
        records: (0..count)
            .map(|index| NewRecord {
                id: RecordId(Uuid::from_u128((number * 100 + index) as u128)),
                event_type: "test.happened".into(),
                schema_version: 1,
                causation: None,
                trace: None,
                wake_at: None,
                definitions: 0,
                sealed_with: None,
                payload: vec![number as u8 | 1; payload].into(),
            })
            .collect(),
    };
    let mut streams = vec![part(number % 5, 1 + number % 2)];
    if number.is_multiple_of(3) {
        streams.push(part(5 + number % 2, 2));
    }
    Append { recorded_at: Timestamp(number as i64), streams }
}

pub fn submit(log: &EmbeddedLog, append: Append) -> Answer {
    let (sender, receiver) = mpsc::channel();
    log.submit(append, Box::new(move |answer| drop(sender.send(answer))));
    receiver
}

/// Submits and waits.
pub fn write(log: &EmbeddedLog, append: Append) -> Result<Appended, AppendError> {
    submit(log, append).recv().expect("an answer")
}

pub fn options(disk: &FakeDisk) -> Options {
    Options::on(Arc::new(disk.clone()))
}

pub fn open(disk: &FakeDisk) -> Result<(Arc<EmbeddedLog>, Recovery), LogError> {
    EmbeddedLog::open(options(disk))
}

/// Waits for a future that is ready at once, as those of the embedded log's reads are.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("a read was not ready"),
    }
}

/// The whole log.
pub fn everything(log: &EmbeddedLog) -> Result<Vec<Recorded>, LogError> {
    let mut records = Vec::new();
    while (records.len() as u64) < log.durable_end() {
        records.extend(ready(log.read_all(records.len() as u64, 1_000))?);
    }
    Ok(records)
}

/// How many appends of a sequence the log holds, all of them whole and in order. Panics if it holds anything else.
pub fn whole_appends(records: &[Recorded], sequence: &[Append]) -> usize {
    let mut rest = records;
    for (index, append) in sequence.iter().enumerate() {
        if rest.is_empty() {
            return index;
        }
        for part in &append.streams {
            for new in &part.records {
                let (read, after) = rest.split_first().expect("the rest of an append");
                assert_eq!((read.id, &read.stream, &read.payload), (new.id, &part.stream, &new.payload));
                assert_eq!(read.recorded_at, append.recorded_at);
                rest = after;
            }
        }
    }
    assert!(rest.is_empty(), "records that nobody wrote");
    sequence.len()
}

/// A log of appends that were each synced alone, as the bytes of its one segment. No checkpoint.
pub fn one_segment(count: usize, payload: usize) -> (String, Vec<u8>, Vec<Append>) {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk).expect("an empty log");
    let appends: Vec<_> = (0..count).map(|number| append(number, payload)).collect();
    for append in &appends {
        write(&log, append.clone()).expect("an append");
    }
    let (name, bytes) = disk.files().into_iter().find(|(name, _)| name.ends_with(".log")).expect("a segment");
    (name, bytes, appends)
}

/// Offsets at which the frames of a segment begin, and its end.
pub fn frame_offsets(segment: &[u8]) -> Vec<usize> {
    let mut offsets = vec![96];
    while let Some(length) =
        segment.get(offsets[offsets.len() - 1]..).and_then(|rest| rest.first_chunk::<4>())
    {
        offsets.push(offsets[offsets.len() - 1] + u32::from_le_bytes(*length) as usize);
    }
    offsets
}
