//! Events of one contact's stream: everything that is true about one person.

use std::collections::BTreeMap;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use super::dwell::{
    BucketDeadline, BucketDwelled, DwellPlan, DwellPlanned, Dwelled, Reacted, ReactionOutcome,
};
use crate::{BucketId, ContactId, Properties, RecordId, SourceId, StayId, Timestamp, identity::KeyKind};

/// How a key came to its contact (AK-01).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The contact was created with it.
    Created,
    /// A call attached it.
    Attached,
    /// It came with a merged contact.
    Merge,
    /// An import attached it.
    Import,
    /// A connector attached it.
    Connector,
}

/// Where an application event came from; set by the engine, never by the caller (IG-45).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The data plane.
    Api,
    /// An import of history.
    Import,
    /// The admin plane.
    Admin,
    /// A reaction of a bucket (BK-120).
    Bucket,
    /// An inbound webhook source (WS-16).
    Webhook(SourceId),
}

impl Source {
    /// The word shown for it: `api`, `import`, `admin`, `bucket`, or the id of the webhook source (IG-45).
    pub fn as_str(&self) -> &str {
        match self {
            Self::Api => "api",
            Self::Import => "import",
            Self::Admin => "admin",
            Self::Bucket => "bucket",
            Self::Webhook(source) => source.as_str(),
        }
    }

    /// Whose idempotency keys the event's key is one of; `None` = the application's (section 5 of the webhook
    /// sources): a provider's ids cannot swallow an application's events, nor those of another provider.
    pub fn origin(&self) -> Option<&SourceId> {
        match self {
            Self::Webhook(source) => Some(source),
            Self::Api | Self::Import | Self::Admin | Self::Bucket => None,
        }
    }
}

/// Who decided a membership transition (BK-100).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransitionSource {
    /// An application event or a contact write.
    Event,
    /// The clock.
    Reconcile,
    /// A definition that appeared or changed.
    Backfill,
    /// An operator.
    Manual,
}

impl TransitionSource {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Reconcile => "reconcile",
            Self::Backfill => "backfill",
            Self::Manual => "manual",
        }
    }
}

/// Why a stay ended (BK-90); `Merged` and `Deleted` are silent (BK-240, BK-244).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LeaveReason {
    /// The criteria became false.
    Criteria,
    /// The stay reached its maximum.
    MaxDwell,
    /// An operator ended it.
    Manual,
    /// Two stays became one in a merge.
    Merged,
    /// The contact was deleted.
    Deleted,
}

impl LeaveReason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Criteria => "criteria",
            Self::MaxDwell => "maxDwell",
            Self::Manual => "manual",
            Self::Merged => "merged",
            Self::Deleted => "deleted",
        }
    }
}

/// A key with its standing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedKey {
    /// Which kind.
    pub kind: KeyKind,
    /// The normalized value.
    pub value: CompactString,
    /// Whether it becomes the one the wire fields show; a former primary key stays as an additional one.
    pub primary: bool,
    /// How it came.
    pub via: Via,
}

/// The contact came into being (RS-01).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// When.
    pub at: Timestamp,
    /// Its first keys.
    #[serde(default)]
    pub keys: Vec<AttachedKey>,
    /// Its first properties, without nulls.
    #[serde(default)]
    pub properties: Properties,
}

/// Keys were attached, or an attached one became primary (RS-02, RS-30).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeysAttached {
    /// When.
    pub at: Timestamp,
    /// The keys.
    #[serde(default)]
    pub keys: Vec<AttachedKey>,
}

/// Properties got other values (RS-50..RS-56).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PropertiesChanged {
    /// When.
    pub at: Timestamp,
    /// Keys with their new, whole value.
    #[serde(default)]
    pub set: Properties,
    /// Keys that vanished.
    #[serde(default)]
    pub removed: Vec<String>,
    /// A reaction of a bucket did it (BK-120), so that nobody saw the contact.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_bucket: bool,
}

/// A call resolved to this contact and changed nothing else (CT-08).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// When.
    pub at: Timestamp,
}

/// The caller's idempotency key of an event, and a digest of the request that carried it (IK-02).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// The key as given.
    pub key: CompactString,
    /// Digest of the request, to tell a repeat from a reuse.
    pub request: u64,
}

/// An application event, stored once. The record's id is the event's id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRecorded {
    /// Name, case-sensitive, not trimmed.
    #[serde(default)]
    pub name: CompactString,
    /// When it happened, as the caller says; windows count by this.
    pub occurred_at: Timestamp,
    /// When it was accepted.
    pub at: Timestamp,
    /// The event's own properties; they never reach the contact (RS-55).
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub properties: Properties,
    /// Where it came from.
    pub source: Source,
    /// Present if the caller gave a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
}

