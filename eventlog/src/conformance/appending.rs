//! Claims about appends: order, expectations, atomicity, fidelity, survival.

use mainspring_schemas::{RecordId, Timestamp};
use uuid::Uuid;

use super::{Adapter, all_from, append, assert_gapless, number, one, record, stream, submit, whole_stream};
use crate::{Append, AppendError, Expected, NewRecord, StreamAppend};

/// Positions 0, 1, 2, ... over the log, versions 0, 1, 2, ... in each stream.
pub async fn positions_and_versions_count_up_without_gaps(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    for value in 0..30 {
        let name = stream(&format!("contact-{}", value % 3));
        let appended = log.append(one(&name, Expected::Any, value)).await.unwrap();
        assert_eq!((appended.first_position, appended.last_position), (value, value));
    }
    let name = stream("contact-0");
    let appended =
        log.append(append(&name, Expected::Version(9), vec![record(30), record(31)])).await.unwrap();
    assert_eq!((appended.first_position, appended.last_position), (30, 31));
    let records = all_from(&log, 0, 7).await;
    assert_gapless(&records, 0);
    assert_eq!(records.iter().map(number).collect::<Vec<_>>(), (0..32).collect::<Vec<_>>());
    assert_eq!(log.durable_end(), 32);
}

/// `NoStream` succeeds once and is a conflict from then on.
pub async fn a_stream_that_must_not_exist_is_created_once(adapter: &mut dyn Adapter) {
    let (log, name) = (adapter.log(), stream("identity-email-1"));
    log.append(one(&name, Expected::NoStream, 0)).await.unwrap();
    match log.append(one(&name, Expected::NoStream, 1)).await {
        Err(AppendError::Conflict { stream, expected: Expected::NoStream, current: Some(0) }) => {
            assert_eq!(stream, name);
        }
        other => panic!("expected a conflict, got {other:?}"),
    }
}

/// `Version` must name the last record, neither an older nor a later one, nor any of a stream that does not exist.
pub async fn an_expected_version_must_be_the_last_one(adapter: &mut dyn Adapter) {
    let (log, name) = (adapter.log(), stream("contact-1"));
    let missing = log.append(one(&name, Expected::Version(0), 0)).await;
    assert!(matches!(missing, Err(AppendError::Conflict { current: None, .. })), "{missing:?}");
    log.append(append(&name, Expected::NoStream, vec![record(0), record(1), record(2)])).await.unwrap();
    for wrong in [0, 1, 3, u64::MAX] {
        let answer = log.append(one(&name, Expected::Version(wrong), 9)).await;
        assert!(matches!(answer, Err(AppendError::Conflict { current: Some(2), .. })), "{wrong}: {answer:?}");
    }
    log.append(one(&name, Expected::Version(2), 3)).await.unwrap();
    assert_eq!(whole_stream(&log, &name).await.len(), 4);
}

/// `Any` creates and continues.
pub async fn any_version_is_accepted_if_any_is_expected(adapter: &mut dyn Adapter) {
    let (log, name) = (adapter.log(), stream("deliveries-1"));
    for value in 0..3 {
        log.append(one(&name, Expected::Any, value)).await.unwrap();
    }
    assert_eq!(whole_stream(&log, &name).await.last().map(|record| record.version), Some(2));
}

/// A conflict uses up no position and no version.
pub async fn a_refused_append_leaves_nothing_behind(adapter: &mut dyn Adapter) {
    let (log, name) = (adapter.log(), stream("contact-1"));
    log.append(one(&name, Expected::NoStream, 0)).await.unwrap();
    for _ in 0..5 {
        log.append(one(&name, Expected::NoStream, 9)).await.unwrap_err();
        log.append(one(&stream("contact-2"), Expected::Version(3), 9)).await.unwrap_err();
    }
    assert_eq!(log.append(one(&name, Expected::Version(0), 1)).await.unwrap().first_position, 1);
    assert_eq!(all_from(&log, 0, 10).await.len(), 2);
    assert_eq!(whole_stream(&log, &stream("contact-2")).await, []);
}

