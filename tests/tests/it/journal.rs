//! The log as it lies on disk, read without the server.

use std::{path::Path, sync::Arc};

use mainspring_eventlog::{
    EventLog, Recorded,
    embedded::{EmbeddedLog, Options},
    sealing::{DataKeys, SealedLog},
};
use mainspring_schemas::{codec, event::DomainEvent};

/// A record with its meaning.
pub struct Entry {
    pub record: Recorded,
    pub event: DomainEvent,
}

/// Everything in the log of a data directory that no process holds.
pub async fn read(data: &Path) -> Vec<Entry> {
    let (raw, _) = EmbeddedLog::open(Options::new(data.join("log"))).unwrap();
    let keys = DataKeys::open(&data.join("secrets/data-keys"), false).unwrap();
    let log = SealedLog::new(Arc::clone(&raw), Arc::new(keys));
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let batch = log.read_all(entries.len() as u64, 10_000).await.unwrap();
        if batch.is_empty() {
            break;
        }
        for record in batch {
            assert_eq!(record.position, entries.len() as u64, "positions have no gap");
            let event =
                codec::decode(&record.stream, &record.event_type, record.schema_version, &record.payload);
            entries.push(Entry { event: event.unwrap(), record });
        }
    }
    raw.close();
    entries
}
