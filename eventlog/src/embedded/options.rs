//! What an operator can choose.

use std::{path::Path, sync::Arc};

use super::{
    file_system::{Disk, FileSystem},
    name_hash::NameHash,
};

/// What to do when the newest segment ends in bytes that are no frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoveryMode {
    /// Cut off what a crash left half written. It was never acknowledged. Damage anywhere else stops the start.
    #[default]
    TolerateTornTail,
    /// Stop the start on any byte that is not a whole, valid frame.
    Strict,
}

/// How an [`super::EmbeddedLog`] is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the files are.
    pub file_system: Arc<dyn FileSystem>,
    /// A segment is sealed when the next frame would make it longer than this. Default 256 MiB, at most 2 GiB.
    pub segment_bytes: u64,
    /// Appends waiting for the writer may take this much memory; more are answered "unavailable". Default 64 MiB.
    pub queue_bytes: usize,
    /// How strict opening is.
    pub recovery: RecoveryMode,
    /// Zeros written ahead of the end of the newest segment; 0 = the file grows as it is written. Default 16 MiB.
    pub prepare_bytes: u64,
    /// About how many streams' newest versions the writer keeps in memory. Default 131,072.
    pub hot_streams: usize,
    pub(super) name_hash: NameHash,
}

impl Options {
    /// The defaults, in a directory that is created if absent.
    pub fn new(directory: impl AsRef<Path>) -> Self {
        Self::on(Arc::new(Disk::new(directory)))
    }

    /// The defaults, on any file system.
    pub fn on(file_system: Arc<dyn FileSystem>) -> Self {
        Self {
            file_system,
            segment_bytes: 256 << 20,
            queue_bytes: 64 << 20,
            recovery: RecoveryMode::default(),
            prepare_bytes: 16 << 20,
            hot_streams: 1 << 17,
            name_hash: NameHash::default(),
        }
    }

    /// The segment size within what an address can express.
    pub(super) fn segment_limit(&self) -> u64 {
        self.segment_bytes.clamp(4 << 10, 2 << 30)
    }
}
