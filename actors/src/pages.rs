//! A stream of any length, read page by page. The embedded log reads and decrypts on the thread that asks, so after each
//! page others on that thread have their turn.

use mainspring_eventlog::{EventLog, LogError, Recorded, Version};
use mainspring_schemas::StreamName;

/// Records read at a time: about a millisecond of work.
pub(crate) const PAGE: usize = 256;

/// Where a reader is in a stream.
pub(crate) struct Pages<'l> {
    log: &'l dyn EventLog,
    stream: StreamName,
    /// Where the next page begins; `None` after the last one.
    next: Option<Version>,
}

impl<'l> Pages<'l> {
    /// All of a stream.
    pub fn of(log: &'l dyn EventLog, stream: StreamName) -> Self {
        Self { log, stream, next: Some(0) }
    }

    /// The next records; `None` at the end of the stream.
    ///
    /// # Errors
    /// See [`LogError`].
    pub async fn next(&mut self) -> Result<Option<Vec<Recorded>>, LogError> {
        let Some(from) = self.next else { return Ok(None) };
        if from > 0 {
            tokio::task::yield_now().await;
        }
        let records = self.log.read_stream(&self.stream, from, PAGE).await?;
        self.next = records.last().filter(|_| records.len() == PAGE).map(|record| record.version + 1);
        Ok(Some(records))
    }
}
