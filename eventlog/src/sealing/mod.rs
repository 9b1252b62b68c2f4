//! Sealing: what is personal in a record is encrypted with a key of its contact's own, so that destroying that key erases
//! the person from a log nobody can change.
//!
//! * [`DataKeys`] keeps the keys, beside the log and never in it.
//! * `cipher` seals and opens one payload.
//! * [`SealedLog`] puts both around any other log: who writes names a key, who reads gets payloads as they were written.
//!
//! Counts, positions, versions, instants and the hash chain stand outside: they are provable with or without the keys.

mod cipher;
mod data_keys;
mod sealed_log;

pub use cipher::{Cipher, open_bytes, seal_bytes};
pub use data_keys::{DataKeys, KeyState};
pub use sealed_log::SealedLog;