/// The contact joined a bucket (BK-80). Also the stored transition event `bucket:entered:<id>` if announced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BucketEntered {
    /// Decision instant: for what the clock decides, the instant it fell due.
    pub at: Timestamp,
    /// The bucket.
    pub bucket: BucketId,
    /// Its name then.
    pub bucket_name: String,
    /// The stay.
    pub stay: StayId,
    /// Ordinal of the stay.
    pub epoch: u32,
    /// Who decided.
    pub source: TransitionSource,
    /// Whether the world is told (BK-85).
    pub announced: bool,
    /// Unconditional end of the stay (BK-140).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_dwell_at: Option<Timestamp>,
    /// Historical dwell start of a back-filled stay (BK-187).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dwell_anchor_at: Option<Timestamp>,
    /// The contact's canonical key then (KE-20).
    #[serde(default)]
    pub user_key: CompactString,
    /// The contact's primary address then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<CompactString>,
}

/// The contact left a bucket (BK-90).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BucketLeft {
    /// Decision instant: for what the clock decides, the instant it fell due.
    pub at: Timestamp,
    /// The bucket.
    pub bucket: BucketId,
    /// Its name then.
    pub bucket_name: String,
    /// The stay.
    pub stay: StayId,
    /// Ordinal of the stay.
    pub epoch: u32,
    /// When the stay began.
    pub entered_at: Timestamp,
    /// Who decided.
    pub source: TransitionSource,
    /// Why.
    pub reason: LeaveReason,
    /// Whether the world is told.
    pub announced: bool,
    /// The contact's canonical key then.
    #[serde(default)]
    pub user_key: CompactString,
    /// The contact's primary address then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<CompactString>,
}

/// Something outside must be told (OB-60): the envelope's `data`, frozen here (OB-52).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Announced {
    /// When; the envelope's `timestamp`.
    pub at: Timestamp,
    /// A type of the outbound catalog.
    pub outbound_type: CompactString,
    /// Whom it is about, if not the contact whose stream this is: somebody who was merged into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<ContactId>,
    /// The envelope's `data`.
    #[serde(default)]
    pub data: Properties,
}

/// This contact is gone into another one (MC-43, the loser's half). Terminal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergedInto {
    /// When.
    pub at: Timestamp,
    /// Who answers for it from now on.
    pub survivor: ContactId,
}

/// A bucket's standing that moves in a merge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MovedStanding {
    /// The bucket.
    pub bucket: BucketId,
    /// How many stays the loser ever had, or its highest epoch if that is more (BK-61).
    pub epochs: u32,
    /// When its last ended stay ended.
    pub last_left_at: Option<Timestamp>,
    /// The active stay that moves with its clocks; `None` if there was none or the survivor's own goes on (BK-240).
    pub active: Option<MovedStay>,
    /// The loser's active stay ended silently because the survivor's own goes on (BK-240).
    #[serde(default)]
    pub ended_by_merge: bool,
}

/// An active stay that moves in a merge, clocks intact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MovedStay {
    /// The stay.
    pub stay: StayId,
    /// Its ordinal.
    pub epoch: u32,
    /// When it began.
    pub entered_at: Timestamp,
    /// Who decided it.
    pub source: TransitionSource,
    /// Its unconditional end.
    pub max_dwell_at: Option<Timestamp>,
    /// Its historical dwell start.
    pub dwell_anchor_at: Option<Timestamp>,
    /// What its schedules fired last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dwelled: Vec<Dwelled>,
    /// When it catches up with schedules that came later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dwell_plans: Vec<DwellPlan>,
}

/// An idempotency key that moves in a merge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedIdempotency {
    /// Digest of the key.
    #[serde(with = "serde_bytes_16")]
    pub digest: [u8; 16],
    /// The event it stored.
    pub event: RecordId,
    /// Digest of the request.
    pub request: u64,
}

