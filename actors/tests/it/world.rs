//! A whole engine over a real log in a temporary directory. The read models are replaced by the slowest thing that is
//! obviously right: reading the whole log at every question.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mainspring_actors::{
    Clock, Engine, Options,
    api::{Identity, IngestCall},
    contact::Policy,
    population::{Population, PopulationError},
};
use mainspring_eventlog::{
    Append, AppendError, EventLog, LogError, OnDurable, Position, Recorded, SnapshotStore, Version,
    embedded::{EmbeddedLog, Options as LogOptions, SqliteSnapshots},
    sealing::{DataKeys, SealedLog},
};
use mainspring_schemas::{
    BucketId, ContactId, EndpointId, Properties, StreamName, Timestamp,
    definition::BucketDefinition,
    event::{ContactEvent, contact::Source},
    identity::{IdentityKey, KeyKind},
};
use parking_lot::Mutex;

/// A clock that only tests move.
pub struct TestClock {
    now: AtomicI64,
    /// Whether timers are waited for all the same; otherwise the test advances the engine.
    live: bool,
}

impl TestClock {
    pub fn at(now: i64) -> Arc<Self> {
        Arc::new(Self { now: AtomicI64::new(now), live: true })
    }

    pub fn by_hand(now: i64) -> Arc<Self> {
        Arc::new(Self { now: AtomicI64::new(now), live: false })
    }

