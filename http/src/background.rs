//! What works in the same process beside the edge: a port, for health and metrics.

use prometheus_client::registry::Registry;

/// Room on the disk that holds the data directory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// What may still be written.
    pub free: u64,
    /// All there is.
    pub total: u64,
}

/// What works beside the edge.
pub trait Background: Send + Sync + 'static {
    /// Names of the threads that have ended although nobody stopped them (HE-04).
    fn ended(&self) -> Vec<&'static str>;

    /// Room on the disk; `None` if nobody can tell.
    fn disk(&self) -> Option<Disk>;

    /// Bytes of the log on disk; `None` if it is elsewhere.
    fn log_bytes(&self) -> Option<u64>;

    /// Adds figures of its own to those of `GET /metrics` (HE-06).
    fn register(&self, metrics: &mut Registry);
}

/// Nothing works beside the edge.
pub(crate) struct Alone;

impl Background for Alone {
    fn ended(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn disk(&self) -> Option<Disk> {
        None
    }

    fn log_bytes(&self) -> Option<u64> {
        None
    }

    fn register(&self, _: &mut Registry) {}
}
