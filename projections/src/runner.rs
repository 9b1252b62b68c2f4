//! The thread that follows the log.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use mainspring_eventlog::{EventLog, Position};
use rusqlite::Connection;
use tokio::sync::Notify;

use crate::{
    database,
    error::{ProjectionError, Result},
    fact::Fact,
    projection::Projection,
    read_models::ReadModels,
    rebuild::{furthest, rebuild_some},
    writer::Writer,
};

/// Most records of one transaction. Below that a batch is whatever has become durable meanwhile: nothing waits.
const BATCH: usize = 8192;

/// Pause before a write that the database refused is tried again, and between looks at a log that says nothing.
const PAUSE: Duration = Duration::from_millis(500);

/// What the runner is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunnerStatus {
    /// Not started yet.
    Starting,
    /// Replays projections of another schema version before it follows the log.
    Rebuilding {
        /// Records replayed.
        records: u64,
        /// Records there are.
        total: u64,
    },
    /// Follows the log.
    Following,
    /// The database refuses for now, for example because the disk is full; it tries again.
    Retrying(String),
    /// It met something it must not skip and has stopped; the read models stay where they are.
    Failed(String),
    /// It was told to stop.
    Stopped,
}

/// Follows the log and keeps the read models up with it.
#[derive(Debug)]
pub struct Runner {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

/// How the thread is told to stop, whether it works or waits.
#[derive(Debug, Default)]
struct Signal {
    stop: AtomicBool,
    wake: Notify,
}

impl Runner {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the read models cannot be opened for writing, or no thread can be started.
    pub fn start(log: Arc<dyn EventLog>, read_models: ReadModels) -> Result<Self> {
        let connection = database::open_live(&database::path(read_models.dir()))?;
        let signal = Arc::new(Signal::default());
        let worker = Worker { log, read_models, connection, signal: Arc::clone(&signal), scrub_due: true };
        let thread = std::thread::Builder::new()
            .name("read-models".to_owned())
            .spawn(move || worker.run())
            .map_err(ProjectionError::io("thread"))?;
        Ok(Self { signal, thread: Some(thread) })
    }

    /// Tells the thread to stop after the batch it is at, and waits for it.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        self.signal.stop.store(true, Ordering::Relaxed);
        self.signal.wake.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the read models panicked");
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.halt();
    }
}

struct Worker {
    log: Arc<dyn EventLog>,
    read_models: ReadModels,
    connection: Connection,
    signal: Arc<Signal>,
    /// Something was erased since the write-ahead log was emptied; at the start that is not known.
    scrub_due: bool,
}

impl Worker {
    fn run(mut self) {
        let status = match self.follow() {
            Ok(()) | Err(ProjectionError::Interrupted) => RunnerStatus::Stopped,
            Err(error) => {
                tracing::error!(%error, position = self.read_models.position(), "the read models stopped");
                RunnerStatus::Failed(error.to_string())
            }
        };
        self.read_models.set_status(status);
    }

    fn stopping(&self) -> bool {
        self.signal.stop.load(Ordering::Relaxed)
    }

    fn follow(&mut self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(ProjectionError::io("runtime"))?;
        let position = furthest(&self.connection)?;
        let end = self.log.durable_end();
        if position > end {
            return Err(ProjectionError::Ahead { position, end });
        }
        self.bring_up_laggards()?;
        let mut writer = Writer::load(&self.connection, &Projection::ALL, position)?;
        self.read_models.publish(position);
        self.read_models.set_status(RunnerStatus::Following);
        while !self.stopping() {
            let records = runtime.block_on(self.log.read_all(writer.next(), BATCH))?;
            if records.is_empty() {
                self.scrub();
                let news = self.pause_or(self.log.wait_past(writer.next()), writer.next());
                let patience = if self.scrub_due { PAUSE } else { Duration::MAX };
                let _ = runtime.block_on(async { tokio::time::timeout(patience, news).await });
                continue;
            }
            let facts: Vec<Fact> = records.into_iter().map(Fact::of).collect::<Result<_>>()?;
            self.write(&runtime, &mut writer, &facts)?;
        }
        Ok(())
    }

    /// Writes a batch; waits out a database that refuses.
    fn write(
        &mut self,
        runtime: &tokio::runtime::Runtime,
        writer: &mut Writer,
        facts: &[Fact],
    ) -> Result<()> {
        let position = writer.next();
        loop {
            match writer.commit(&self.connection, facts) {
                Ok(()) => {
                    if self.read_models.status() != RunnerStatus::Following {
                        self.read_models.set_status(RunnerStatus::Following);
                    }
                    if facts.iter().any(Fact::erases) {
                        self.scrub_due = true;
                        self.scrub();
                    }
                    self.read_models.publish(writer.next());
                    return Ok(());
                }
                Err(ProjectionError::Sqlite(error)) if passes(&error) => {
                    tracing::warn!(%error, position, "the read models cannot be written, trying again");
                    self.read_models.set_status(RunnerStatus::Retrying(error.to_string()));
                    runtime.block_on(self.pause_or(std::future::pending(), Position::MAX));
                    if self.stopping() {
                        return Err(ProjectionError::Interrupted);
                    }
                    *writer = Writer::load(&self.connection, &Projection::ALL, position)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Empties the write-ahead log if something was erased. Readers may hold that up; then it is tried again.
    fn scrub(&mut self) {
        if self.scrub_due {
            match database::scrub(&self.connection) {
                Ok(done) => self.scrub_due = !done,
                Err(error) => {
                    tracing::warn!(%error, "erased rows are still in the write-ahead log, trying again")
                }
            }
        }
    }

    /// Waits for `event`, for a pause or for the signal to stop. A log that is closed answers at once and for ever;
    /// looking at it then and again is cheap.
    async fn pause_or(&self, event: impl Future<Output = ()>, next: Position) {
        tokio::select! {
            () = event => {
                if self.log.durable_end() <= next {
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE) => {}
                        () = self.signal.wake.notified() => {}
                    }
                }
            }
            () = tokio::time::sleep(PAUSE), if next == Position::MAX => {}
            () = self.signal.wake.notified() => {}
        }
    }

    /// Replays projections that are behind the others, because their schema version was another one.
    fn bring_up_laggards(&mut self) -> Result<()> {
        let positions = database::positions(&self.connection)?;
        let furthest = furthest(&self.connection)?;
        let behind: Vec<Projection> = positions
            .into_iter()
            .filter(|(_, position)| *position < furthest)
            .map(|(projection, _)| projection)
            .collect();
        if behind.is_empty() {
            return Ok(());
        }
        let dir = self.read_models.dir().to_owned();
        let read_models = self.read_models.clone();
        let (log, signal) = (Arc::clone(&self.log), Arc::clone(&self.signal));
        rebuild_some(&log, &dir, &mut self.connection, &behind, &signal.stop, &mut |progress| {
            let (records, total) = (progress.records, progress.total);
            read_models.set_status(RunnerStatus::Rebuilding { records, total });
        })?;
        Ok(())
    }
}

/// Whether an error of the database may go away by itself.
fn passes(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull, OutOfMemory, SystemIoFailure};
    matches!(
        error.sqlite_error_code(),
        Some(DatabaseBusy | DatabaseLocked | DiskFull | OutOfMemory | SystemIoFailure)
    )
}
