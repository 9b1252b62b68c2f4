//! What sealing and opening one event cost, beside what encoding and decoding it cost anyway, and beside what the cipher
//! alone costs.
//!
//! ```text
//! cargo bench -p mainspring-eventlog --bench sealing
//! ```
//!
//! The log below [`SealedLog`] keeps only the newest append and gives its record many times over, so `clear` is the price
//! of the measuring itself.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::{hint::black_box, sync::Arc};

use async_trait::async_trait;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mainspring_eventlog::{
    Append, Appended, EventLog, Expected, LogError, NewRecord, OnDurable, Position, Recorded, StreamAppend,
    Version,
    sealing::{DataKeys, SealedLog},
};
use mainspring_schemas::{
    ContactId, RecordId, StreamName, Timestamp,
    event::{
        ContactEvent,
        contact::{EventRecorded, Source},
    },
};
use parking_lot::Mutex;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use uuid::Uuid;

/// Records given per read, as projections read them.
const READ: usize = 100;

/// Keeps the last record it was given, and gives it [`READ`] times.
#[derive(Default)]
struct Newest(Mutex<Option<Recorded>>);

impl Newest {
    fn give(&self) -> Vec<Recorded> {
        self.0.lock().iter().cycle().take(READ).cloned().collect()
    }
}

#[async_trait]
impl EventLog for Newest {
    fn submit(&self, append: Append, on_durable: OnDurable) {
        let streams = append.streams.into_iter();
        let mut records =
            streams.flat_map(|part| part.records.into_iter().map(move |new| (part.stream.clone(), new)));
        *self.0.lock() = records.next().map(|(stream, new)| Recorded {
            position: 0,
            stream,
            version: 0,
            recorded_at: append.recorded_at,
            id: new.id,
            event_type: new.event_type,
            schema_version: new.schema_version,
            causation: new.causation,
            trace: new.trace,
            wake_at: new.wake_at,
            definitions: new.definitions,
            sealed_with: new.sealed_with,
            payload: new.payload,
        });
        on_durable(Ok(Appended { first_position: 0, last_position: 0 }));
    }

    fn atomic_streams(&self) -> bool {
        true
    }

    async fn read_stream(&self, _: &StreamName, _: Version, _: usize) -> Result<Vec<Recorded>, LogError> {
        Ok(self.give())
    }

    async fn read_stream_back(
        &self,
        _: &StreamName,
        _: Option<Version>,
        _: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        Ok(self.give())
    }

    async fn read_all(&self, _: Position, _: usize) -> Result<Vec<Recorded>, LogError> {
        Ok(self.give())
    }

    fn durable_end(&self) -> Position {
        1
    }

    async fn wait_past(&self, _: Position) {}

    fn health(&self) -> Result<(), Arc<str>> {
        Ok(())
    }
}

/// An event of about three hundred bytes, encoded.
fn event() -> ContactEvent {
    let properties = serde_json::json!({
        "orderId": "ord_01HZY3M6Q2W8K4", "total": 129.9, "currency": "EUR", "coupon": null,
        "items": [{"sku": "A-1001", "quantity": 2, "price": 49.95}, {"sku": "B-77", "quantity": 1, "price": 30}],
        "shipping": {"country": "DE", "city": "Leipzig", "express": true},
    });
    ContactEvent::EventRecorded(EventRecorded {
        name: "order.placed".into(),
        occurred_at: Timestamp(1_780_272_000_000),
        at: Timestamp(1_780_272_000_005),
        properties: properties.as_object().cloned().unwrap_or_default(),
        source: Source::Api,
        idempotency: None,
    })
}

fn append(key: Option<Uuid>) -> Append {
    let encoded = event().encode().unwrap();
    let record = NewRecord {
        id: RecordId(Uuid::from_u128(7)),
        event_type: encoded.event_type.into(),
        schema_version: encoded.schema_version,
        causation: None,
        trace: None,
        wake_at: None,
        definitions: 1,
        sealed_with: key,
        payload: encoded.payload.into(),
    };
    let stream = StreamName::contact(ContactId(Uuid::from_u128(1)));
    Append {
        recorded_at: Timestamp(1_780_272_000_005),
        streams: vec![StreamAppend { stream, expected: Expected::Any, records: vec![record] }],
    }
}

fn sealing(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let keys = Arc::new(DataKeys::open(&directory.path().join("data-keys"), true).unwrap());
    let key = keys.create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let event = event();
    let encoded = event.encode().unwrap();
    criterion
        .bench_function("encode an event", |bencher| bencher.iter(|| black_box(&event).encode().unwrap()));
    criterion.bench_function("decode an event", |bencher| {
        bencher.iter(|| {
            ContactEvent::decode(encoded.event_type, encoded.schema_version, black_box(&encoded.payload))
                .unwrap()
        });
    });
    let cipher = UnboundKey::new(&AES_256_GCM, &[7; 32]).map(LessSafeKey::new).unwrap();
    let mut bytes = encoded.payload.clone();
    criterion.bench_function("cipher alone", |bencher| {
        bencher.iter(|| {
            let nonce = Nonce::assume_unique_for_key([1; NONCE_LEN]);
            cipher.seal_in_place_separate_tag(nonce, Aad::empty(), black_box(&mut bytes)).unwrap()
        });
    });
    for (name, key) in [("clear", None), ("sealed", Some(key))] {
        let log = SealedLog::new(Arc::new(Newest::default()), Arc::clone(&keys));
        let append = append(key);
        criterion.bench_function(&format!("submit one record, {name}"), |bencher| {
            bencher.iter_batched(
                || append.clone(),
                |append| log.submit(append, Box::new(|done| assert!(done.is_ok()))),
                BatchSize::SmallInput,
            );
        });
        criterion.bench_function(&format!("read {READ} records, {name}"), |bencher| {
            bencher.iter(|| runtime.block_on(log.read_all(0, READ)).unwrap());
        });
    }
}

criterion_group!(benches, sealing);
criterion_main!(benches);
