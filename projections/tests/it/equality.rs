//! Incremental, in one batch, rebuilt: the same rows (C4), and the rows the model expects.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use mainspring_eventlog::EventLog;
use mainspring_projections::{
    ContactFilter, ContactOrder, DeliveryFilter, Order, Projection, ReadModels, Selection, StayStatus,
    TableDigest, digest, rebuild, verify,
};
use mainspring_schemas::identity::KeyKind;
use proptest::prelude::*;
use rusqlite::Connection;

use crate::{
    following::{follow, steps},
    history::{History, Step},
    memory_log::MemoryLog,
};

fn as_log(log: &Arc<MemoryLog>) -> Arc<dyn EventLog> {
    log.clone()
}

/// Compares digests and names the tables that differ.
pub fn assert_equal(found: &[TableDigest], expected: &[TableDigest], what: &str) {
    let differ: Vec<_> = found.iter().zip(expected).filter(|(found, expected)| found != expected).collect();
    assert!(differ.is_empty() && found.len() == expected.len(), "{what}: {differ:#?}");
}

/// Everything the model knows, asked of the read models.
fn check_against_model(read_models: &ReadModels, history: &History) {
    let live = history.contacts.iter().filter(|contact| contact.live).count();
    assert_eq!(read_models.contact_total().unwrap(), live as u64);
    let ids = read_models.contact_ids_after(None, usize::MAX).unwrap();
    assert!(ids.iter().copied().eq(history.live_ids()));
    assert!(read_models.deleted_after(None, usize::MAX).unwrap().into_iter().eq(history.graces()));
    for expected in &history.contacts {
        let found = read_models.contact(expected.id).unwrap();
        assert_eq!(found.is_some(), expected.live);
        let Some(found) = found else { continue };
        assert_eq!(found.external_id, expected.primary(KeyKind::External));
        assert_eq!(found.email, expected.primary(KeyKind::Email));
        assert_eq!(found.discord_id, expected.primary(KeyKind::Discord));
        assert_eq!(found.anonymous_id, expected.primary(KeyKind::Anonymous));
        assert_eq!(found.properties, expected.properties);
        assert_eq!(found.first_seen_at, expected.first_seen_at);
        assert_eq!(found.last_seen_at, expected.last_seen_at);
        assert_eq!(found.updated_at, expected.updated_at);
        assert_eq!(found.wake_at, expected.wake_at);
        assert_eq!(found.version, expected.version);
        let keys: BTreeMap<_, _> = read_models
            .contact_keys(expected.id)
            .unwrap()
            .into_iter()
            .map(|key| ((key.kind, key.value), key.primary))
            .collect();
        assert_eq!(keys, expected.keys);
    }
    let listed = read_models.contacts(&ContactFilter::default(), ContactOrder::LastSeen, 1000, 0).unwrap();
    assert_eq!(listed.len(), live);
    assert!(listed.is_sorted_by_key(|contact| (std::cmp::Reverse(contact.last_seen_at), contact.id)));

    for (id, expected) in &history.stays {
        let found = read_models.stay(*id).unwrap().unwrap();
        assert_eq!(found.contact, expected.contact);
        assert_eq!((&found.bucket, found.entry_count), (&expected.bucket, expected.epoch));
        assert_eq!((found.entered_at, found.left_at), (expected.entered_at, expected.left_at));
        let status = if expected.left_at.is_some() { StayStatus::Left } else { StayStatus::Active };
        assert_eq!(found.status, status);
    }
    for (id, expected) in &history.deliveries {
        let found = read_models.delivery(*id).unwrap().unwrap().delivery;
        assert_eq!(found.status.as_str(), expected.status);
        assert_eq!((found.endpoint, found.attempts), (expected.endpoint, expected.attempts));
        assert_eq!(found.replay, expected.replay, "OC-93");
    }
    let all = read_models.deliveries(&DeliveryFilter::default(), Order::Ascending, None, usize::MAX).unwrap();
    assert!(
        all.iter().map(|delivery| delivery.id).eq(history.order.iter().copied()),
        "log order, nothing else"
    );
}

/// The kept figures are what counting gives.
fn check_figures(dir: &Path) {
    let connection = Connection::open(dir.join("read-models.sqlite")).unwrap();
    let same = |kept: &str, counted: &str| {
        let sql = format!("SELECT count(*) FROM (SELECT * FROM ({kept}) EXCEPT SELECT * FROM ({counted}))");
        let left: i64 = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
        let sql = format!("SELECT count(*) FROM (SELECT * FROM ({counted}) EXCEPT SELECT * FROM ({kept}))");
        let right: i64 = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!((left, right), (0, 0), "{kept}");
    };
    same(
        "SELECT bucket, entered, ended, ended_millis, active_since_sum FROM bucket_figures WHERE entered > 0",
        "SELECT bucket, count(*), count(left_at), coalesce(sum(left_at - entered_at), 0),
                sum(CASE WHEN left_at IS NULL THEN entered_at ELSE 0 END) FROM stays GROUP BY bucket",
    );
    same(
        "SELECT bucket, day, entered, ended FROM bucket_days",
        "SELECT bucket, day, sum(entered), sum(ended) FROM (
             SELECT bucket, entered_at / 86400000 AS day, 1 AS entered, 0 AS ended FROM stays UNION ALL
             SELECT bucket, left_at / 86400000, 0, 1 FROM stays WHERE left_at IS NOT NULL) GROUP BY bucket, day",
    );
    same(
        "SELECT endpoint, status, amount FROM delivery_counts WHERE amount > 0",
        "SELECT endpoint, status, count(*) FROM deliveries GROUP BY endpoint, status",
    );
    same("SELECT amount FROM contact_totals", "SELECT count(*) FROM contacts");
}

