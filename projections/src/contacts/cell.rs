//! A contact in a unit of work: as little of it as the changes so far needed.

use compact_str::CompactString;
use mainspring_eventlog::Version;
use mainspring_schemas::{Properties, Timestamp, identity::KeyKind};

/// What is held of one contact.
#[derive(Debug)]
pub(super) enum Cell {
    /// Only touched so far: its row need not be read to be written.
    Touched(Touch),
    /// Its row is here.
    Loaded(Box<Aggregate>),
    /// Merged away or deleted; later records only count versions.
    Former {
        /// Version of the newest record.
        version: Version,
        /// Whether that version is still to be written.
        dirty: bool,
    },
}

/// A row that is written without being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Touch {
    /// The version the row must have, or a record is missing (C3).
    pub stored: Version,
    /// The version it gets.
    pub version: Version,
    /// The newest instant it was seen; the row keeps its own if that is later.
    pub seen_at: Timestamp,
    /// Its next wake-up.
    pub wake_at: Option<Timestamp>,
}

impl Touch {
    /// The instant of a contact that was not seen.
    pub const UNSEEN: Timestamp = Timestamp(i64::MIN);

    /// Brings a row that was read up to this touch.
    pub fn apply(self, aggregate: &mut Aggregate) {
        aggregate.version = self.version;
        aggregate.wake_at = self.wake_at;
        aggregate.last_seen_at = aggregate.last_seen_at.max(self.seen_at);
    }
}

/// A contact's row with its properties.
#[derive(Debug)]
pub(super) struct Aggregate {
    /// Whether the database has the row.
    pub stored: bool,
    /// Version of the newest record of its stream.
    pub version: Version,
    /// Its next wake-up.
    pub wake_at: Option<Timestamp>,
    /// CT-07.
    pub first_seen_at: Timestamp,
    /// CT-08.
    pub last_seen_at: Timestamp,
    /// CT-09.
    pub created_at: Timestamp,
    /// CT-09.
    pub updated_at: Timestamp,
    /// Primary key of each kind that has one, in the order of [`KeyKind::ALL`].
    pub primaries: [Option<CompactString>; 4],
    /// Its properties as stored, until they are needed.
    pub stored_properties: Option<String>,
    /// Its properties, once they were needed.
    pub properties: Option<Properties>,
    /// Whether anything but version, wake-up and last instant is still to be written.
    pub profile_dirty: bool,
}

impl Aggregate {
    /// A contact that comes into being.
    pub fn new(at: Timestamp, wake_at: Option<Timestamp>, properties: Properties) -> Self {
        Self {
            stored: false,
            version: 0,
            wake_at,
            first_seen_at: at,
            last_seen_at: at,
            created_at: at,
            updated_at: at,
            primaries: [const { None }; 4],
            stored_properties: None,
            properties: Some(properties),
            profile_dirty: true,
        }
    }

    /// Its properties, for changing them.
    pub fn properties_mut(&mut self) -> serde_json::Result<&mut Properties> {
        let properties = match self.stored_properties.take() {
            Some(text) => Some(serde_json::from_str(&text)?),
            None => self.properties.take(),
        };
        Ok(self.properties.insert(properties.unwrap_or_default()))
    }

    /// The slot of a kind's primary key, if the kind has one.
    pub fn primary_mut(&mut self, kind: KeyKind) -> Option<&mut Option<CompactString>> {
        let slot = match kind {
            KeyKind::External => 0,
            KeyKind::Email => 1,
            KeyKind::Discord => 2,
            KeyKind::Anonymous => 3,
            KeyKind::Provider => return None,
        };
        self.primaries.get_mut(slot)
    }

    /// Moves the instants that a call moves.
    pub fn changed(&mut self, at: Timestamp) {
        self.last_seen_at = self.last_seen_at.max(at);
        self.updated(at);
    }

    /// Moves the instant that every change moves.
    pub fn updated(&mut self, at: Timestamp) {
        self.updated_at = at;
        self.profile_dirty = true;
    }
}
