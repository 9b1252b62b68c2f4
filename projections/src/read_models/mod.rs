//! The handle by which everybody reads.

mod buckets;
mod contacts;
mod deliveries;
mod members;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mainspring_eventlog::Position;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::watch;

pub use members::{BucketMemberIter, BucketMembers};

use crate::{database, error::Result, pool::Pool, runner::RunnerStatus};

/// The read models of a data directory. Cheap to clone; every question blocks its thread for the time of a few page
/// reads, rarely more.
#[derive(Clone)]
pub struct ReadModels {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
}

struct Shared {
    dir: PathBuf,
    position: AtomicU64,
    changes: watch::Sender<Position>,
    status: Mutex<RunnerStatus>,
}

impl ReadModels {
    /// Opens, or makes, the read models of a directory. Projections of another schema version are emptied; the
    /// [`Runner`](crate::Runner) replays them before it follows the log.
    ///
    /// # Errors
    /// If the file cannot be opened, or was written by a newer program.
    pub fn open(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(crate::ProjectionError::io(dir))?;
        let path = database::path(dir);
        let mut connection = database::open_live(&path)?;
        database::migrate(&mut connection)?;
        let reached = database::positions(&connection)?.into_iter().map(|(_, position)| position).min();
        let reached = reached.unwrap_or_default();
        Ok(Self {
            pool: Arc::new(Pool::new(&path)),
            shared: Arc::new(Shared {
                dir: dir.to_owned(),
                position: AtomicU64::new(reached),
                changes: watch::Sender::new(reached),
                status: Mutex::new(RunnerStatus::Starting),
            }),
        })
    }

    /// The same read models with readers of their own: whoever asks here never waits for the others' long questions.
    pub fn apart(&self) -> Self {
        let pool = Arc::new(Pool::new(&database::path(self.dir())));
        Self { shared: Arc::clone(&self.shared), pool }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// All records below this position are reflected, by all projections.
    pub fn position(&self) -> Position {
        self.shared.position.load(Ordering::Acquire)
    }

    /// Waits until everything below `position` is reflected; `false` if that took longer than `timeout`. To see the
    /// record at a position, wait for the one after it.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn wait_for(&self, position: Position, timeout: Duration) -> bool {
        if self.position() >= position {
            return true;
        }
        let mut changes = self.shared.changes.subscribe();
        let reached = changes.wait_for(|reached| *reached >= position);
        matches!(tokio::time::timeout(timeout, reached).await, Ok(Ok(_)))
    }

    /// Tells of every commit: the value is [`ReadModels::position`] after it.
    pub fn changed(&self) -> watch::Receiver<Position> {
        self.shared.changes.subscribe()
    }

    /// What the runner is doing, or why it stopped.
    pub fn status(&self) -> RunnerStatus {
        self.shared.status.lock().clone()
    }

    /// Says that everything below `position` is reflected now.
    pub(crate) fn publish(&self, position: Position) {
        self.shared.position.store(position, Ordering::Release);
        self.shared.changes.send_replace(position);
    }

    /// Says what the runner is doing.
    pub(crate) fn set_status(&self, status: RunnerStatus) {
        *self.shared.status.lock() = status;
    }

    fn ask<T>(&self, question: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.pool.get()?.ask(question)
    }
}

impl std::fmt::Debug for ReadModels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadModels")
            .field("dir", &self.shared.dir)
            .field("position", &self.position())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lv_13_who_reads_apart_does_not_wait_for_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let models = ReadModels::open(dir.path()).unwrap();
        let apart = models.apart();
        let leases: Vec<_> = (0..crate::pool::CONNECTIONS).map(|_| models.pool.get().unwrap()).collect();
        assert_eq!(apart.changed_endpoints(None).unwrap(), []);
        assert_eq!(leases.len(), crate::pool::CONNECTIONS);
    }
}
