//! New deliveries that are handed over before the tables show them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mainspring_eventlog::EventLog;
use mainspring_projections::{
    DeliveryFilter, FirstAttempts::All, Fresh, HandOver, Order, PAGE_BYTES, ReadModels, Runner,
};
use mainspring_schemas::DeliveryId;

use crate::{following::runtime, history::History, memory_log::MemoryLog};

const PATIENCE: Duration = Duration::from_secs(20);

/// Follows a log with somebody who takes over.
fn follow(dir: &std::path::Path, log: &Arc<MemoryLog>) -> (ReadModels, Fresh) {
    let (models, hand_over) = (ReadModels::open(dir).unwrap(), HandOver::default());
    let runner = Runner::start(log.clone(), models.clone(), Some(hand_over.clone())).unwrap();
    let fresh = runtime().block_on(async {
        assert!(models.wait_for(log.durable_end(), PATIENCE).await, "{:?}", models.status());
        hand_over.next().await
    });
    runner.stop();
    (models, fresh)
}

#[test]
fn ob_64_every_delivery_is_handed_over_as_the_tables_have_it_or_its_endpoint_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::of(&crate::following::steps(1_200));
    let log = MemoryLog::of(&history.records);
    let (models, fresh) = follow(dir.path(), &log);
    let rows = models.deliveries(&DeliveryFilter::default(), Order::Ascending, None, usize::MAX).unwrap();
    let handed: BTreeMap<DeliveryId, _> = fresh.deliveries.iter().map(|due| (due.id, due)).collect();
    assert!(handed.len() > 100, "{}", handed.len());
    for row in rows {
        let position = row.seq >> 20;
        match handed.get(&row.id) {
            Some(due) => {
                assert_eq!((due.seq, due.endpoint, due.message), (row.seq, row.endpoint, row.message));
                assert_eq!((&due.event_type, due.attempts, due.requeues), (&row.event_type, 0, 0));
            }
            // Nobody but the tables knows whether a recovery makes one, and whoever missed one misses the later ones.
            None => assert!(fresh.missed.get(&row.endpoint).is_some_and(|missed| *missed >= position)),
        }
    }
    assert!(fresh.deliveries.is_sorted_by_key(|due| due.seq), "in the order of the log");
    assert!(!fresh.erased.is_empty());
}

#[test]
fn what_is_handed_over_is_bounded_and_the_rest_is_named() {
    let mut history = History::of(&[]);
    let endpoint = history.add_endpoint(&["contact.*"], false);
    let other = history.add_endpoint(&["contact.*"], false);
    history.create(1);
    for spare in 0..3_000 {
        history.step((17, 0, u8::try_from(spare % 256).unwrap()));
    }
    let dir = tempfile::tempdir().unwrap();
    let log = MemoryLog::of(&history.records);
    let (_, fresh) = follow(dir.path(), &log);
    assert_eq!(fresh.deliveries.len(), 4_096);
    let last = log.durable_end() - 1;
    assert_eq!(fresh.missed, BTreeMap::from([(endpoint, last), (other, last)]));
}

#[test]
fn o_1_a_page_ends_when_its_bodies_are_large() {
    let mut history = History::of(&[]);
    let endpoint = history.add_endpoint(&["contact.*"], false);
    history.create(1);
    for spare in 0..200 {
        history.step((17, 0, spare));
    }
    let dir = tempfile::tempdir().unwrap();
    let log = MemoryLog::of(&history.records);
    let (models, _) = follow(dir.path(), &log);
    let all = models.first_attempts(endpoint, All, None, 1_000).unwrap();
    assert_eq!(all.len(), 200);
    // The same deliveries with bodies of 100 KiB.
    let connection = rusqlite::Connection::open(dir.path().join("read-models.sqlite")).unwrap();
    connection.execute("UPDATE delivery_bodies SET body = zeroblob(102400)", []).unwrap();
    let page = models.first_attempts(endpoint, All, None, 1_000).unwrap();
    assert_eq!(page.len(), PAGE_BYTES.div_ceil(102_400));
    let next = models.first_attempts(endpoint, All, page.last().map(|due| due.position()), 1_000).unwrap();
    assert_eq!(next[0].id, all[page.len()].id);
}
