//! Snapshots may be lost, but what is loaded is what was saved last.

use mainspring_eventlog::{Snapshot, SnapshotStore, embedded::SqliteSnapshots};
use mainspring_schemas::StreamName;

fn snapshot(version: u64) -> Snapshot {
    Snapshot { version, schema_version: 3, payload: vec![version as u8; 100] }
}

#[tokio::test]
async fn a_load_sees_every_save_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteSnapshots::open(directory.path().join("snapshots.sqlite")).unwrap();
    let name = |i: u64| StreamName::new(format!("contact-{i}"));
    for version in 0..500 {
        store.save(&name(version % 7), snapshot(version));
        assert_eq!(store.load(&name(version % 7)).await.unwrap(), Some(snapshot(version)));
    }
    assert_eq!(store.load(&name(99)).await.unwrap(), None);
}

#[tokio::test]
async fn saves_survive_reopening_once_flushed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("snapshots.sqlite");
    let name = StreamName::new("contact-1");
    let store = SqliteSnapshots::open(&path).unwrap();
    store.flush().await;
    for version in [4, 9, 2] {
        store.save(&name, snapshot(version));
        store.flush().await;
    }
    assert_eq!(
        store.load(&name).await.unwrap(),
        Some(snapshot(9)),
        "an older snapshot never replaces a newer one"
    );
    drop(store);
    let store = SqliteSnapshots::open(&path).unwrap();
    assert_eq!(store.load(&name).await.unwrap(), Some(snapshot(9)));
    store.remove(&name);
    assert_eq!(store.load(&name).await.unwrap(), None);
    store.save(&name, snapshot(1));
    store.flush().await;
    assert_eq!(store.load(&name).await.unwrap(), Some(snapshot(1)), "after removal any version is newer");
}

#[tokio::test]
async fn an_unusable_file_is_replaced_by_an_empty_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("snapshots.sqlite");
    std::fs::write(&path, vec![b'x'; 10_000]).unwrap();
    let store = SqliteSnapshots::open(&path).unwrap();
    let name = StreamName::new("contact-1");
    assert_eq!(store.load(&name).await.unwrap(), None);
    store.save(&name, snapshot(1));
    store.flush().await;
    assert_eq!(store.load(&name).await.unwrap(), Some(snapshot(1)));
}

#[tokio::test]
async fn a_row_that_was_changed_counts_as_lost() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("snapshots.sqlite");
    let name = StreamName::new("contact-1");
    let store = SqliteSnapshots::open(&path).unwrap();
    store.save(&name, snapshot(5));
    store.flush().await;
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute("UPDATE snapshots SET payload = x'00'", []).unwrap();
    assert_eq!(store.load(&name).await.unwrap(), None);
}