/// Another contact was absorbed (MC-43, the survivor's half), with everything needed to be it from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Absorbed {
    /// When.
    pub at: Timestamp,
    /// Who was absorbed.
    pub loser: ContactId,
    /// Version of the loser's last record before the merge: its history stays readable there (MC-44).
    pub loser_version: u64,
    /// Ids that had been merged into the loser before (MC-14).
    pub aliases: Vec<ContactId>,
    /// The loser's keys as they stand with the survivor.
    #[serde(default)]
    pub keys: Vec<AttachedKey>,
    /// The survivor's properties after the fold, whole (MC-20).
    #[serde(default)]
    pub properties: Properties,
    /// The loser's first instant.
    pub first_seen_at: Timestamp,
    /// The loser's history: event name to instants of occurrence, ascending.
    #[serde(default)]
    pub occurrences: BTreeMap<CompactString, Vec<Timestamp>>,
    /// The loser's idempotency keys (MC-31).
    #[serde(default)]
    pub idempotency: Vec<MovedIdempotency>,
    /// There is too much history to carry it: `occurrences` and `idempotency` are empty here, and are those that the
    /// loser's own stream tells (RS-88).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_reference: bool,
    /// The loser's stays.
    pub standings: Vec<MovedStanding>,
}

/// Evidence that contradicted itself was not followed (RS-24).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdentityConflict {
    /// When.
    pub at: Timestamp,
    /// The kind of the key that was left where it is.
    pub kind: KeyKind,
    /// Who owns it.
    pub other: ContactId,
}

/// The person was erased (GD-03): the data keys named here are destroyed, and with them everything personal that was
/// sealed. Followed in the same append by a [`Deleted`] with reason `erased`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// When.
    pub at: Timestamp,
    /// The data keys, of the contact itself and of those that were merged into it.
    pub data_keys: Vec<Uuid>,
    /// Contacts that had been merged into this one, directly or not: they are erased with it.
    pub former: Vec<ContactId>,
}

/// The contact was deleted; its keys are free (CT-70). Unless it was erased, only a [`Restored`] follows, or an
/// [`Erased`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deleted {
    /// When.
    pub at: Timestamp,
    /// `deleted` or `erased` (GD-07).
    pub reason: CompactString,
}

impl Deleted {
    /// Whether it is the last word of an erasure, which cannot be undone.
    pub fn erases(&self) -> bool {
        self.reason == "erased"
    }
}

/// The deletion was undone (GD-02). It carries what the read models gave up at the deletion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restored {
    /// When.
    pub at: Timestamp,
    /// The keys it has again: those that nobody took meanwhile.
    #[serde(default)]
    pub keys: Vec<AttachedKey>,
    /// All its properties.
    #[serde(default)]
    pub properties: Properties,
    /// CT-07.
    pub first_seen_at: Timestamp,
    /// CT-08.
    pub last_seen_at: Timestamp,
    /// CT-09.
    pub created_at: Timestamp,
}

/// The clock or a definition made the actor look, nothing changed, but its next wake-up did; the record carries it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Looked {
    /// When.
    pub at: Timestamp,
}

/// An event of a contact's stream.
#[derive(Clone, Debug, PartialEq)]
pub enum ContactEvent {
    /// See [`Created`].
    Created(Created),
    /// See [`KeysAttached`].
    KeysAttached(KeysAttached),
    /// See [`PropertiesChanged`].
    PropertiesChanged(PropertiesChanged),
    /// See [`Seen`].
    Seen(Seen),
    /// See [`EventRecorded`].
    EventRecorded(EventRecorded),
    /// See [`BucketEntered`].
    BucketEntered(BucketEntered),
    /// See [`BucketLeft`].
    BucketLeft(BucketLeft),
    /// See [`BucketDwelled`].
    BucketDwelled(BucketDwelled),
    /// See [`BucketDeadline`].
    BucketDeadline(BucketDeadline),
    /// See [`DwellPlanned`].
    DwellPlanned(DwellPlanned),
    /// See [`Reacted`].
    Reacted(Reacted),
    /// See [`Announced`].
    Announced(Announced),
    /// See [`MergedInto`].
    MergedInto(MergedInto),
    /// See [`Absorbed`].
    Absorbed(Box<Absorbed>),
    /// See [`IdentityConflict`].
    IdentityConflict(IdentityConflict),
    /// See [`Erased`].
    Erased(Erased),
    /// See [`Deleted`].
    Deleted(Deleted),
    /// See [`Restored`].
    Restored(Restored),
    /// See [`Looked`].
    Looked(Looked),
}

/// Sixteen bytes as one binary value instead of a list of numbers.
mod serde_bytes_16 {
    use serde::{Deserializer, Serializer, de::Visitor};

    pub fn serialize<S: Serializer>(bytes: &[u8; 16], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 16], D::Error> {
        struct Sixteen;
        impl Visitor<'_> for Sixteen {
            type Value = [u8; 16];

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("sixteen bytes")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
            }
        }
        deserializer.deserialize_bytes(Sixteen)
    }
}
