//! Snapshots in a SQLite file of their own.
//!
//! Everything here may be lost, so nothing waits for the disk: saves are gathered by a thread and stored in one
//! transaction, without syncing. A power failure can therefore damage the file: every row carries a checksum, and a
//! file that SQLite cannot use is thrown away.

use std::{
    collections::HashMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
};

use async_trait::async_trait;
use mainspring_schemas::StreamName;
use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};
use tokio::sync::watch;

use crate::{LogError, Snapshot, SnapshotStore, Version};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = OFF;
    CREATE TABLE IF NOT EXISTS snapshots (
        stream TEXT PRIMARY KEY NOT NULL,
        version INTEGER NOT NULL,
        schema_version INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        payload BLOB NOT NULL
    );
    SELECT count(*) FROM sqlite_schema;";

/// What is to become of a stream's snapshot.
#[derive(Clone, Debug, Default)]
struct Change {
    /// Forget the stored one first, even if it is newer.
    forget: bool,
    snapshot: Option<Snapshot>,
}

#[derive(Default)]
struct State {
    /// Not yet taken by the thread.
    waiting: HashMap<StreamName, Change>,
    /// Being stored right now, and not yet to be found in the file.
    storing: Arc<HashMap<StreamName, Change>>,
    /// Number of changes so far.
    changes: u64,
    closing: bool,
}

struct Inner {
    path: PathBuf,
    state: Mutex<State>,
    arrived: Condvar,
    reader: Mutex<Connection>,
    stored: watch::Sender<u64>,
}

/// Keeps snapshots in a SQLite file.
pub struct SqliteSnapshots {
    inner: Arc<Inner>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for SqliteSnapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteSnapshots").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

impl SqliteSnapshots {
    /// Opens the file, or begins an empty one if it is absent or unusable.
    ///
    /// # Errors
    /// [`LogError::Io`] if no file can be made there.
    pub fn open(path: impl AsRef<Path>) -> Result<Arc<Self>, LogError> {
        let path = path.as_ref().to_path_buf();
        let writer = match connect(&path) {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "the snapshots are unusable; beginning without any");
                discard(&path);
                connect(&path).map_err(|error| failed("opening", &path, error))?
            }
        };
        let reader = connect(&path).map_err(|error| failed("opening", &path, error))?;
        let inner = Arc::new(Inner {
            path,
            state: Mutex::default(),
            arrived: Condvar::new(),
            reader: Mutex::new(reader),
            stored: watch::channel(0).0,
        });
        let owner = Arc::clone(&inner);
        let thread =
            thread::Builder::new().name("mainspring-snapshots".into()).spawn(move || owner.store(writer));
        let thread = thread
            .map_err(|source| LogError::Io { context: "starting the snapshot writer".into(), source })?;
        Ok(Arc::new(Self { inner, thread: Mutex::new(Some(thread)) }))
    }

    /// Stores what is waiting and stops. Blocks; calling it again does nothing.
    pub fn close(&self) {
        self.inner.state.lock().closing = true;
        self.inner.arrived.notify_all();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the snapshot writer panicked");
        }
    }
}

impl Drop for SqliteSnapshots {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl SnapshotStore for SqliteSnapshots {
    fn save(&self, stream: &StreamName, snapshot: Snapshot) {
        self.inner.change(stream, |change| {
            if change.snapshot.as_ref().is_none_or(|known| known.version <= snapshot.version) {
                change.snapshot = Some(snapshot);
            }
        });
    }

    async fn load(&self, stream: &StreamName) -> Result<Option<Snapshot>, LogError> {
        self.inner.load(stream)
    }

    async fn flush(&self) {
        let target = self.inner.state.lock().changes;
        let mut stored = self.inner.stored.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = stored.wait_for(|stored| *stored >= target).await;
    }

    fn remove(&self, stream: &StreamName) {
        self.inner.change(stream, |change| *change = Change { forget: true, snapshot: None });
    }
}

impl Inner {
    fn change(&self, stream: &StreamName, apply: impl FnOnce(&mut Change)) {
        let mut state = self.state.lock();
        match state.waiting.get_mut(stream) {
            Some(change) => apply(change),
            None => apply(state.waiting.entry(stream.clone()).or_default()),
        }
        state.changes += 1;
        drop(state);
        self.arrived.notify_one();
    }

