//! The append-only log: the only truth of the system.
//!
//! [`EventLog`] is the contract every adapter keeps; [`embedded`] is the adapter of a single machine; `conformance`
//! is the suite every adapter must pass; [`sealing`] encrypts what is personal. This crate stores bytes under names: it
//! knows nothing of customers.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod embedded;
mod log;
mod record;
pub mod sealing;
mod snapshot;

pub use log::{AppendError, Appended, EventLog, LogError, OnDurable, Subscription};
pub use record::{Append, Expected, NewRecord, Position, Recorded, StreamAppend, Version};
pub use snapshot::{Snapshot, SnapshotStore};
