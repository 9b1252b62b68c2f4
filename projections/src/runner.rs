//! The threads that follow the log: one reads, decodes and hands new deliveries over, the other writes the tables. So
//! nobody who sends waits for a commit.

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
    backlog::Backlog,
    database,
    delivery_queue::FanOut,
    error::{ProjectionError, Result},
    hand_over::HandOver,
    projection::Projection,
    read_models::ReadModels,
    rebuild::{furthest, rebuild_some},
    step::Step,
    writer::Writer,
};

/// About how many records and deliveries one transaction has at most. Below that a batch is whatever has become durable meanwhile:
/// nothing waits.
const BATCH: usize = 8192;

/// Records that are read and decoded at a time.
const CHUNK: usize = 1024;

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
    /// Starts the threads. New deliveries go to `hand_over` before the read models show them, if it is given.
    ///
    /// # Errors
    /// If the read models cannot be opened for writing, or no thread can be started.
    pub fn start(
        log: Arc<dyn EventLog>,
        read_models: ReadModels,
        hand_over: Option<HandOver>,
    ) -> Result<Self> {
        let connection = database::open_live(&database::path(read_models.dir()))?;
        let signal = Arc::new(Signal::default());
        let worker =
            Worker { log, read_models, hand_over, connection, signal: Arc::clone(&signal), scrub_due: true };
        let thread = std::thread::Builder::new()
            .name("read-models".to_owned())
            .spawn(move || worker.run())
            .map_err(ProjectionError::io("thread"))?;
        Ok(Self { signal, thread: Some(thread) })
    }

    /// Tells the threads to stop after the batch they are at, and waits for them.
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
    hand_over: Option<HandOver>,
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
        let position = furthest(&self.connection)?;
        let end = self.log.durable_end();
        if position > end {
            return Err(ProjectionError::Ahead { position, end });
        }
        self.bring_up_laggards()?;
        let mut writer = Writer::load(&self.connection, &Projection::ALL, position)?;
        let reader = Reader {
            log: Arc::clone(&self.log),
            signal: Arc::clone(&self.signal),
            hand_over: self.hand_over.clone(),
            fan_out: FanOut::load(&self.connection)?,
            next: position,
        };
        self.read_models.publish(position);
        self.read_models.set_status(RunnerStatus::Following);
        let backlog = Backlog::default();
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name("read-models-decode".to_owned())
                .spawn_scoped(scope, || reader.run(&backlog))
                .map_err(ProjectionError::io("thread"))?;
            let signal = Arc::clone(&self.signal);
            // The reader may wait for room or for the log.
            let _waking = Waking(&signal);
            let _closing = backlog.close_at_end();
            self.write_all(&mut writer, &backlog)
        })
    }

    fn write_all(&mut self, writer: &mut Writer, backlog: &Backlog) -> Result<()> {
        loop {
            let patience = if self.scrub_due { PAUSE } else { Duration::MAX };
            let steps = backlog.take(BATCH, patience)?;
            if self.stopping() {
                return Ok(());
            }
            match steps.ok_or(ProjectionError::WorkerLost)? {
                steps if steps.is_empty() => self.scrub(),
                steps => self.write(backlog, writer, &steps)?,
            }
        }
    }

    /// Writes a batch; waits out a database that refuses.
    fn write(&mut self, backlog: &Backlog, writer: &mut Writer, steps: &[Step]) -> Result<()> {
        let position = writer.next();
        loop {
            match writer.commit(&self.connection, steps) {
                Ok(()) => {
                    if self.read_models.status() != RunnerStatus::Following {
                        self.read_models.set_status(RunnerStatus::Following);
                    }
                    if steps.iter().any(|step| step.fact.erases()) {
                        self.scrub_due = true;
                        self.scrub();
                    }
                    self.read_models.publish(writer.next());
                    return Ok(());
                }
                Err(ProjectionError::Sqlite(error)) if passes(&error) => {
                    tracing::warn!(%error, position, "the read models cannot be written, trying again");
                    self.read_models.set_status(RunnerStatus::Retrying(error.to_string()));
                    backlog.pause(PAUSE);
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

/// Wakes the reader when it is dropped.
struct Waking<'a>(&'a Signal);

impl Drop for Waking<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
        self.0.wake.notify_one();
    }
}

/// Reads the log ahead of the one who writes.
struct Reader {
    log: Arc<dyn EventLog>,
    signal: Arc<Signal>,
    hand_over: Option<HandOver>,
    fan_out: FanOut,
    next: Position,
}

impl Reader {
    fn run(mut self, backlog: &Backlog) {
        let _closing = backlog.close_at_end();
        if let Err(error) = self.read_all(backlog) {
            backlog.push(Err(error));
        }
    }

    fn read_all(&mut self, backlog: &Backlog) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(ProjectionError::io("runtime"))?;
        while !self.signal.stop.load(Ordering::Relaxed) {
            let records = runtime.block_on(self.log.read_all(self.next, CHUNK))?;
            if records.is_empty() {
                runtime.block_on(self.wait());
                continue;
            }
            let steps = Step::all(records, &mut self.fan_out)?;
            self.next = steps.last().map_or(self.next, |step| step.fact.position() + 1);
            if let Some(hand_over) = &self.hand_over {
                hand_over.give(&steps);
            }
            if !backlog.push(Ok(steps)) {
                break;
            }
        }
        Ok(())
    }

    /// Waits for the log to grow, or for the signal to stop. A log that is closed answers at once and for ever; looking at
    /// it then and again is cheap.
    async fn wait(&self) {
        tokio::select! {
            () = self.log.wait_past(self.next) => {
                if self.log.durable_end() <= self.next {
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE) => {}
                        () = self.signal.wake.notified() => {}
                    }
                }
            }
            () = self.signal.wake.notified() => {}
        }
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
