//! What the writer and the readers both see.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    file_system::{DirectoryLock, FileSystem},
    hints::Hints,
    index::Index,
    layout::{Address, Chain},
    options::Options,
    queue::Queue,
    segment::Segments,
};
use crate::Position;

/// The end of what is durable, as the writer and checkpoints need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// The next record's position.
    pub position: Position,
    /// The newest segment.
    pub segment: u32,
    /// Where its next frame begins.
    pub offset: u64,
    /// The newest frame; `NONE` = the log is empty.
    pub last_frame: Address,
    /// The chain value after it.
    pub chain: Chain,
}

/// What subscribers wait for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub durable_end: Position,
    pub closed: bool,
}

/// Counts since opening.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub syncs: AtomicU64,
    pub appended_records: AtomicU64,
    pub bytes: AtomicU64,
}

/// The state.
pub(super) struct Shared {
    pub options: Options,
    pub file_system: Arc<dyn FileSystem>,
    pub log_id: [u8; 16],
    pub segments: Segments,
    pub index: Index,
    pub queue: Queue,
    pub hints: Hints,
    pub counters: Counters,
    pub checkpoint_running: AtomicBool,
    pub checkpoint_thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    pub progress: watch::Sender<Progress>,
    pub end: Mutex<End>,
    pub failure: OnceLock<Arc<str>>,
    pub lock: Mutex<Option<DirectoryLock>>,
    durable_end: AtomicU64,
}

impl Shared {
    pub fn new(
        options: Options,
        log_id: [u8; 16],
        segments: Segments,
        index: Index,
        end: End,
        bytes: u64,
        lock: DirectoryLock,
    ) -> Self {
        let (progress, _) = watch::channel(Progress { durable_end: end.position, closed: false });
        Self {
            file_system: Arc::clone(&options.file_system),
            log_id,
            segments,
            index,
            queue: Queue::new(options.queue_bytes),
            hints: Hints::default(),
            counters: Counters { bytes: AtomicU64::new(bytes), ..Counters::default() },
            checkpoint_running: AtomicBool::new(false),
            checkpoint_thread: Mutex::default(),
            progress,
            durable_end: AtomicU64::new(end.position),
            end: Mutex::new(end),
            failure: OnceLock::new(),
            lock: Mutex::new(Some(lock)),
            options,
        }
    }

    pub fn durable_end(&self) -> Position {
        self.durable_end.load(Ordering::Acquire)
    }

    /// Shows readers and subscribers a new end.
    pub fn advance(&self, end: End) {
        *self.end.lock() = end;
        self.durable_end.store(end.position, Ordering::Release);
        self.progress.send_modify(|progress| progress.durable_end = end.position);
    }

    /// Stops the log for good, for the first reason given.
    pub fn fail(&self, reason: Arc<str>) -> Arc<str> {
        let first = Arc::clone(self.failure.get_or_init(|| reason));
        tracing::error!(reason = %first, "the log failed and takes no more appends");
        first
    }
}
