//! What goes into the log and what comes out.

use bytes::Bytes;
use compact_str::CompactString;
use mainspring_schemas::{RecordId, StreamName, Timestamp};
use uuid::Uuid;

/// Place of a record in the whole log: 0, 1, 2, ... without a gap.
pub type Position = u64;

/// Place of a record in its stream: 0, 1, 2, ... without a gap.
pub type Version = u64;

/// What an append demands of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever the stream holds.
    Any,
    /// The stream has never been written.
    NoStream,
    /// The stream's last record has this version.
    Version(Version),
}

/// A record about to be appended.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// The record's own id, unique in the log.
    pub id: RecordId,
    /// Name of the event's type, at most 64 bytes.
    pub event_type: CompactString,
    /// Version of the event's schema, from 1.
    pub schema_version: u16,
    /// The record that caused this one.
    pub causation: Option<RecordId>,
    /// The trace or request this record belongs to.
    pub trace: Option<Uuid>,
    /// When the actor must look again, as of this record; `None` = never by the clock.
    pub wake_at: Option<Timestamp>,
    /// Position of the newest definition in force when this was decided; 0 = none.
    pub definitions: Position,
    /// Which data key seals the payload; `None` = the payload is in clear.
    pub sealed_with: Option<Uuid>,
    /// The encoded event.
    pub payload: Bytes,
}

/// The records one append adds to one stream.
#[derive(Clone, Debug)]
pub struct StreamAppend {
    /// The stream.
    pub stream: StreamName,
    /// What it must look like now.
    pub expected: Expected,
    /// At least one record.
    pub records: Vec<NewRecord>,
}

/// One append: all of it becomes durable, or nothing does.
#[derive(Clone, Debug)]
pub struct Append {
    /// The instant of the decision, kept with every record.
    pub recorded_at: Timestamp,
    /// The streams written, each at most once. More than one only where [`crate::EventLog::atomic_streams`] says so.
    pub streams: Vec<StreamAppend>,
}

/// A record as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Place in the log.
    pub position: Position,
    /// The stream it belongs to.
    pub stream: StreamName,
    /// Place in the stream.
    pub version: Version,
    /// The instant of the decision.
    pub recorded_at: Timestamp,
    /// See [`NewRecord::id`].
    pub id: RecordId,
    /// See [`NewRecord::event_type`].
    pub event_type: CompactString,
    /// See [`NewRecord::schema_version`].
    pub schema_version: u16,
    /// See [`NewRecord::causation`].
    pub causation: Option<RecordId>,
    /// See [`NewRecord::trace`].
    pub trace: Option<Uuid>,
    /// See [`NewRecord::wake_at`].
    pub wake_at: Option<Timestamp>,
    /// See [`NewRecord::definitions`].
    pub definitions: Position,
    /// See [`NewRecord::sealed_with`].
    pub sealed_with: Option<Uuid>,
    /// See [`NewRecord::payload`].
    pub payload: Bytes,
}