    fn load(&self, stream: &StreamName) -> Result<Option<Snapshot>, LogError> {
        let (waiting, storing) = {
            let state = self.state.lock();
            (state.waiting.get(stream).cloned(), Arc::clone(&state.storing))
        };
        let mut newest: Option<Snapshot> = None;
        for change in [waiting, storing.get(stream).cloned()].into_iter().flatten() {
            newest = newer(newest, change.snapshot);
            if change.forget {
                return Ok(newest);
            }
        }
        let stored =
            read(&self.reader.lock(), stream).map_err(|error| failed("reading", &self.path, error))?;
        Ok(newer(newest, stored))
    }

    /// The thread: takes all changes, stores them in one transaction, again and again.
    fn store(&self, mut connection: Connection) {
        loop {
            let (batch, target) = {
                let mut state = self.state.lock();
                while state.waiting.is_empty() {
                    if state.closing {
                        return;
                    }
                    self.arrived.wait(&mut state);
                }
                let batch = Arc::new(std::mem::take(&mut state.waiting));
                state.storing = Arc::clone(&batch);
                (batch, state.changes)
            };
            if let Err(error) = store(&mut connection, &batch) {
                tracing::warn!(%error, path = %self.path.display(), "snapshots were not stored");
                if is_unusable(&error) {
                    // The open connections keep the old file; the next start begins with an empty one.
                    discard(&self.path);
                }
            }
            self.state.lock().storing = Arc::default();
            self.stored.send_replace(target);
        }
    }
}

fn newer(one: Option<Snapshot>, other: Option<Snapshot>) -> Option<Snapshot> {
    match (one, other) {
        (Some(one), Some(other)) if one.version >= other.version => Some(one),
        (one, None) => one,
        (_, other) => other,
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

fn is_unusable(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Removes the file and what SQLite keeps beside it.
fn discard(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        if let Err(error) = fs::remove_file(&name)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %path.display(), "the snapshots could not be removed");
        }
    }
}

fn failed(doing: &str, path: &Path, error: rusqlite::Error) -> LogError {
    LogError::Io { context: format!("{doing} {}", path.display()), source: io::Error::other(error) }
}

fn checksum(version: Version, schema_version: u16, payload: &[u8]) -> u32 {
    let head = crc32c::crc32c(&version.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(head, &schema_version.to_le_bytes()), payload)
}

fn store(connection: &mut Connection, batch: &HashMap<StreamName, Change>) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for (stream, change) in batch {
        store_one(&transaction, stream, change)?;
    }
    transaction.commit()
}

fn store_one(transaction: &Transaction<'_>, stream: &StreamName, change: &Change) -> rusqlite::Result<()> {
    if change.forget {
        transaction.prepare_cached("DELETE FROM snapshots WHERE stream = ?1")?.execute([stream.as_str()])?;
    }
    if let Some(Snapshot { version, schema_version, payload }) = &change.snapshot {
        let mut save = transaction.prepare_cached(
            "INSERT INTO snapshots (stream, version, schema_version, checksum, payload) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (stream) DO UPDATE SET version = excluded.version, schema_version = excluded.schema_version,
             checksum = excluded.checksum, payload = excluded.payload WHERE excluded.version >= snapshots.version",
        )?;
        let checksum = checksum(*version, *schema_version, payload);
        save.execute(params![stream.as_str(), version.cast_signed(), schema_version, checksum, payload])?;
    }
    Ok(())
}

fn read(connection: &Connection, stream: &StreamName) -> rusqlite::Result<Option<Snapshot>> {
    let mut statement = connection.prepare_cached(
        "SELECT version, schema_version, checksum, payload FROM snapshots WHERE stream = ?1",
    )?;
    let row = statement
        .query_row([stream.as_str()], |row| {
            let version = row.get::<_, i64>(0)?.cast_unsigned();
            let snapshot = Snapshot { version, schema_version: row.get(1)?, payload: row.get(3)? };
            Ok((snapshot, row.get::<_, u32>(2)?))
        })
        .optional()?;
    // A row that does not match its checksum counts as lost.
    Ok(row.and_then(|(snapshot, stated)| {
        let actual = checksum(snapshot.version, snapshot.schema_version, &snapshot.payload);
        (actual == stated).then_some(snapshot)
    }))
}
