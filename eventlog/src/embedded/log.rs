//! The adapter: [`EventLog`] over the writer and the readers.

use std::{
    fmt,
    sync::Arc,
    thread::{self, JoinHandle},
};

use async_trait::async_trait;
use mainspring_schemas::StreamName;
use parking_lot::Mutex;

use super::{
    checkpoint, encode,
    options::Options,
    queue::Waiting,
    recovery::{self, Recovery},
    shared::Shared,
    statistics::Statistics,
    verify::{Progress, Verification},
    writer::Writer,
};
use crate::{Append, AppendError, EventLog, LogError, OnDurable, Position, Recorded, Version};

/// The log of a single machine.
///
/// ```
/// use mainspring_eventlog::{EventLog, embedded::{EmbeddedLog, Options}};
///
/// let directory = tempfile::tempdir()?;
/// let (log, recovery) = EmbeddedLog::open(Options::new(directory.path()))?;
/// assert_eq!((log.durable_end(), recovery.records), (0, 0));
/// log.close();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedLog").field("durable_end", &self.shared.durable_end()).finish_non_exhaustive()
    }
}

impl EmbeddedLog {
    /// Opens the log of a directory, or begins one.
    ///
    /// # Errors
    /// [`LogError::Unusable`] if another process has it, [`LogError::Corrupt`] if acknowledged records are damaged.
    pub fn open(options: Options) -> Result<(Arc<Self>, Recovery), LogError> {
        let opened = recovery::open(options)?;
        let shared = Arc::new(opened.shared);
        let owner = Arc::clone(&shared);
        let work = move || {
            let writer = Writer::new(Arc::clone(&owner), opened.active, opened.file);
            let run = std::panic::AssertUnwindSafe(|| writer.run());
            if std::panic::catch_unwind(run).is_err() {
                owner.fail(Arc::from("the writer panicked"));
                owner.queue.abandon();
            }
            owner.progress.send_modify(|progress| progress.closed = true);
        };
        let thread = thread::Builder::new().name("mainspring-log".into()).spawn(work);
        let thread =
            thread.map_err(|source| LogError::Io { context: "starting the writer".into(), source })?;
        Ok((Arc::new(Self { shared, writer: Mutex::new(Some(thread)) }), opened.recovery))
    }

    /// Writes what is queued, leaves an index checkpoint behind and gives the directory back. Appends submitted later
    /// fail; reads go on working. Blocks; calling it again does nothing.
    pub fn close(&self) {
        self.shared.queue.close();
        let writer = self.writer.lock().take();
        if let Some(writer) = writer
            // The last owner may be a completion that the writer itself runs; it cannot wait for itself.
            && writer.thread().id() != thread::current().id()
            && writer.join().is_err()
        {
            tracing::error!("the writer of the log panicked");
        }
        checkpoint::wait(&self.shared);
        drop(self.shared.lock.lock().take());
    }

    /// Reads the whole log up to now and checks everything there is to check; see [`Verification`].
    ///
    /// # Errors
    /// [`LogError::Corrupt`] for the first thing that is wrong.
    pub fn verify(&self, progress: impl FnMut(Progress)) -> Result<Verification, LogError> {
        self.shared.verify(progress)
    }

    /// Figures for operators.
    pub fn statistics(&self) -> Statistics {
        self.shared.statistics()
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    fn submit(&self, append: Append, on_durable: OnDurable) {
        let item = match encode::measure(&append) {
            Ok(length) => Waiting::Append { append, length, on_durable },
            Err(limit) => Waiting::Refused { error: AppendError::Refused(limit), on_durable },
        };
        if let Err(on_durable) = self.shared.queue.push(item) {
            // There is no thread of the log's own any more.
            on_durable(Err(AppendError::Failed(match self.shared.failure.get() {
                Some(failure) => Arc::clone(failure),
                None => Arc::from("the log was closed"),
            })));
        }
    }

    fn atomic_streams(&self) -> bool {
        true
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Version,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        self.shared.read_stream(stream, from, limit)
    }

    async fn read_stream_back(
        &self,
        stream: &StreamName,
        from: Option<Version>,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        self.shared.read_stream_back(stream, from, limit)
    }

    async fn read_all(&self, from: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        self.shared.read_all(from, limit)
    }

    fn durable_end(&self) -> Position {
        self.shared.durable_end()
    }

    async fn wait_past(&self, position: Position) {
        let mut progress = self.shared.progress.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = progress.wait_for(|progress| progress.closed || progress.durable_end > position).await;
    }

    fn health(&self) -> Result<(), Arc<str>> {
        match self.shared.failure.get() {
            Some(failure) => Err(Arc::clone(failure)),
            None => Ok(()),
        }
    }
}