/// Where several streams can be written at once, one wrong expectation stops all of them; where they cannot, the
/// append is refused.
pub async fn an_append_over_several_streams_is_all_or_nothing(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    let part = |name: &str, expected, value| StreamAppend {
        stream: stream(name),
        expected,
        records: vec![record(value), record(value + 1)],
    };
    let both = |first, second| Append {
        recorded_at: Timestamp(5),
        streams: vec![part("contact-1", first, 0), part("contact-2", second, 10)],
    };
    if !log.atomic_streams() {
        let answer = log.append(both(Expected::Any, Expected::Any)).await;
        assert!(matches!(answer, Err(AppendError::Refused(_))), "{answer:?}");
        assert_eq!(log.durable_end(), 0);
        return;
    }
    let appended = log.append(both(Expected::NoStream, Expected::NoStream)).await.unwrap();
    assert_eq!((appended.first_position, appended.last_position), (0, 3));
    for (first, second, culprit) in [
        (Expected::Version(1), Expected::NoStream, "contact-2"),
        (Expected::Version(0), Expected::Version(1), "contact-1"),
    ] {
        match log.append(both(first, second)).await {
            Err(AppendError::Conflict { stream, current: Some(1), .. }) => {
                assert_eq!(stream.as_str(), culprit)
            }
            other => panic!("expected a conflict, got {other:?}"),
        }
    }
    log.append(both(Expected::Version(1), Expected::Any)).await.unwrap();
    let records = all_from(&log, 0, 100).await;
    assert_gapless(&records, 0);
    let values: Vec<_> = records.iter().map(number).collect();
    assert_eq!(values, [0, 1, 10, 11, 0, 1, 10, 11], "records stand in the order of the append");
    let mut twice = both(Expected::Any, Expected::Any);
    twice.streams[1].stream = stream("contact-1");
    assert!(matches!(log.append(twice).await, Err(AppendError::Refused(_))), "a stream named twice");
}

/// What breaks a limit is refused, alone, and changes nothing.
pub async fn malformed_appends_are_refused(adapter: &mut dyn Adapter) {
    let (log, name) = (adapter.log(), stream("contact-1"));
    let nothing = Append { recorded_at: Timestamp(0), streams: Vec::new() };
    let no_records = append(&name, Expected::Any, Vec::new());
    let long_name = one(&stream(&"x".repeat(513)), Expected::Any, 0);
    let no_name = one(&stream(""), Expected::Any, 0);
    let long_type =
        append(&name, Expected::Any, vec![NewRecord { event_type: "x".repeat(65).into(), ..record(0) }]);
    let big = append(
        &name,
        Expected::Any,
        vec![NewRecord { payload: vec![0; (16 << 20) + 1].into(), ..record(0) }],
    );
    let many = append(&name, Expected::Any, (0..65_536).map(record).collect());
    for (what, append) in [
        ("nothing", nothing),
        ("no records", no_records),
        ("long name", long_name),
        ("no name", no_name),
        ("long type", long_type),
        ("big payload", big),
        ("many records", many),
    ] {
        let answer = log.append(append).await;
        assert!(matches!(answer, Err(AppendError::Refused(_))), "{what}: {answer:?}");
    }
    assert_eq!(
        log.append(one(&stream(&"x".repeat(512)), Expected::NoStream, 1)).await.unwrap().first_position,
        0
    );
}

/// An actor decides again before its last append is durable, and is right about the versions.
pub async fn submissions_without_waiting_keep_their_order_and_see_each_other(adapter: &mut dyn Adapter) {
    let (log, name) = (adapter.log(), stream("contact-1"));
    let mut answers = vec![submit(&log, one(&name, Expected::NoStream, 0))];
    for value in 1..500 {
        answers.push(submit(&log, one(&name, Expected::Version(value - 1), value)));
        if value % 100 == 0 {
            let stale = submit(&log, one(&name, Expected::Version(value - 1), 9)).await.unwrap();
            let Err(AppendError::Conflict { current: Some(current), .. }) = stale else {
                panic!("{stale:?}")
            };
            assert_eq!(current, value);
        }
    }
    for (value, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().unwrap().first_position, value as u64);
    }
    let values: Vec<_> = whole_stream(&log, &name).await.iter().map(number).collect();
    assert_eq!(values, (0..500).collect::<Vec<_>>());
}