    pub fn set(&self, now: i64) {
        self.now.store(now, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn is_live(&self) -> bool {
        self.live
    }
}

/// Everything in a log.
pub async fn records(log: &dyn EventLog) -> Vec<Recorded> {
    let mut all = Vec::new();
    loop {
        let page = log.read_all(all.len() as u64, 10_000).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// The events of one contact, in order.
pub async fn history(log: &dyn EventLog, contact: ContactId) -> Vec<ContactEvent> {
    records(log)
        .await
        .iter()
        .filter(|record| record.stream.contact_id() == Some(contact))
        .map(|record| {
            ContactEvent::decode(&record.event_type, record.schema_version, &record.payload).unwrap()
        })
        .collect()
}

struct WholeLog(Arc<dyn EventLog>, Arc<Faults>);

impl WholeLog {
    async fn live(&self) -> BTreeMap<ContactId, Option<Timestamp>> {
        let mut live = BTreeMap::new();
        for record in records(&*self.0).await {
            let Some(contact) = record.stream.contact_id() else { continue };
            match record.event_type.as_str() {
                "contact.merged-into" | "contact.deleted" => drop(live.remove(&contact)),
                _ => drop(live.insert(contact, record.wake_at)),
            }
        }
        live
    }

    async fn deleted(&self) -> BTreeSet<(Timestamp, ContactId)> {
        let mut deleted = BTreeMap::new();
        for record in records(&*self.0).await {
            let Some(contact) = record.stream.contact_id() else { continue };
            match ContactEvent::decode(&record.event_type, record.schema_version, &record.payload) {
                Ok(ContactEvent::Deleted(event)) if !event.erases() => {
                    deleted.insert(contact, event.at);
                }
                Ok(ContactEvent::Erased(_) | ContactEvent::Restored(_)) => {
                    deleted.remove(&contact);
                }
                _ => {}
            }
        }
        deleted.into_iter().map(|(contact, at)| (at, contact)).collect()
    }

    async fn keys_of(&self, category: &str) -> BTreeSet<String> {
        let records = records(&*self.0).await;
        let named = records.iter().filter(|record| record.stream.category() == category);
        named.map(|record| record.stream.key().to_owned()).collect()
    }
}

#[async_trait]
impl Population for WholeLog {
    async fn reached(&self, _: Position) -> Result<(), PopulationError> {
        Ok(())
    }

    async fn contacts(&self) -> Result<u64, PopulationError> {
        Ok(self.live().await.len() as u64)
    }

    async fn contacts_after(
        &self,
        after: Option<ContactId>,
        limit: usize,
    ) -> Result<Vec<ContactId>, PopulationError> {
        let live = self.live().await;
        Ok(live.into_keys().filter(|id| after.is_none_or(|after| *id > after)).take(limit).collect())
    }

    async fn due_wakes(
        &self,
        after: Option<(Timestamp, ContactId)>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Timestamp, ContactId)>, PopulationError> {
        if Faults::strikes(&self.1.wakes) {
            return Err(PopulationError("a fault".into()));
        }
        let live = self.live().await;
        let due: BTreeSet<_> = live.into_iter().filter_map(|(id, at)| Some((at?, id))).collect();
        Ok(due
            .into_iter()
            .filter(|item| item.0 <= until && after.is_none_or(|a| *item > a))
            .take(limit)
            .collect())
    }

    async fn deleted_after(
        &self,
        after: Option<(Timestamp, ContactId)>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, ContactId)>, PopulationError> {
        let deleted = self.deleted().await.into_iter();
        Ok(deleted.filter(|item| after.is_none_or(|after| *item > after)).take(limit).collect())
    }

    async fn buckets(&self) -> Result<Vec<BucketId>, PopulationError> {
        Ok(self.keys_of("bucket").await.iter().map(|key| BucketId::new(key).unwrap()).collect())
    }

    async fn endpoints(&self) -> Result<Vec<EndpointId>, PopulationError> {
        Ok(self.keys_of("endpoint").await.iter().map(|key| key.parse().unwrap()).collect())
    }
}

/// What the next calls of a world's log and read models refuse.
#[derive(Default)]
pub struct Faults {
    appends: AtomicUsize,
    wakes: AtomicUsize,
    unreadable: Mutex<Option<(StreamName, usize)>>,
    unwritable: Mutex<Option<StreamName>>,
    /// How often the log was asked for the end of a stream.
    pub looks_back: AtomicUsize,
    /// One append may write one stream only.
    pub one_stream: AtomicBool,
}

impl Faults {
    /// The next appends fail, each after a moment.
    pub fn refuse_appends(&self, count: usize) {
        self.appends.store(count, Ordering::SeqCst);
    }

    /// The next append to a contact fails.
    pub fn refuse_append_to(&self, contact: ContactId) {
        *self.unwritable.lock() = Some(StreamName::contact(contact));
    }

    fn strikes_append(&self, append: &Append) -> bool {
        let mut unwritable = self.unwritable.lock();
        let strikes = append.streams.iter().any(|part| Some(&part.stream) == unwritable.as_ref());
        if strikes {
            *unwritable = None;
        }
        strikes
    }

    /// The next questions for due timers fail.
    pub fn refuse_wakes(&self, count: usize) {
        self.wakes.store(count, Ordering::SeqCst);
    }

    /// A contact can be read so many times more, then once not.
    pub fn unreadable_after(&self, contact: ContactId, reads: usize) {
        *self.unreadable.lock() = Some((StreamName::contact(contact), reads));
    }

    fn strikes(count: &AtomicUsize) -> bool {
        count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    fn strikes_read(&self, stream: &StreamName) -> bool {
        let mut unreadable = self.unreadable.lock();
        match &mut *unreadable {
            Some((at, 0)) if at == stream => {
                *unreadable = None;
                true
            }
            Some((at, left)) if at == stream => {
                *left -= 1;
                false
            }
            _ => false,
        }
    }
}

/// A log with faults.
struct Faulty(Arc<dyn EventLog>, Arc<Faults>);

#[async_trait]
impl EventLog for Faulty {
    fn submit(&self, append: Append, on_durable: OnDurable) {
        assert!(self.atomic_streams() || append.streams.len() == 1, "several streams in one append");
        if Faults::strikes(&self.1.appends) || self.1.strikes_append(&append) {
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                on_durable(Err(AppendError::Unavailable("a fault".into())));
            });
        } else {
            self.0.submit(append, on_durable);
        }
    }

    fn atomic_streams(&self) -> bool {
        self.0.atomic_streams() && !self.1.one_stream.load(Ordering::SeqCst)
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Version,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        if self.1.strikes_read(stream) {
            return Err(LogError::Unusable("a fault".to_owned()));
        }
        self.0.read_stream(stream, from, limit).await
    }

    async fn read_stream_back(
        &self,
        stream: &StreamName,
        from: Option<Version>,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        self.1.looks_back.fetch_add(1, Ordering::SeqCst);
        self.0.read_stream_back(stream, from, limit).await
    }

    async fn read_all(&self, from: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        self.0.read_all(from, limit).await
    }

    fn durable_end(&self) -> Position {
        self.0.durable_end()
    }

    async fn wait_past(&self, position: Position) {
        self.0.wait_past(position).await;
    }

    fn health(&self) -> Result<(), Arc<str>> {
        self.0.health()
    }
}

/// A directory in which engines come and go.
pub struct World {
    directory: tempfile::TempDir,
    pub clock: Arc<TestClock>,
    pub shards: usize,
    pub resident: usize,
    pub idle_after: Duration,
    pub policy: Policy,
    /// The grace of deletions, in milliseconds, if the deleted are erased after it.
    pub grace: Option<i64>,
    pub faults: Arc<Faults>,
}

/// An engine and the log it writes.
pub struct Running {
    pub engine: Engine,
    pub data_keys: Arc<DataKeys>,
    log: Arc<EmbeddedLog>,
}

impl World {
    pub fn new(now: i64) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            clock: TestClock::at(now),
            shards: 2,
            resident: 10_000,
            idle_after: Duration::from_secs(300),
            policy: Policy::default(),
            grace: None,
            faults: Arc::default(),
        }
    }

    /// Where the files of the log are.
    pub fn log_directory(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    pub async fn start(&self, definitions: Option<Vec<BucketDefinition>>) -> Running {
        let (log, _) = EmbeddedLog::open(LogOptions::new(self.log_directory())).unwrap();
        let snapshots = SqliteSnapshots::open(self.directory.path().join("snapshots.sqlite")).unwrap();
        let data_keys = Arc::new(DataKeys::open(&self.data_keys(), true).unwrap());
        let sealed = Arc::new(SealedLog::new(Arc::clone(&log), Arc::clone(&data_keys)));
        let shared: Arc<dyn EventLog> = Arc::new(Faulty(sealed, self.faults.clone()));
        let population = Arc::new(WholeLog(Arc::clone(&shared), self.faults.clone()));
        let clock: Arc<dyn Clock> = self.clock.clone();
        let mut options = Options::new(shared, snapshots, population, clock, [7; 32]);
        options.definitions = definitions;
        options.data_keys = Some(Arc::clone(&data_keys));
        options.shards = self.shards;
        options.resident_contacts = self.resident;
        options.idle_after = self.idle_after;
        options.erases_after_grace = self.grace.is_some();
        options.policy = self.policy;
        options.policy.delete_grace = self.grace.unwrap_or(options.policy.delete_grace);
        let engine = Engine::start(options).await.unwrap();
        Running { engine, log, data_keys }
    }

    /// Whether there is a snapshot of a contact. No engine may run.
    pub async fn has_snapshot(&self, contact: ContactId) -> bool {
        let snapshots = SqliteSnapshots::open(self.directory.path().join("snapshots.sqlite")).unwrap();
        snapshots.load(&StreamName::contact(contact)).await.unwrap().is_some()
    }

    /// Has the next start read every contact from its first record.
    pub fn forget_snapshots(&self) {
        std::fs::remove_file(self.directory.path().join("snapshots.sqlite")).unwrap();
    }

    /// Where the data keys are.
    pub fn data_keys(&self) -> PathBuf {
        self.directory.path().join("secrets/data-keys")
    }

    /// The directory of everything.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Running {
    /// How often the log was synced to disk.
    pub fn syncs(&self) -> u64 {
        self.log.statistics().syncs
    }

    pub async fn stop(self) {
        self.engine.stop().await;
        self.log.close();
    }
}

/// An event by whichever keys are given: `u...` user ids, `e...` addresses, `v...` anonymous ids, `d...` Discord ids.
pub fn event(keys: &str, name: &str) -> IngestCall {
    let of = |first: char| keys.split_whitespace().find(|key| key.starts_with(first));
    let email = of('e').map(|key| format!("{key}@example.com"));
    let mut identity = Identity::new(of('u'), email.as_deref(), of('v'));
    identity.discord = of('d').and_then(|key| IdentityKey::new(KeyKind::Discord, &key[1..]));
    IngestCall {
        identity,
        name: name.into(),
        event_properties: Properties::new(),
        contact_properties: Properties::new(),
        idempotency_key: None,
        occurred_at: None,
        source: Source::Api,
        existing_only: false,
        trace: None,
    }
}
