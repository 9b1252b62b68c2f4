//! Claims about reads.

use std::sync::Arc;

use super::{Adapter, all_from, append, assert_gapless, number, one, record, stream, submit, whole_stream};
use crate::{EventLog, Expected};

/// 30 records, alternately of two streams, in appends of one, two and three records.
async fn fill(log: &Arc<dyn EventLog>) {
    let mut value = 0;
    while value < 30 {
        for size in 1..=3 {
            let name = stream(if size == 2 { "contact-b" } else { "contact-a" });
            log.append(append(&name, Expected::Any, (value..value + size).map(record).collect()))
                .await
                .unwrap();
            value += size;
        }
    }
}

/// No records, in either direction.
pub async fn a_stream_that_was_never_written_is_empty(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    for _ in 0..2 {
        let name = stream("contact-unknown");
        assert_eq!(log.read_stream(&name, 0, 10).await.unwrap(), []);
        assert_eq!(log.read_stream(&name, 5, 10).await.unwrap(), []);
        assert_eq!(log.read_stream_back(&name, None, 10).await.unwrap(), []);
        assert_eq!(log.read_stream_back(&name, Some(3), 10).await.unwrap(), []);
        fill(&log).await;
    }
}

/// Every start and every limit gives the same as cutting the whole stream.
pub async fn a_stream_is_read_forwards_from_anywhere(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    fill(&log).await;
    let name = stream("contact-a");
    let whole: Vec<_> =
        all_from(&log, 0, 9).await.into_iter().filter(|record| record.stream == name).collect();
    assert_eq!(whole.len(), 20);
    for from in 0..22 {
        for limit in [1, 2, 3, 4, 7, 20, 100, usize::MAX] {
            let read = log.read_stream(&name, from as u64, limit).await.unwrap();
            let expected: Vec<_> = whole.iter().skip(from).take(limit).cloned().collect();
            assert_eq!(read, expected, "from {from}, limit {limit}");
        }
    }
}

/// Every start and every limit gives the same as cutting the reversed stream.
pub async fn a_stream_is_read_backwards_from_anywhere(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    fill(&log).await;
    let name = stream("contact-b");
    let whole = whole_stream(&log, &name).await;
    assert_eq!(whole.len(), 10);
    for from in (0..13).map(Some).chain([None, Some(u64::MAX)]) {
        for limit in [1, 2, 3, 10, 100, usize::MAX] {
            let read = log.read_stream_back(&name, from, limit).await.unwrap();
            let up_to = from.unwrap_or(u64::MAX);
            let expected: Vec<_> =
                whole.iter().rev().filter(|r| r.version <= up_to).take(limit).cloned().collect();
            assert_eq!(read, expected, "from {from:?}, limit {limit}");
        }
    }
}

/// Every start and every page size gives the same records.
pub async fn the_whole_log_is_read_from_anywhere(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    fill(&log).await;
    let whole = all_from(&log, 0, 1_000).await;
    assert_gapless(&whole, 0);
    assert_eq!(whole.iter().map(number).collect::<Vec<_>>(), (0..30).collect::<Vec<_>>());
    for from in 0..30 {
        for page in [1, 2, 5, 100] {
            assert_eq!(
                all_from(&log, from, page).await,
                whole[from as usize..],
                "from {from}, pages of {page}"
            );
        }
    }
}

/// At and behind the end there is nothing, and that is no error.
pub async fn reading_past_the_end_is_empty(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    assert_eq!(log.read_all(0, 10).await.unwrap(), []);
    fill(&log).await;
    for position in [30, 31, 1 << 40, u64::MAX] {
        assert_eq!(log.read_all(position, 10).await.unwrap(), []);
    }
    assert_eq!(log.read_stream(&stream("contact-a"), 20, 10).await.unwrap(), []);
    assert_eq!(log.read_stream(&stream("contact-a"), u64::MAX, 10).await.unwrap(), []);
}

/// Nobody gets what nobody asked for.
pub async fn a_limit_of_zero_reads_nothing(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    fill(&log).await;
    assert_eq!(log.read_stream(&stream("contact-a"), 0, 0).await.unwrap(), []);
    assert_eq!(log.read_stream_back(&stream("contact-a"), None, 0).await.unwrap(), []);
}

/// A long history, written in batches, between records of others.
pub async fn a_stream_of_ten_thousand_records_is_read_in_pages(adapter: &mut dyn Adapter) {
    let (log, name) = (adapter.log(), stream("contact-1"));
    let mut last = None;
    for batch in 0..100_u64 {
        let records = (batch * 100..batch * 100 + 100).map(record).collect();
        drop(submit(&log, append(&name, Expected::Any, records)));
        last = Some(submit(&log, one(&stream("contact-2"), Expected::Any, batch)));
    }
    last.unwrap().await.unwrap().unwrap();
    let mut next = 0;
    while next < 10_000 {
        let page = log.read_stream(&name, next, 1_000).await.unwrap();
        assert_eq!(page.len(), 1_000);
        for record in page {
            assert_eq!((record.version, number(&record)), (next, next));
            next += 1;
        }
    }
    let newest = log.read_stream_back(&name, None, 250).await.unwrap();
    assert!(newest.iter().map(|record| record.version).eq((9_750..10_000).rev()));
}

/// Each of many streams has its own records and versions, before and after reopening.
pub async fn ten_thousand_streams_are_told_apart(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    let name = |i: u64| stream(&format!("contact-{i:032x}"));
    let mut last = None;
    for round in 0..2 {
        for i in 0..10_000 {
            let expected = if round == 0 { Expected::NoStream } else { Expected::Version(0) };
            last = Some(submit(&log, one(&name(i), expected, round * 10_000 + i)));
        }
    }
    last.unwrap().await.unwrap().unwrap();
    drop(log);
    for _ in 0..2 {
        let log = adapter.log();
        assert_eq!(log.durable_end(), 20_000);
        for i in (0..10_000).step_by(7) {
            let values: Vec<_> = whole_stream(&log, &name(i)).await.iter().map(number).collect();
            assert_eq!(values, [i, 10_000 + i]);
        }
        drop(log);
        adapter.reopen().await;
    }
}

/// Prefixes, letter case and separators make different streams.
pub async fn names_that_look_alike_are_different_streams(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    let long = "n".repeat(512);
    let names =
        ["a", "A", "a-", "-a", "a-b", "a-b-c", "a b", "ä", "a\u{308}", "%", "_", "'", &long, &long[1..]];
    for (value, name) in names.iter().enumerate() {
        log.append(one(&stream(name), Expected::NoStream, value as u64)).await.unwrap();
    }
    for (value, name) in names.iter().enumerate() {
        let values: Vec<_> = whole_stream(&log, &stream(name)).await.iter().map(number).collect();
        assert_eq!(values, [value as u64], "{name}");
    }
}
