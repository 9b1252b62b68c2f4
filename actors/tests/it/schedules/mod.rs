//! Who is who under fire: a whole engine on one thread, a log that waits, refuses and crashes by a seed, and a few
//! clients that create, link, merge and delete the same few people at once. A seed repeats its schedule exactly:
//! `MAINSPRING_TEST_SEED` runs one alone.

mod clients;
mod log;
mod verdict;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use futures_util::future::join_all;
use mainspring_actors::{
    Clock, Engine, Hosting, Options,
    population::{Population, PopulationError},
};
use mainspring_eventlog::{EventLog, LogError, Position, Snapshot, SnapshotStore};
use mainspring_schemas::{BucketId, ContactId, EndpointId, StreamName, Timestamp};
use parking_lot::Mutex;

use self::{
    clients::{Done, client},
    log::{Disk, SimulatedLog},
};
use crate::{harness::T0, random::Random};

/// A clock that shows every instant once, so that age always decides who survives.
struct Counting(AtomicI64);

impl Clock for Counting {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.fetch_add(1, Ordering::SeqCst))
    }

    fn is_live(&self) -> bool {
        false
    }
}

/// No buckets, no endpoints, no timers: nothing the read models would have to tell.
struct Nothing;

#[async_trait]
impl Population for Nothing {
    async fn reached(&self, _: Position) -> Result<(), PopulationError> {
        Ok(())
    }

    async fn contacts(&self) -> Result<u64, PopulationError> {
        Ok(0)
    }

    async fn contacts_after(
        &self,
        _: Option<ContactId>,
        _: usize,
    ) -> Result<Vec<ContactId>, PopulationError> {
        Ok(Vec::new())
    }

    async fn due_wakes(
        &self,
        _: Option<(Timestamp, ContactId)>,
        _: Timestamp,
        _: usize,
    ) -> Result<Vec<(Timestamp, ContactId)>, PopulationError> {
        Ok(Vec::new())
    }

    async fn buckets(&self) -> Result<Vec<BucketId>, PopulationError> {
        Ok(Vec::new())
    }

    async fn endpoints(&self) -> Result<Vec<EndpointId>, PopulationError> {
        Ok(Vec::new())
    }
}

/// Snapshots are never kept: whoever was put aside is read from its first record.
#[async_trait]
impl SnapshotStore for Nothing {
    fn save(&self, _: &StreamName, _: Snapshot) {}

    async fn load(&self, _: &StreamName) -> Result<Option<Snapshot>, LogError> {
        Ok(None)
    }

    async fn flush(&self) {}

    fn remove(&self, _: &StreamName) {}
}

/// What a schedule may contain, drawn from its seed.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Contacts are deleted.
    pub deletions: bool,
    /// Anonymous ids and returns under old keys take part: who is joined depends on the order then.
    pub weak_keys: bool,
    /// Of 100 appends so many are refused.
    pub refused: u64,
    /// How often the process dies.
    pub crashes: u64,
    /// How many contacts fit into memory.
    pub resident: usize,
    /// A provider tells of its customers too: which users it touches is never joined by that (WS-106).
    pub providers: bool,
}

impl Weather {
    fn of(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut yes = |percent| random.below(100) < percent;
        Self {
            deletions: yes(50),
            weak_keys: yes(60),
            refused: if yes(50) { 8 } else { 0 },
            crashes: if yes(40) { 1 + u64::from(yes(50)) } else { 0 },
            resident: if yes(40) { 2 } else { 10_000 },
            providers: yes(50),
        }
    }
}

/// The process of the moment, and what outlives it.
pub struct World {
    pub disk: Arc<Disk>,
    pub weather: Weather,
    clock: Arc<Counting>,
    process: Mutex<(Engine, Arc<SimulatedLog>)>,
}

impl World {
    async fn new(seed: u64) -> Arc<Self> {
        let weather = Weather::of(seed);
        let disk = Disk::new(seed);
        let clock = Arc::new(Counting(AtomicI64::new(T0)));
        let process = Mutex::new(Self::start(&disk, &clock, weather).await);
        disk.refuse(weather.refused);
        Arc::new(Self { disk, weather, clock, process })
    }

    async fn start(disk: &Arc<Disk>, clock: &Arc<Counting>, weather: Weather) -> (Engine, Arc<SimulatedLog>) {
        let log = SimulatedLog::serve(disk);
        let shared = Arc::clone(&log) as Arc<dyn EventLog>;
        let nothing = Arc::new(Nothing);
        let mut options = Options::new(shared, nothing.clone(), nothing, Arc::clone(clock) as _, [7; 32]);
        (options.hosting, options.shards, options.resident_contacts) =
            (Hosting::OneThread, 1, weather.resident);
        (Engine::start(options).await.unwrap(), log)
    }

    /// The engine of the moment.
    pub fn engine(&self) -> Engine {
        self.process.lock().0.clone()
    }

    /// Whether a call may fail without a fault of the engine's.
    pub fn excuses_failures(&self) -> bool {
        self.weather.refused > 0 || self.weather.crashes > 0
    }

    /// All is over: one new process knows what the log knows, and nothing else.
    async fn settle(&self) {
        self.disk.refuse(0);
        self.engine().stop().await;
        let process = Self::start(&self.disk, &self.clock, self.weather).await;
        *self.process.lock() = process;
    }

    /// Chance strikes a few times while the clients are at work.
    async fn strike(&self) {
        for _ in 0..self.weather.crashes {
            self.disk.linger(1500).await;
            self.process.lock().1.crash();
            let process = Self::start(&self.disk, &self.clock, self.weather).await;
            *self.process.lock() = process;
        }
    }
}

/// Runs a schedule and returns what its log holds, record by record. Each has a runtime of its own: in which order one
/// polls its tasks depends on all it ever polled.
fn schedule(seed: u64) -> Vec<String> {
    actix::System::new().block_on(course(seed))
}

async fn course(seed: u64) -> Vec<String> {
    let world = World::new(seed).await;
    let done: Arc<Mutex<Vec<Done>>> = Arc::default();
    let clients = (0..5).map(|number| client(Arc::clone(&world), number, Arc::clone(&done)));
    futures_util::future::join(join_all(clients), world.strike()).await;
    world.settle().await;
    let done = std::mem::take(&mut *done.lock());
    verdict::judge(&world, &done).await;
    world.engine().stop().await;
    let records = world.disk.records();
    records.iter().map(|record| format!("{} {}", record.recorded_at.0, record.event_type)).collect()
}

fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("MAINSPRING_TEST_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..count).collect(),
    }
}

#[test]
fn rs_80_to_rs_87_and_ws_106_any_schedule_ends_with_each_person_once_and_whole() {
    for seed in seeds(1000) {
        println!("MAINSPRING_TEST_SEED={seed} {:?}", Weather::of(seed));
        assert!(schedule(seed).len() > 20, "seed {seed} is a schedule");
    }
}

#[test]
fn a_seed_repeats_its_schedule() {
    for seed in 0..50 {
        let (first, second) = (schedule(seed), schedule(seed));
        let differs = first.iter().zip(&second).position(|(a, b)| a != b);
        assert_eq!((differs, first.len()), (None, second.len()), "seed {seed}");
    }
}
