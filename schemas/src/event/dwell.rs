//! Events of a contact's stream that tell of clocks and reactions of its stays.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::contact::TransitionSource;
use crate::{BucketId, RecordId, StayId, Timestamp};

/// A stay reached an age that a schedule of its bucket waits for: the stored event `bucket:dwell:<id>:<label>` (BK-131,
/// BK-132). Not announced by a webhook (BK-137).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BucketDwelled {
    /// The instant it fell due.
    pub at: Timestamp,
    /// The bucket.
    pub bucket: BucketId,
    /// Its name then.
    pub bucket_name: String,
    /// The stay.
    pub stay: StayId,
    /// Ordinal of the stay.
    pub epoch: u32,
    /// The schedule, such as `after-604800000` (BK-121).
    pub label: CompactString,
    /// How many times the schedule's length had passed, `dwellCount` on the wire; 1 for a schedule that fires once.
    pub ordinal: u64,
    /// Who decided.
    pub source: TransitionSource,
    /// The contact's canonical key then.
    #[serde(default)]
    pub user_key: CompactString,
    /// The contact's primary address then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<CompactString>,
}

/// A stay got an unconditional end, because its bucket had no `maxDwell` when it began and has one now (BK-142).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BucketDeadline {
    /// When the definition with `maxDwell` came into force.
    pub at: Timestamp,
    /// The bucket.
    pub bucket: BucketId,
    /// The stay.
    pub stay: StayId,
    /// Ordinal of the stay.
    pub epoch: u32,
    /// The end.
    pub max_dwell_at: Timestamp,
}

/// A stay that was past a threshold when the schedule came got the instant of its first fire, because the bucket lets
/// such members catch up at no more than `dwellCatchUpPerMinute` (BK-138).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DwellPlanned {
    /// When it was given out.
    pub at: Timestamp,
    /// The bucket.
    pub bucket: BucketId,
    /// The stay.
    pub stay: StayId,
    /// Ordinal of the stay.
    pub epoch: u32,
    /// The schedule.
    pub label: CompactString,
    /// Since when the schedule decides; if that changes, the plan is void.
    pub since: Timestamp,
    /// The instant given.
    pub due: Timestamp,
}

/// A stay's turn to catch up with one schedule; see [`DwellPlanned`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DwellPlan {
    /// The schedule.
    pub label: CompactString,
    /// See [`DwellPlanned::since`].
    pub since: Timestamp,
    /// See [`DwellPlanned::due`].
    pub due: Timestamp,
}

/// What became of a reaction (BK-123).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReactionOutcome {
    /// It ran; what it did follows.
    Ran,
    /// Its own filter left the transition out: `firstEntryOnly` or `reason`.
    Filtered,
    /// Too many reactions had followed from each other; it did not run.
    Cascade,
    /// The properties would have become larger than allowed; nothing of it ran.
    Refused,
}

impl ReactionOutcome {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::Filtered => "filtered",
            Self::Cascade => "cascade",
            Self::Refused => "refused",
        }
    }
}

/// A reaction of a bucket met a transition (BK-120).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reacted {
    /// When; what it did carries the same instant.
    pub at: Timestamp,
    /// The bucket.
    pub bucket: BucketId,
    /// The reaction, such as `bucket-vip-on-enter`.
    pub reaction: CompactString,
    /// The stay.
    pub stay: StayId,
    /// Ordinal of the stay.
    pub epoch: u32,
    /// The record of the transition.
    pub transition: RecordId,
    /// What became of it.
    pub outcome: ReactionOutcome,
}

/// What a schedule fired last in a stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dwelled {
    /// The schedule's label (BK-121).
    pub label: CompactString,
    /// The ordinal it fired (BK-132).
    pub ordinal: u64,
}
