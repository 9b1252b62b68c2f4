//! Ids and secrets: the one place that asks the operating system for randomness.

use mainspring_schemas::{ContactId, EndpointId, KeyId, RecordId, RecoveryId, Timestamp};
use uuid::{Builder, Uuid};

/// How many random bytes are fetched at once: one system call serves many ids.
const POOL: usize = 4096;

/// A source of ids. Each thread has its own.
#[derive(Debug)]
pub struct Entropy {
    pool: Box<[u8; POOL]>,
    used: usize,
}

impl Default for Entropy {
    fn default() -> Self {
        Self { pool: Box::new([0; POOL]), used: POOL }
    }
}

impl Entropy {
    /// Random bytes, each used once.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        if self.used + N > POOL {
            fill(self.pool.as_mut_slice());
            self.used = 0;
        }
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.pool[self.used..self.used + N]);
        self.pool[self.used..self.used + N].fill(0);
        self.used += N;
        bytes
    }

    fn uuid(&mut self, now: Timestamp) -> Uuid {
        let millis = u64::try_from(now.0).unwrap_or_default();
        Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }

    /// A new record's id, version 7.
    pub fn record(&mut self, now: Timestamp) -> RecordId {
        RecordId(self.uuid(now))
    }

    /// A new contact's id, version 7.
    pub fn contact(&mut self, now: Timestamp) -> ContactId {
        ContactId(self.uuid(now))
    }

    /// A new endpoint's id, version 7.
    pub fn endpoint(&mut self, now: Timestamp) -> EndpointId {
        EndpointId(self.uuid(now))
    }

    /// A new recovery's id, version 7.
    pub fn recovery(&mut self, now: Timestamp) -> RecoveryId {
        RecoveryId(self.uuid(now))
    }

    /// A new API key's id, version 7.
    pub fn key(&mut self, now: Timestamp) -> KeyId {
        KeyId(self.uuid(now))
    }
}

/// Fills `bytes` with randomness. Without any the process cannot make ids or secrets and must not go on.
#[expect(
    clippy::panic,
    reason = "no safe way to continue without randomness; the operating system never refuses after boot"
)]
fn fill(bytes: &mut [u8]) {
    if let Err(error) = getrandom::fill(bytes) {
        panic!("the operating system gives no randomness: {error}");
    }
}
