//! A log whose every delay, refusal and crash comes from a seed. It keeps what an adapter must keep and promises no more:
//! reads wait, appends lie in line for a while, some are refused, and a crash takes what was not yet durable with it,
//! and the answers to some of what was.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use mainspring_eventlog::{
    Append, AppendError, Appended, EventLog, Expected, LogError, OnDurable, Position, Recorded, Version,
};
use mainspring_schemas::StreamName;
use parking_lot::Mutex;

use crate::random::Random;

/// What is durable, and where chance comes from. Survives crashes.
pub struct Disk {
    chance: Mutex<Random>,
    records: Mutex<Vec<Recorded>>,
    streams: Mutex<HashMap<StreamName, Vec<Position>>>,
    /// Of 100 appends so many are refused.
    refused: AtomicU64,
    /// Whether one append may write several streams.
    atomic_streams: bool,
}

impl Disk {
    pub fn new(seed: u64, atomic_streams: bool) -> Arc<Self> {
        Arc::new(Self {
            chance: Mutex::new(Random(seed)),
            records: Mutex::default(),
            streams: Mutex::default(),
            refused: AtomicU64::new(0),
            atomic_streams,
        })
    }

    /// From now on so many of 100 appends are refused.
    pub fn refuse(&self, percent: u64) {
        self.refused.store(percent, Ordering::SeqCst);
    }

    /// A number below `n`.
    pub fn chance(&self, n: u64) -> u64 {
        self.chance.lock().below(n)
    }

    /// Lets others go first, for a while.
    pub async fn linger(&self, longest: u64) {
        for _ in 0..self.chance(longest) {
            tokio::task::yield_now().await;
        }
    }

    /// Everything durable.
    pub fn records(&self) -> Vec<Recorded> {
        self.records.lock().clone()
    }

    fn version(&self, stream: &StreamName) -> Option<Version> {
        self.streams.lock().get(stream).map(|positions| positions.len() as Version - 1)
    }

    fn write(&self, append: Append) -> Result<Appended, AppendError> {
        if self.chance(100) < self.refused.load(Ordering::SeqCst) {
            return Err(AppendError::Unavailable("a fault".into()));
        }
        assert!(self.atomic_streams || append.streams.len() == 1, "several streams in one append");
        for part in &append.streams {
            let current = self.version(&part.stream);
            let as_expected = match part.expected {
                Expected::Any => true,
                Expected::NoStream => current.is_none(),
                Expected::Version(version) => current == Some(version),
            };
            if !as_expected {
                let (stream, expected) = (part.stream.clone(), part.expected);
                return Err(AppendError::Conflict { stream, expected, current });
            }
        }
        let mut records = self.records.lock();
        let first_position = records.len() as Position;
        for part in append.streams {
            let mut streams = self.streams.lock();
            let positions = streams.entry(part.stream.clone()).or_default();
            for new in part.records {
                let position = records.len() as Position;
                records.push(Recorded {
                    position,
                    stream: part.stream.clone(),
                    version: positions.len() as Version,
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
                positions.push(position);
            }
        }
        Ok(Appended { first_position, last_position: records.len() as Position - 1 })
    }
}

/// One process's view of the disk, until it crashes.
pub struct SimulatedLog {
    pub disk: Arc<Disk>,
    in_line: Mutex<VecDeque<(Append, OnDurable)>>,
    crashed: AtomicBool,
}

impl SimulatedLog {
    /// A log that a task of this thread serves until it is dropped or crashes.
    pub fn serve(disk: &Arc<Disk>) -> Arc<Self> {
        let (in_line, crashed) = (Mutex::default(), AtomicBool::new(false));
        let log = Arc::new(Self { disk: Arc::clone(disk), in_line, crashed });
        let served = Arc::downgrade(&log);
        actix::spawn(async move {
            while let Some(log) = served.upgrade().filter(|log| !log.is_crashed()) {
                for _ in 0..log.disk.chance(4) {
                    log.settle_first(true);
                }
                drop(log);
                tokio::task::yield_now().await;
            }
        });
        log
    }

    fn settle_first(&self, answered: bool) {
        let first = self.in_line.lock().pop_front();
        if let Some((append, on_durable)) = first {
            let result = self.disk.write(append);
            if answered {
                on_durable(result);
            }
        }
    }

    fn is_crashed(&self) -> bool {
        self.crashed.load(Ordering::SeqCst)
    }

    /// The process is gone: some appends in line became durable and nobody hears of it, the others never were.
    pub fn crash(&self) {
        self.crashed.store(true, Ordering::SeqCst);
        for _ in 0..self.disk.chance(4) {
            self.settle_first(false);
        }
        let given_up: Vec<_> = self.in_line.lock().drain(..).collect();
        drop(given_up);
    }

    async fn reading(&self) -> Result<(), LogError> {
        self.disk.linger(3).await;
        if self.is_crashed() { Err(LogError::Unusable("crashed".to_owned())) } else { Ok(()) }
    }

    fn read(&self, positions: &[Position]) -> Vec<Recorded> {
        let records = self.disk.records.lock();
        positions.iter().map(|position| records[usize::try_from(*position).unwrap()].clone()).collect()
    }

    fn positions(&self, stream: &StreamName) -> Vec<Position> {
        self.disk.streams.lock().get(stream).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl EventLog for SimulatedLog {
    fn submit(&self, append: Append, on_durable: OnDurable) {
        if self.is_crashed() {
            on_durable(Err(AppendError::Failed("crashed".into())));
        } else {
            self.in_line.lock().push_back((append, on_durable));
        }
    }

    fn atomic_streams(&self) -> bool {
        self.disk.atomic_streams
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Version,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        self.reading().await?;
        let positions = self.positions(stream);
        let from = usize::try_from(from).unwrap().min(positions.len());
        let to = from.saturating_add(limit).min(positions.len());
        Ok(self.read(&positions[from..to]))
    }

    async fn read_stream_back(
        &self,
        stream: &StreamName,
        from: Option<Version>,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        self.reading().await?;
        let mut positions = self.positions(stream);
        if let Some(from) = from {
            positions.truncate(usize::try_from(from).unwrap() + 1);
        }
        positions.reverse();
        positions.truncate(limit);
        Ok(self.read(&positions))
    }

    async fn read_all(&self, from: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        self.reading().await?;
        let records = self.disk.records.lock();
        Ok(records.iter().skip(usize::try_from(from).unwrap()).take(limit).cloned().collect())
    }

    fn durable_end(&self) -> Position {
        self.disk.records.lock().len() as Position
    }

    async fn wait_past(&self, position: Position) {
        while !self.is_crashed() && self.durable_end() <= position {
            tokio::task::yield_now().await;
        }
    }

    fn health(&self) -> Result<(), Arc<str>> {
        if self.is_crashed() { Err("crashed".into()) } else { Ok(()) }
    }
}
