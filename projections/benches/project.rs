//! How fast read models are made, beside a bare scan that only decodes.
//!
//! ```text
//! cargo bench -p mainspring-projections --bench project [-- <records> <contacts>]
//! ```
//!
//! Prints: the scan, a rebuild, their ratio; then what following 40,000 events/s costs the runner's thread. The history
//! is what a busy product writes: events of random contacts, some changes of properties, joins and leaves, a webhook
//! for every announced one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, or stops"
)]

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use compact_str::format_compact;
use mainspring_eventlog::{Append, AppendError, EventLog, LogError, OnDurable, Position, Recorded, Version};
use mainspring_projections::{ReadModels, Runner, Selection, digest, rebuild};
use mainspring_schemas::{
    BucketId, ContactId, EndpointId, RecordId, StayId, StreamName, Timestamp,
    codec::{self, Encoded},
    event::{
        ContactEvent, EndpointEvent, IdentityEvent,
        contact::{
            AttachedKey, BucketEntered, BucketLeft, Created, EventRecorded, LeaveReason, PropertiesChanged,
            Source, TransitionSource, Via,
        },
        endpoint::{EndpointCreated, EndpointSettings},
        identity::Claimed,
    },
    identity::KeyKind,
};
use parking_lot::RwLock;
use serde_json::json;
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A log in memory that shows the records below a mark.
struct Visible {
    records: Vec<Recorded>,
    end: RwLock<Position>,
    grown: tokio::sync::Notify,
}

impl Visible {
    fn show(&self, end: usize) {
        *self.end.write() = end.min(self.records.len()) as Position;
        self.grown.notify_waiters();
    }
}

#[async_trait]
impl EventLog for Visible {
    fn submit(&self, _append: Append, on_durable: OnDurable) {
        on_durable(Err(AppendError::Refused("read-only")));
    }

    fn atomic_streams(&self) -> bool {
        false
    }

    async fn read_stream(&self, _: &StreamName, _: Version, _: usize) -> Result<Vec<Recorded>, LogError> {
        Ok(Vec::new())
    }

    async fn read_stream_back(
        &self,
        _: &StreamName,
        _: Option<Version>,
        _: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        Ok(Vec::new())
    }

    async fn read_all(&self, from: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let end = self.durable_end().min(from + limit as Position);
        Ok(self.records[from as usize..end as usize].to_vec())
    }

    fn durable_end(&self) -> Position {
        *self.end.read()
    }

    async fn wait_past(&self, position: Position) {
        loop {
            let grown = self.grown.notified();
            if self.durable_end() > position {
                return;
            }
            grown.await;
        }
    }

    fn health(&self) -> Result<(), Arc<str>> {
        Ok(())
    }
}

struct Generator {
    records: Vec<Recorded>,
    versions: HashMap<StreamName, Version>,
    seed: u64,
    now: i64,
}

impl Generator {
    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    fn append(&mut self, stream: StreamName, encoded: Encoded, wake_at: Option<Timestamp>) {
        let position = self.records.len() as Position;
        let version = self.versions.entry(stream.clone()).or_default();
        self.records.push(Recorded {
            position,
            stream,
            version: *version,
            recorded_at: Timestamp(self.now),
            id: RecordId(Uuid::from_u128(u128::from(position) << 64 | 0x7000)),
            event_type: encoded.event_type.into(),
            schema_version: 1,
            causation: None,
            trace: None,
            wake_at,
            definitions: 1,
            sealed_with: None,
            payload: Bytes::from(encoded.payload),
        });
        *version += 1;
    }

    fn contact(&mut self, contact: ContactId, event: &ContactEvent) {
        let wake = (self.random(4) == 0).then(|| Timestamp(self.now + 86_400_000));
        self.append(StreamName::contact(contact), event.encode().unwrap(), wake);
    }

