//! Figures for operators.

use std::sync::atomic::Ordering;

use super::shared::Shared;

/// What the log holds and how it has been doing since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Durable records.
    pub records: u64,
    /// Streams.
    pub streams: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Memory that the index takes.
    pub index_bytes: u64,
    /// Syncs since opening.
    pub syncs: u64,
    /// Records that one sync made durable, on average since opening.
    pub records_per_sync: f64,
}

impl Shared {
    pub(super) fn statistics(&self) -> Statistics {
        let syncs = self.counters.syncs.load(Ordering::Relaxed);
        let appended = self.counters.appended_records.load(Ordering::Relaxed);
        Statistics {
            records: self.durable_end(),
            streams: self.index.len() as u64,
            bytes: self.counters.bytes.load(Ordering::Relaxed),
            segments: self.segments.len() as u64,
            index_bytes: self.index.bytes() as u64,
            syncs,
            records_per_sync: if syncs == 0 { 0.0 } else { appended as f64 / syncs as f64 },
        }
    }
}
