//! What can go wrong. No message contains a row's content (invariant 9).

use std::path::PathBuf;

use mainspring_eventlog::{LogError, Position, Version};
use mainspring_schemas::{StreamName, codec::DecodeError};

/// Why the read models could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// The next record is not the one after the last (C3): the log or a subscription skipped or repeated something.
    #[error("position {found} follows where {expected} was due")]
    PositionGap {
        /// The position that was due.
        expected: Position,
        /// The position that came.
        found: Position,
    },
    /// A stream's versions are not contiguous (C3).
    #[error("{stream} has version {found} at position {position} where {expected} was due")]
    VersionGap {
        /// The stream.
        stream: StreamName,
        /// Position of the record, or of the end of its batch where the gap shows at writing.
        position: Position,
        /// The version that was due.
        expected: Version,
        /// The version that came.
        found: Version,
    },
    /// A record that this program cannot read.
    #[error("record at position {position} cannot be read: {source}")]
    Undecodable {
        /// Where.
        position: Position,
        /// Why.
        source: DecodeError,
    },
    /// A record whose stream name does not fit its category.
    #[error("record at position {position} stands in a stream of no known shape")]
    Misplaced {
        /// Where.
        position: Position,
    },
    /// An event fans out to more endpoints than the order of the queue has room for.
    #[error("record at position {position} has too many receivers")]
    TooManyReceivers {
        /// Where.
        position: Position,
    },
    /// A value stored in a read model is none this program writes.
    #[error("column {column} holds a value of another shape")]
    Malformed {
        /// The column.
        column: &'static str,
    },
    /// The read models were written by a newer program.
    #[error("projection {name} has schema version {found}, this program writes {known}")]
    Newer {
        /// The projection.
        name: String,
        /// Its stored version.
        found: u32,
        /// The version of this program.
        known: u32,
    },
    /// The read models are ahead of the log: they belong to another one.
    #[error("the read models reach position {position}, the log ends at {end}")]
    Ahead {
        /// Where the read models are.
        position: Position,
        /// Where the log ends.
        end: Position,
    },
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// SQLite refused.
    #[error("the database of the read models failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// JSON could not be written or read.
    #[error("a value of a read model is no JSON this program knows: {0}")]
    Json(#[from] serde_json::Error),
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It was told to stop before it was through.
    #[error("interrupted")]
    Interrupted,
    /// A worker thread ended without an answer.
    #[error("a worker thread of the read models ended unexpectedly")]
    WorkerLost,
}

impl ProjectionError {
    /// An input or output error at a path.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// Shorthand of this crate.
pub(crate) type Result<T, E = ProjectionError> = std::result::Result<T, E>;
