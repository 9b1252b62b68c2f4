//! The contract of the log.

use std::sync::Arc;

use async_trait::async_trait;
use mainspring_schemas::StreamName;

use crate::{Append, Position, Recorded, Version, record::Expected};

/// What an append achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Position of its first record; the others follow without a gap.
    pub first_position: Position,
    /// Position of its last record.
    pub last_position: Position,
}

/// Why nothing of an append was stored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// A stream does not look as demanded: reload it and decide again.
    #[error("stream {stream} is at {current:?}, expected {expected:?}")]
    Conflict {
        /// The stream.
        stream: StreamName,
        /// What the caller demanded.
        expected: Expected,
        /// Version of the stream's last record; `None` = it was never written.
        current: Option<Version>,
    },
    /// The append is malformed or over a limit; it can never succeed.
    #[error("append refused: {0}")]
    Refused(&'static str),
    /// The disk is full or the queue is: nothing was stored, try again later.
    #[error("the log cannot take more now: {0}")]
    Unavailable(Arc<str>),
    /// The log failed and must not be used further; whether the append became durable is unknown.
    #[error("the log failed: {0}")]
    Failed(Arc<str>),
}

/// Why the log could not be read or opened.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Bytes on disk are not what was written.
    #[error("corrupt record in {file} at byte {offset} (position {position}): {reason}")]
    Corrupt {
        /// The damaged file.
        file: String,
        /// Byte offset of the damaged frame in it.
        offset: u64,
        /// Position of the first record that cannot be trusted.
        position: Position,
        /// What is wrong.
        reason: String,
    },
    /// Another process has the directory, or it belongs to another version of the program.
    #[error("{0}")]
    Unusable(String),
    /// The operating system refused.
    #[error("{context}: {source}")]
    Io {
        /// What was attempted, with the path.
        context: String,
        /// The cause.
        source: std::io::Error,
    },
}

/// Called exactly once, from the adapter's own thread, when an append is durable or has failed. Must not block. (After the
/// log was closed there is no such thread any more, and the caller's own is used.)
pub type OnDurable = Box<dyn FnOnce(Result<Appended, AppendError>) + Send + 'static>;

/// An append-only log of streams with a global order.
///
/// ```text
///  position   0        1        2        3        4
///           contact-a bucket-x contact-b contact-a contact-a
///  version    0        0        0        1        2
/// ```
///
/// What every adapter keeps:
/// * **Durable before acknowledged.** Completion means the records survive the loss of the process and of power.
/// * **All or nothing.** A crash leaves an append whole or absent.
/// * **In order.** Appends submitted one after the other by one thread get ascending positions, whether or not anybody
///   waited in between, and an append sees the versions of all submitted before it, durable or not.
/// * **Expected versions hold** against every other writer.
/// * **Gapless.** Positions and versions have no holes, and a reader never sees position `n` before everything below.
/// * **Only what is durable is read.** No read or subscription returns a record that a crash could still take back.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Submits an append and returns at once; order of submission is order of the log.
    fn submit(&self, append: Append, on_durable: OnDurable);

    /// Submits an append and waits until it is durable.
    ///
    /// # Errors
    /// See [`AppendError`].
    ///
    /// # Cancel safety
    /// The append goes on when the future is dropped.
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.submit(append, Box::new(move |result| drop(sender.send(result))));
        receiver.await.unwrap_or_else(|_| Err(AppendError::Failed("the log was closed".into())))
    }

    /// Whether one append may write several streams. Without that the engine writes turns that touch several of them,
    /// merges above all, step by step, and completes what a crash broke off (MC-43).
    fn atomic_streams(&self) -> bool;

    /// Up to `limit` records of a stream from version `from` upwards; empty past its end or if it does not exist.
    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Version,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError>;

    /// Up to `limit` records of a stream downwards from version `from` (`None` = its last record), newest first.
    async fn read_stream_back(
        &self,
        stream: &StreamName,
        from: Option<Version>,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError>;

    /// Up to about `limit` records of the whole log from `from` upwards, in order; empty at its end. May return fewer
    /// than `limit` before the end, but never none.
    async fn read_all(&self, from: Position, limit: usize) -> Result<Vec<Recorded>, LogError>;

    /// The position the next durable record will have; every record below can be read.
    fn durable_end(&self) -> Position;

    /// Waits until [`EventLog::durable_end`] is above `position`, or the log is closed (then returns anyway).
    async fn wait_past(&self, position: Position);

    /// `Err` names why the log failed for good: it takes no more appends until it is opened again. A full disk is no
    /// such failure; appends are answered [`AppendError::Unavailable`] until there is space.
    fn health(&self) -> Result<(), Arc<str>>;
}

/// Reads everything from a position on, then whatever comes next, in order, without a gap or a repeat. It holds
/// nothing up: a slow subscriber reads from the medium at its own pace.
pub struct Subscription {
    log: Arc<dyn EventLog>,
    next: Position,
}

impl Subscription {
    /// A subscription whose first record is `from`.
    pub fn new(log: Arc<dyn EventLog>, from: Position) -> Self {
        Self { log, next: from }
    }

    /// Position of the record that [`Subscription::next_batch`] returns first.
    pub fn position(&self) -> Position {
        self.next
    }

    /// At least one and up to about `limit` records; waits for the first one.
    ///
    /// # Errors
    /// See [`LogError`]; the subscription stays where it was.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next_batch(&mut self, limit: usize) -> Result<Vec<Recorded>, LogError> {
        loop {
            let records = self.log.read_all(self.next, limit).await?;
            if let Some(last) = records.last() {
                self.next = last.position + 1;
                return Ok(records);
            }
            self.log.wait_past(self.next).await;
        }
    }
}
