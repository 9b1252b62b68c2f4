//! The log of a single machine: a directory of append-only files and one thread that writes them.
//!
//! ```text
//!  callers ──submit──> queue ──> writer thread: check versions, one buffer, one write, one sync ──> answers
//!                                     │ publishes only what is synced
//!                                     v
//!  readers <── pread ── segments   index: stream -> newest frame (16 bytes per stream)
//! ```
//!
//! The byte layout stands in `layout`, how a crash is told from damage in `tail`. Reads are plain synchronous reads
//! of the page cache or the disk, so their futures are ready at once.

mod checkpoint;
#[cfg(test)]
mod collisions;
mod decode;
mod encode;
pub mod file_system;
mod group;
mod heads;
mod hints;
mod index;
mod layout;
mod log;
mod name_hash;
mod options;
mod prepare;
mod queue;
mod reader;
mod recovery;
mod scan;
mod segment;
mod shared;
mod snapshots;
mod statistics;
mod table;
mod tail;
mod verify;
mod writer;

pub use log::EmbeddedLog;
pub use options::{Options, RecoveryMode};
pub use recovery::Recovery;
pub use snapshots::SqliteSnapshots;
pub use statistics::Statistics;
pub use verify::{Progress, Verification};
