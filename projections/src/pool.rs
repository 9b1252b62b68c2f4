//! A few read connections, handed out one at a time.

use std::path::{Path, PathBuf};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use crate::{database, error::Result};

/// Most connections open at a time; further readers wait for one.
pub(crate) const CONNECTIONS: usize = 4;

/// Idle connections, and how many there are in all.
struct Idle {
    connections: Vec<Connection>,
    open: usize,
}

/// The pool.
pub(crate) struct Pool {
    path: PathBuf,
    idle: Mutex<Idle>,
    returned: Condvar,
}

impl Pool {
    /// A pool over a file; connections are opened when first needed.
    pub fn new(path: &Path) -> Self {
        let idle = Idle { connections: Vec::new(), open: 0 };
        Self { path: path.to_owned(), idle: Mutex::new(idle), returned: Condvar::new() }
    }

    /// A connection for the time of one question.
    pub fn get(&self) -> Result<Lease<'_>> {
        let mut idle = self.idle.lock();
        loop {
            if let Some(connection) = idle.connections.pop() {
                return Ok(Lease { pool: self, connection: Some(connection) });
            }
            if idle.open < CONNECTIONS {
                idle.open += 1;
                break;
            }
            self.returned.wait(&mut idle);
        }
        drop(idle);
        // The place is taken, so the lease must exist even if opening fails: dropping it frees the place.
        let mut lease = Lease { pool: self, connection: None };
        lease.connection = Some(database::open_reader(&self.path)?);
        Ok(lease)
    }
}

/// A connection that goes back when dropped.
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
}

impl Lease<'_> {
    /// Asks one question.
    pub fn ask<T>(&self, question: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        match &self.connection {
            Some(connection) => question(connection),
            None => Err(crate::ProjectionError::WorkerLost),
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut idle = self.pool.idle.lock();
        match self.connection.take() {
            Some(connection) => idle.connections.push(connection),
            None => idle.open -= 1,
        }
        drop(idle);
        self.pool.returned.notify_one();
    }
}
