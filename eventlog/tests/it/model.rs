//! The log against a map, under random appends, expectations, reads and reopenings.

use std::collections::BTreeMap;

use mainspring_eventlog::{
    Append, AppendError, EventLog, Expected, StreamAppend,
    embedded::{EmbeddedLog, Options},
};
use mainspring_schemas::{StreamName, Timestamp};
use proptest::prelude::*;

use crate::{
    fake_disk::{FakeDisk, Loss},
    workload::{self, options, ready, submit, write},
};

#[derive(Clone, Debug)]
enum Action {
    Append { streams: Vec<(u8, Demand, u8)>, size: u16 },
    Pipeline { stream: u8, count: u8 },
    ReadStream { stream: u8, from: u8, limit: u8 },
    ReadBack { stream: u8, from: Option<u8>, limit: u8 },
    ReadAll { from: u8, limit: u8 },
    Reopen,
    Crash,
}

#[derive(Clone, Copy, Debug)]
enum Demand {
    Any,
    NoStream,
    Right,
    Wrong(u8),
}

fn demand() -> impl Strategy<Value = Demand> {
    prop_oneof![
        2 => Just(Demand::Any),
        1 => Just(Demand::NoStream),
        4 => Just(Demand::Right),
        1 => (0..20_u8).prop_map(Demand::Wrong),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let stream = 0..6_u8;
    let part = (stream.clone(), demand(), 1..4_u8);
    prop_oneof![
        8 => (proptest::collection::vec(part, 1..4), 0..900_u16).prop_map(|(streams, size)| Action::Append { streams, size }),
        2 => (stream.clone(), 1..20_u8).prop_map(|(stream, count)| Action::Pipeline { stream, count }),
        3 => (stream.clone(), 0..20_u8, 0..9_u8)
            .prop_map(|(stream, from, limit)| Action::ReadStream { stream, from, limit }),
        3 => (stream, proptest::option::of(0..20_u8), 0..9_u8)
            .prop_map(|(stream, from, limit)| Action::ReadBack { stream, from, limit }),
        3 => (0..80_u8, 1..30_u8).prop_map(|(from, limit)| Action::ReadAll { from, limit }),
        1 => Just(Action::Reopen),
        1 => Just(Action::Crash),
    ]
}

/// What the log must hold: per stream and in all, the ids of the records.
#[derive(Default)]
struct Model {
    all: Vec<(StreamName, u64, u128)>,
    streams: BTreeMap<StreamName, Vec<u128>>,
    next_id: u128,
}

impl Model {
    fn version(&self, stream: &StreamName) -> Option<u64> {
        self.streams.get(stream).and_then(|records| (records.len() as u64).checked_sub(1))
    }

    fn part(&mut self, stream: u8, demand: Demand, count: u8, size: u16) -> StreamAppend {
        let name = workload::stream(stream.into());
        let expected = match demand {
            Demand::Any => Expected::Any,
            Demand::NoStream => Expected::NoStream,
            Demand::Right => self.version(&name).map_or(Expected::NoStream, Expected::Version),
            Demand::Wrong(version) => Expected::Version(version.into()),
        };
        let template = workload::append(1, size.into()).streams[0].records[0].clone();
        let records = (0..count).map(|_| {
            self.next_id += 1;
            let mut record = template.clone();
            record.id.0 = uuid::Uuid::from_u128(self.next_id);
            record
        });
        StreamAppend { stream: name, expected, records: records.collect() }
    }

    /// Whether the append must succeed; if so it is part of the model from now on.
    fn apply(&mut self, append: &Append) -> bool {
        let holds = append.streams.iter().all(|part| match part.expected {
            Expected::Any => true,
            Expected::NoStream => self.version(&part.stream).is_none(),
            Expected::Version(version) => self.version(&part.stream) == Some(version),
        });
        if holds {
            for part in &append.streams {
                for record in &part.records {
                    let stream = self.streams.entry(part.stream.clone()).or_default();
                    self.all.push((part.stream.clone(), stream.len() as u64, record.id.0.as_u128()));
                    stream.push(record.id.0.as_u128());
                }
            }
        }
        holds
    }
}

fn tiny(disk: &FakeDisk) -> Options {
    let mut options = options(disk);
    options.segment_bytes = 6 << 10;
    options.hot_streams = 3;
    options
}

fn run(actions: Vec<Action>) {
    let mut disk = FakeDisk::new(actions.len() as u64);
    let mut model = Model::default();
    let mut log = EmbeddedLog::open(tiny(&disk)).unwrap().0;
    for action in actions {
        match action {
            Action::Append { streams, size } => {
                let mut named = std::collections::BTreeSet::new();
                let parts = streams.into_iter().filter(|(stream, ..)| named.insert(*stream));
                let streams =
                    parts.map(|(stream, demand, count)| model.part(stream, demand, count, size)).collect();
                let append = Append { recorded_at: Timestamp(3), streams };
                let first_position = model.all.len() as u64;
                match (model.apply(&append), write(&log, append)) {
                    (true, Ok(appended)) => assert_eq!(appended.first_position, first_position),
                    (false, Err(AppendError::Conflict { stream, current, .. })) => {
                        assert_eq!(current, model.version(&stream));
                    }
                    (expected, answer) => panic!("success expected: {expected}, got {answer:?}"),
                }
            }
            Action::Pipeline { stream, count } => {
                let answers: Vec<_> = (0..count)
                    .map(|_| {
                        let streams = vec![model.part(stream, Demand::Right, 1, 20)];
                        let append = Append { recorded_at: Timestamp(4), streams };
                        assert!(model.apply(&append));
                        submit(&log, append)
                    })
                    .collect();
                assert!(answers.into_iter().all(|answer| answer.recv().unwrap().is_ok()));
            }
            Action::ReadStream { stream, from, limit } => {
                let name = workload::stream(stream.into());
                let read = ready(log.read_stream(&name, from.into(), limit.into())).unwrap();
                let whole = model.streams.get(&name).map_or(&[][..], Vec::as_slice);
                let expected = whole.iter().skip(from.into()).take(limit.into());
                assert!(read.iter().map(|record| record.id.0.as_u128()).eq(expected.copied()));
                assert!(read.iter().map(|record| record.version).eq((u64::from(from)..).take(read.len())));
            }
            Action::ReadBack { stream, from, limit } => {
                let name = workload::stream(stream.into());
                let read = ready(log.read_stream_back(&name, from.map(u64::from), limit.into())).unwrap();
                let whole = model.streams.get(&name).map_or(&[][..], Vec::as_slice);
                let end = from.map_or(whole.len(), |from| (usize::from(from) + 1).min(whole.len()));
                let expected = whole[..end].iter().rev().take(limit.into());
                assert!(read.iter().map(|record| record.id.0.as_u128()).eq(expected.copied()));
            }
            Action::ReadAll { from, limit } => {
                let read = ready(log.read_all(from.into(), limit.into())).unwrap();
                let rest = model.all.get(usize::from(from)..).unwrap_or_default();
                assert_eq!(read.is_empty(), rest.is_empty());
                for (read, (stream, version, id)) in read.iter().zip(rest) {
                    assert_eq!((&read.stream, read.version, read.id.0.as_u128()), (stream, *version, *id));
                }
            }
            Action::Reopen => {
                log.close();
                log = EmbeddedLog::open(tiny(&disk)).unwrap().0;
            }
            Action::Crash => {
                // Everything was acknowledged, so nothing may be missing.
                disk = disk.crash(Loss::Everything);
                log = EmbeddedLog::open(tiny(&disk)).unwrap().0;
            }
        }
    }
    assert_eq!(log.durable_end(), model.all.len() as u64);
    let verification = log.verify(|_| ()).unwrap();
    assert_eq!(
        (verification.records, verification.streams),
        (model.all.len() as u64, model.streams.len() as u64)
    );
    assert_eq!(log.statistics().streams, model.streams.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_a_map_of_lists(actions in proptest::collection::vec(action(), 1..60)) {
        run(actions);
    }
}