    fn generate(count: usize, contacts: usize) -> Vec<Recorded> {
        let mut history = Self {
            records: Vec::with_capacity(count + 8),
            versions: HashMap::new(),
            seed: 0x2545_f491_4f6c_dd1d,
            now: 1_780_000_000_000,
        };
        let endpoint = EndpointId(Uuid::from_u128(0xe));
        let settings = EndpointSettings {
            url: "https://example.com".to_owned(),
            description: None,
            event_types: vec!["bucket.*".to_owned()],
            kind: "webhook".to_owned(),
            ..EndpointSettings::default()
        };
        let created = EndpointCreated { at: Timestamp(history.now), settings, secret: None, disabled: false };
        history.append(
            StreamName::endpoint(endpoint),
            EndpointEvent::Created(created).encode().unwrap(),
            None,
        );
        let mut ids: Vec<ContactId> = Vec::with_capacity(contacts);
        let mut stays: HashMap<ContactId, (StayId, u32, Option<Timestamp>)> = HashMap::new();
        // Newcomers are spread over the first half, so that both an empty and a full product are in it.
        let every = (count / 2 / contacts).max(3);
        while history.records.len() < count {
            history.now += 1;
            let at = Timestamp(history.now);
            if ids.is_empty() || (ids.len() < contacts && history.records.len() / every >= ids.len()) {
                let number = ids.len() as u128;
                let id = ContactId(Uuid::from_u128(
                    0x18f << 116 | number << 70 | u128::from(history.random(1 << 60)),
                ));
                let keys = [
                    (KeyKind::External, format_compact!("user-{number}")),
                    (KeyKind::Email, format_compact!("user{number}@example.com")),
                ];
                let keys: Vec<AttachedKey> = keys
                    .into_iter()
                    .map(|(kind, value)| AttachedKey { kind, value, primary: true, via: Via::Created })
                    .collect();
                for key in &keys {
                    let digest = (u128::from(history.random(u64::MAX)) << 64 | number).to_be_bytes();
                    let claimed = IdentityEvent::Claimed(Claimed { at, contact: id });
                    history.append(
                        StreamName::identity(key.kind.as_str(), &digest),
                        claimed.encode().unwrap(),
                        None,
                    );
                }
                let properties =
                    json!({"plan": "free", "country": "DE", "n": number as u64}).as_object().unwrap().clone();
                history.contact(id, &ContactEvent::Created(Created { at, keys, properties }));
                ids.push(id);
                continue;
            }
            let id = ids[history.random(ids.len() as u64) as usize];
            match history.random(100) {
                0..=4 => {
                    let set =
                        json!({"score": history.random(100), "plan": "pro"}).as_object().unwrap().clone();
                    let event = PropertiesChanged { at, set, removed: Vec::new(), by_bucket: false };
                    history.contact(id, &ContactEvent::PropertiesChanged(event));
                }
                5..=7 => {
                    let bucket = BucketId::new("power-users").unwrap();
                    let (stay, epoch, since) =
                        stays.get(&id).copied().unwrap_or((StayId(Uuid::nil()), 0, None));
                    match since {
                        None => {
                            let (stay, epoch) = (StayId::of(id, &bucket, epoch + 1), epoch + 1);
                            stays.insert(id, (stay, epoch, Some(at)));
                            history.contact(
                                id,
                                &ContactEvent::BucketEntered(BucketEntered {
                                    at,
                                    bucket,
                                    bucket_name: "Power users".to_owned(),
                                    stay,
                                    epoch,
                                    source: TransitionSource::Event,
                                    announced: true,
                                    max_dwell_at: None,
                                    dwell_anchor_at: None,
                                    user_key: "user-1".into(),
                                    email: Some("user1@example.com".into()),
                                }),
                            );
                        }
                        Some(entered_at) => {
                            stays.insert(id, (stay, epoch, None));
                            history.contact(
                                id,
                                &ContactEvent::BucketLeft(BucketLeft {
                                    at,
                                    bucket,
                                    bucket_name: "Power users".to_owned(),
                                    stay,
                                    epoch,
                                    entered_at,
                                    source: TransitionSource::Reconcile,
                                    reason: LeaveReason::Criteria,
                                    announced: true,
                                    user_key: "user-1".into(),
                                    email: Some("user1@example.com".into()),
                                }),
                            );
                        }
                    }
                }
                _ => {
                    let properties = json!({"screen": "home", "duration": 12, "version": "4.2.1"});
                    history.contact(
                        id,
                        &ContactEvent::EventRecorded(EventRecorded {
                            name: "app.opened".into(),
                            occurred_at: at,
                            at,
                            properties: properties.as_object().unwrap().clone(),
                            source: Source::Api,
                            idempotency: None,
                        }),
                    );
                }
            }
        }
        history.records
    }
}

