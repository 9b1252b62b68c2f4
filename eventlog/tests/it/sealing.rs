//! A sealed log: what is personal stands nowhere on disk in clear, and is gone with its key.

use std::{path::Path, sync::Arc};

use mainspring_eventlog::{
    Append, AppendError, EventLog, Expected, LogError, NewRecord, Recorded, StreamAppend,
    embedded::{EmbeddedLog, Options},
    sealing::{DataKeys, SealedLog},
};
use mainspring_schemas::{
    ContactId, RecordId, StreamName, Timestamp,
    event::{
        ContactEvent,
        contact::{Created, Deleted, EventRecorded, Source},
    },
};
use uuid::Uuid;

const SECRET: &str = "ada.lovelace";

struct World {
    raw: Arc<EmbeddedLog>,
    keys: Arc<DataKeys>,
    log: SealedLog<EmbeddedLog>,
    directory: tempfile::TempDir,
}

fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let (raw, _) = EmbeddedLog::open(Options::new(directory.path().join("log"))).unwrap();
    let keys = Arc::new(DataKeys::open(&directory.path().join("keys/data-keys"), true).unwrap());
    World { log: SealedLog::new(Arc::clone(&raw), Arc::clone(&keys)), raw, keys, directory }
}

fn stream() -> StreamName {
    StreamName::contact(ContactId(Uuid::from_u128(1)))
}

fn event(name: &str) -> ContactEvent {
    ContactEvent::EventRecorded(EventRecorded {
        name: name.into(),
        occurred_at: Timestamp(1),
        at: Timestamp(2),
        properties: serde_json::from_value(serde_json::json!({ "who": SECRET })).unwrap(),
        source: Source::Api,
        idempotency: None,
    })
}

fn record(id: u128, event: &ContactEvent, key: Option<Uuid>) -> NewRecord {
    let encoded = event.encode().unwrap();
    NewRecord {
        id: RecordId(Uuid::from_u128(id)),
        event_type: encoded.event_type.into(),
        schema_version: encoded.schema_version,
        causation: None,
        trace: None,
        wake_at: None,
        definitions: 0,
        sealed_with: key,
        payload: encoded.payload.into(),
    }
}

async fn append(log: &dyn EventLog, records: Vec<NewRecord>) -> Result<(), AppendError> {
    let streams = vec![StreamAppend { stream: stream(), expected: Expected::Any, records }];
    log.append(Append { recorded_at: Timestamp(3), streams }).await.map(|_| ())
}

fn decoded(record: &Recorded) -> ContactEvent {
    ContactEvent::decode(&record.event_type, record.schema_version, &record.payload).unwrap()
}

fn holds(directory: &Path, needle: &str) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holds(&path, needle)
        } else {
            std::fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle.as_bytes())
        }
    })
}

#[tokio::test]
async fn what_is_personal_is_read_back_and_stands_nowhere_on_disk() {
    let world = world();
    let key = world.keys.create().unwrap();
    append(&world.log, vec![record(1, &event("signup"), Some(key))]).await.unwrap();
    let read = [
        world.log.read_stream(&stream(), 0, 9).await.unwrap(),
        world.log.read_stream_back(&stream(), None, 9).await.unwrap(),
        world.log.read_all(0, 9).await.unwrap(),
    ];
    for records in read {
        assert_eq!(decoded(&records[0]), event("signup"));
    }
    assert!(!holds(world.directory.path(), SECRET));
    assert!(!holds(world.directory.path(), "signup"));
}

#[tokio::test]
async fn without_its_key_a_record_still_says_what_and_when_but_not_who() {
    let world = world();
    let (key, other) = (world.keys.create().unwrap(), world.keys.create().unwrap());
    let kept = event("kept");
    append(&world.log, vec![record(1, &event("signup"), Some(key)), record(2, &kept, Some(other))])
        .await
        .unwrap();
    let before = world.raw.read_all(0, 9).await.unwrap();
    world.keys.destroy(&[key]).unwrap();
    let records = world.log.read_all(0, 9).await.unwrap();
    let ContactEvent::EventRecorded(blank) = decoded(&records[0]) else { panic!("another type") };
    assert_eq!((blank.name.as_str(), blank.properties.len()), ("", 0));
    assert_eq!((blank.at, blank.occurred_at, blank.source), (Timestamp(2), Timestamp(1), Source::Api));
    assert_eq!(decoded(&records[1]), kept);
    assert_eq!(world.raw.read_all(0, 9).await.unwrap(), before, "the log itself never changes");
}

#[tokio::test]
async fn nothing_personal_is_written_under_a_destroyed_key() {
    let world = world();
    let key = world.keys.create().unwrap();
    world.keys.destroy(&[key]).unwrap();
    append(&world.log, vec![record(1, &event("late"), Some(key))]).await.unwrap();
    let ContactEvent::EventRecorded(blank) = decoded(&world.log.read_all(0, 9).await.unwrap()[0]) else {
        panic!("another type")
    };
    assert_eq!(blank.name, "");
    assert!(!holds(world.directory.path(), SECRET));
}

#[tokio::test]
async fn events_without_anything_personal_are_stored_as_they_are() {
    let world = world();
    let key = world.keys.create().unwrap();
    let deleted = ContactEvent::Deleted(Deleted { at: Timestamp(1), reason: "deleted".into() });
    append(&world.log, vec![record(1, &deleted, Some(key))]).await.unwrap();
    let raw = &world.raw.read_all(0, 9).await.unwrap()[0];
    assert_eq!(raw.sealed_with, None);
    assert_eq!(decoded(raw), deleted);
}

#[tokio::test]
async fn keys_of_another_installation_are_an_error_never_an_erased_person() {
    let (world, other) = (world(), world());
    let key = world.keys.create().unwrap();
    let created = ContactEvent::Created(Created {
        at: Timestamp(1),
        keys: Vec::new(),
        properties: serde_json::from_value(serde_json::json!({ "who": SECRET })).unwrap(),
    });
    append(&world.log, vec![record(1, &created, Some(key))]).await.unwrap();
    let mistaken = SealedLog::new(Arc::clone(&world.raw), Arc::clone(&other.keys));
    assert!(matches!(mistaken.read_all(0, 9).await, Err(LogError::Unusable(_))));
    let refused = append(&mistaken, vec![record(2, &created, Some(key))]).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    assert_eq!(world.raw.durable_end(), 1, "a refused append leaves no trace");
}