fn check(steps: &[Step], cut: usize) {
    compare(&History::of(steps), cut);
}

fn compare(history: &History, cut: usize) {
    let cut = cut.min(history.records.len());
    let whole = tempfile::tempdir().unwrap();
    let log = MemoryLog::of(&history.records);
    let read_models = follow(whole.path(), &log);
    check_against_model(&read_models, history);
    check_figures(whole.path());
    drop(read_models);
    let expected = digest(whole.path()).unwrap();

    let parts = tempfile::tempdir().unwrap();
    let growing = MemoryLog::of(&history.records[..cut]);
    follow(parts.path(), &growing);
    growing.push(&history.records[cut..]);
    follow(parts.path(), &growing);
    assert_equal(&digest(parts.path()).unwrap(), &expected, "incremental");

    let report = rebuild(&as_log(&log), parts.path(), &Selection::All, &mut |_| {}).unwrap();
    assert_eq!(report.records, log.durable_end());
    assert_equal(&digest(parts.path()).unwrap(), &expected, "rebuilt");
    assert_eq!(verify(&as_log(&log), parts.path(), &mut |_| {}).unwrap(), []);

    // GD-03: made anew when nobody can read the erased any more.
    let blank = MemoryLog::of(&history.without_keys());
    rebuild(&as_log(&blank), parts.path(), &Selection::All, &mut |_| {}).unwrap();
    assert_equal(&digest(parts.path()).unwrap(), &expected, "without the keys of the erased");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn c_4_incremental_one_batch_and_rebuild_are_equal(
        steps in prop::collection::vec(any::<Step>(), 1..160),
        cut in 0_usize..200,
    ) {
        check(&steps, cut);
    }
}

/// More in long runs: `MAINSPRING_CASES=1000`.
fn cases() -> u32 {
    std::env::var("MAINSPRING_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(40)
}

#[test]
fn c_4_a_long_history() {
    check(&steps(4000), 1234);
}

#[test]
fn one_projection_is_rebuilt_into_the_live_file() {
    let history = History::of(&steps(600));
    let dir = tempfile::tempdir().unwrap();
    let log = MemoryLog::of(&history.records);
    follow(dir.path(), &log);
    let expected = digest(dir.path()).unwrap();
    for projection in Projection::ALL {
        let connection = Connection::open(dir.path().join("read-models.sqlite")).unwrap();
        let table = expected.iter().find(|digest| digest.projection == projection).unwrap().table;
        connection.execute_batch(&format!("DELETE FROM {table}")).unwrap();
        drop(connection);
        assert_ne!(digest(dir.path()).unwrap(), expected);
        rebuild(&as_log(&log), dir.path(), &Selection::Some(vec![projection]), &mut |_| {}).unwrap();
        assert_eq!(digest(dir.path()).unwrap(), expected, "{projection:?}");
    }
}

#[test]
fn another_schema_version_is_replayed_before_the_log_is_followed() {
    let history = History::of(&steps(600));
    let dir = tempfile::tempdir().unwrap();
    let log = MemoryLog::of(&history.records);
    follow(dir.path(), &log);
    let expected = digest(dir.path()).unwrap();
    let connection = Connection::open(dir.path().join("read-models.sqlite")).unwrap();
    connection
        .execute_batch(
            "UPDATE checkpoints SET schema_version = 0 WHERE projection IN ('memberships', 'delivery_queue');
             DELETE FROM stays; ALTER TABLE deliveries RENAME COLUMN status TO state;",
        )
        .unwrap();
    drop(connection);
    follow(dir.path(), &log);
    assert_eq!(digest(dir.path()).unwrap(), expected);
}

#[test]
fn an_interrupted_rebuild_leaves_the_live_read_models_alone() {
    let history = History::of(&steps(600));
    let dir = tempfile::tempdir().unwrap();
    let log = MemoryLog::of(&history.records);
    follow(dir.path(), &log);
    let expected = digest(dir.path()).unwrap();
    log.break_from(Some(300));
    assert!(rebuild(&as_log(&log), dir.path(), &Selection::All, &mut |_| {}).is_err());
    assert_eq!(digest(dir.path()).unwrap(), expected);
    log.break_from(None);
    // What the first run left behind does not matter.
    rebuild(&as_log(&log), dir.path(), &Selection::All, &mut |_| {}).unwrap();
    assert_eq!(digest(dir.path()).unwrap(), expected);
}

#[test]
fn a_damaged_file_is_replaced() {
    let history = History::of(&steps(100));
    let dir = tempfile::tempdir().unwrap();
    let log = MemoryLog::of(&history.records);
    follow(dir.path(), &log);
    let expected = digest(dir.path()).unwrap();
    std::fs::write(dir.path().join("read-models.sqlite"), vec![0x5a; 9000]).unwrap();
    rebuild(&as_log(&log), dir.path(), &Selection::All, &mut |_| {}).unwrap();
    assert_eq!(digest(dir.path()).unwrap(), expected);
}

#[test]
fn ob_163_what_is_told_of_an_end_outlives_the_erasure_and_needs_no_key() {
    let mut history = History::of(&[]);
    history.create(1);
    history.step((17, 0, 0));
    let endpoint = history.add_endpoint(&["contact.deleted"], false);
    // A message that the endpoint had missed: its envelope stands sealed in the record, with no instant to read.
    history.recover(endpoint, 3);
    history.delete(0, 0);
    assert!(history.deliveries.values().all(|delivery| delivery.status == "pending"));
    assert_eq!(history.deliveries.len(), 2, "the recovered one, and what the erasure itself says");
    compare(&history, 3);
}