/// CPU seconds of this process's thread of a name.
fn thread_seconds(name: &str) -> f64 {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok())
        .filter_map(|stat| {
            let (head, tail) = stat.rsplit_once(')')?;
            head.ends_with(&format!("({name}")).then_some(())?;
            let ticks: Vec<f64> =
                tail.split_whitespace().skip(11).take(2).filter_map(|t| t.parse().ok()).collect();
            Some(ticks.iter().sum::<f64>() / 100.0)
        })
        .sum()
}

fn per_second(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let count = numbers.first().copied().unwrap_or(2_000_000);
    let contacts = numbers.get(1).copied().unwrap_or(200_000);
    let log = Arc::new(Visible {
        records: Generator::generate(count, contacts),
        end: RwLock::new(0),
        grown: tokio::sync::Notify::new(),
    });
    let count = log.records.len();
    log.show(count);
    let dynamic: Arc<dyn EventLog> = log.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();

    let began = Instant::now();
    let (mut next, mut decoded) = (0, 0);
    while next < count as Position {
        let records = runtime.block_on(dynamic.read_all(next, 2048)).unwrap();
        next += records.len() as Position;
        for record in records {
            let event =
                codec::decode(&record.stream, &record.event_type, record.schema_version, &record.payload);
            decoded += usize::from(std::hint::black_box(event).is_ok());
        }
    }
    assert_eq!(decoded, count);
    let scan = per_second(count, began.elapsed());
    println!("bare scan with decoding  {scan:>10.0} records/s");

    let dir = tempfile::tempdir().unwrap();
    let report = rebuild(&dynamic, dir.path(), &Selection::All, &mut |_| {}).unwrap();
    println!(
        "rebuild                  {:>10.0} records/s, {:.2} of the scan, {count} records",
        report.rate(),
        report.rate() / scan
    );
    let size = std::fs::metadata(dir.path().join("read-models.sqlite")).unwrap().len();
    println!("size                     {:>10.1} MiB", size as f64 / f64::from(1 << 20));
    let expected = (count < 3_000_000).then(|| digest(dir.path()).unwrap());

    let dir = tempfile::tempdir().unwrap();
    let most = count - (400_000).min(count / 2);
    log.show(most);
    let read_models = ReadModels::open(dir.path()).unwrap();
    let began = Instant::now();
    let runner = Runner::start(dynamic.clone(), read_models.clone(), None).unwrap();
    let patience = Duration::from_secs(600);
    assert!(runtime.block_on(read_models.wait_for(most as Position, patience)));
    println!("runner, catching up      {:>10.0} records/s", per_second(most, began.elapsed()));

    let (cpu, began) = (thread_seconds("read-models"), Instant::now());
    let (mut shown, mut lags) = (most, Vec::new());
    while shown < count {
        let due = most + (began.elapsed().as_secs_f64() * 40_000.0) as usize;
        if due > shown {
            shown = due.min(count);
            log.show(shown);
        }
        lags.push(shown - (read_models.position() as usize).min(shown));
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(runtime.block_on(read_models.wait_for(count as Position, patience)));
    let seconds = began.elapsed().as_secs_f64();
    let used = thread_seconds("read-models") - cpu;
    lags.sort_unstable();
    let lag = |q: f64| lags[((lags.len() - 1) as f64 * q) as usize] as f64 / 40.0;
    println!(
        "runner at 40,000/s       {:>9.0}% of a core, {:.2} us/record, lag p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms",
        used / seconds * 100.0,
        used / (count - most) as f64 * 1e6,
        lag(0.5),
        lag(0.99),
        lag(1.0)
    );
    runner.stop();
    if let Some(expected) = expected {
        assert!(digest(dir.path()).unwrap() == expected, "followed and rebuilt are equal");
    }
}