/// Every combination of the optional fields is read as it was written.
pub async fn every_field_comes_back(adapter: &mut dyn Adapter) {
    let (log, name) = (adapter.log(), stream("contact-ünï-✓"));
    let make = |bits: u64| NewRecord {
        id: RecordId(Uuid::from_u128(u128::MAX - u128::from(bits))),
        event_type: format!("{}.happened", "é".repeat(bits as usize % 20)).into(),
        schema_version: u16::MAX - bits as u16,
        causation: (bits & 1 != 0).then(|| RecordId(Uuid::from_u128(1))),
        trace: (bits & 2 != 0).then(|| Uuid::from_u128(2)),
        wake_at: (bits & 4 != 0).then_some(Timestamp(-3)),
        definitions: if bits & 8 != 0 { u64::MAX >> 1 } else { 0 },
        sealed_with: (bits & 16 != 0).then(|| Uuid::from_u128(u128::MAX)),
        payload: vec![bits as u8; bits as usize].into(),
    };
    for bits in 0..32_u64 {
        let recorded_at = Timestamp(-1_000 + 100 * bits.cast_signed());
        let streams =
            vec![StreamAppend { stream: name.clone(), expected: Expected::Any, records: vec![make(bits)] }];
        log.append(Append { recorded_at, streams }).await.unwrap();
    }
    adapter.reopen().await;
    let log = adapter.log();
    let through_stream = whole_stream(&log, &name).await;
    assert_eq!(through_stream, all_from(&log, 0, 5).await);
    let mut backwards = log.read_stream_back(&name, None, 100).await.unwrap();
    backwards.reverse();
    assert_eq!(through_stream, backwards);
    for (bits, read) in (0..32_u64).zip(&through_stream) {
        let new = make(bits);
        assert_eq!((read.position, read.version, &read.stream), (bits, bits, &name));
        assert_eq!(read.recorded_at, Timestamp(-1_000 + 100 * bits.cast_signed()));
        assert_eq!(
            (read.id, &read.event_type, read.schema_version),
            (new.id, &new.event_type, new.schema_version)
        );
        assert_eq!((read.causation, read.trace, read.wake_at), (new.causation, new.trace, new.wake_at));
        assert_eq!(
            (read.definitions, read.sealed_with, &read.payload),
            (new.definitions, new.sealed_with, &new.payload)
        );
    }
}

/// From nothing to the largest payload allowed.
pub async fn empty_and_big_payloads_come_back(adapter: &mut dyn Adapter) {
    let (log, name) = (adapter.log(), stream("contact-1"));
    let sizes = [0, 1, 4_000, 70_000, 1 << 20, 0, 16 << 20, 3];
    for (index, size) in sizes.into_iter().enumerate() {
        let payload: Vec<u8> = (0..size).map(|i| (i * 31 + index) as u8).collect();
        let append = append(&name, Expected::Any, vec![NewRecord { payload: payload.into(), ..record(0) }]);
        log.append(append).await.unwrap();
    }
    let records = all_from(&log, 0, 3).await;
    assert_eq!(records, whole_stream(&log, &name).await);
    assert_eq!(records.len(), sizes.len());
    for (index, (size, record)) in sizes.into_iter().zip(&records).enumerate() {
        let same = record.payload.iter().enumerate().all(|(i, byte)| *byte == (i * 31 + index) as u8);
        assert!(record.payload.len() == size && same, "payload {index}");
    }
}

/// Reads after reopening equal reads before.
pub async fn reopening_changes_nothing(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    for value in 0..200 {
        drop(submit(&log, one(&stream(&format!("contact-{}", value % 17)), Expected::Any, value)));
    }
    log.append(one(&stream("last"), Expected::NoStream, 200)).await.unwrap();
    let before = all_from(&log, 0, 50).await;
    drop(log);
    for _ in 0..2 {
        adapter.reopen().await;
        let log = adapter.log();
        assert_eq!(log.durable_end(), 201);
        assert_eq!(all_from(&log, 0, 1_000).await, before);
        let name = stream("contact-3");
        let expected: Vec<_> = before.iter().filter(|record| record.stream == name).cloned().collect();
        assert_eq!(whole_stream(&log, &name).await, expected);
    }
}

/// Expectations hold across reopening, for old streams and new ones.
pub async fn appending_goes_on_after_reopening(adapter: &mut dyn Adapter) {
    let name = stream("contact-1");
    for round in 0..5 {
        let log = adapter.log();
        let expected = if round == 0 { Expected::NoStream } else { Expected::Version(round - 1) };
        log.append(one(&name, Expected::Version(round), 9)).await.unwrap_err();
        assert_eq!(log.append(one(&name, expected, round)).await.unwrap().first_position, 2 * round);
        log.append(one(&stream(&format!("contact-1{round}")), Expected::NoStream, round)).await.unwrap();
        drop(log);
        adapter.reopen().await;
    }
    let records = all_from(&adapter.log(), 0, 100).await;
    assert_gapless(&records, 0);
    assert_eq!(records.len(), 10);
}
