//! Events of a bucket's stream: its definition through time, and its back-fills (BK-189).

use serde::{Deserialize, Serialize};

use crate::{ContactId, Timestamp, definition::BucketDefinition};

/// A definition appeared or changed; in force from this record on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Defined {
    /// The activation instant.
    pub at: Timestamp,
    /// The definition, in long form.
    pub definition: BucketDefinition,
    /// Digest of the criteria (BK-181).
    pub criteria_hash: String,
    /// Whether members must be decided anew because of it: first definition, changed criteria, or a return.
    pub re_evaluates: bool,
    /// Whether members must be looked at, though not decided anew: a dwell schedule came (BK-138), or a `maxDwell`
    /// where there was none (BK-142).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replans: bool,
}

/// The definition went away: kept, not evaluated, not announced, not counted (BK-203).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// When.
    pub at: Timestamp,
}

/// An operator switched the bucket (BK-200); wins over the definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched {
    /// When.
    pub at: Timestamp,
    /// The switch.
    pub enabled: bool,
}

/// What a pass over the contacts is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To decide who is a member (BK-182, BK-184).
    #[default]
    Membership,
    /// To plan the clocks of members, whose membership stays as it is (BK-135, BK-138, BK-142).
    Clocks,
}

impl Purpose {
    fn is_membership(&self) -> bool {
        *self == Self::Membership
    }
}

/// A back-fill began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillStarted {
    /// When.
    pub at: Timestamp,
    /// The criteria it decides.
    pub criteria_hash: String,
    /// How many contacts there are to look at.
    pub total: u64,
    /// What the pass is for.
    #[serde(default, skip_serializing_if = "Purpose::is_membership")]
    pub purpose: Purpose,
}

/// A chunk of a back-fill is decided and durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillAdvanced {
    /// When.
    pub at: Timestamp,
    /// The last contact decided; the next chunk begins after it.
    pub cursor: ContactId,
    /// Contacts decided so far.
    pub processed: u64,
    /// What the pass is for.
    #[serde(default, skip_serializing_if = "Purpose::is_membership")]
    pub purpose: Purpose,
}

/// A back-fill is through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillCompleted {
    /// When.
    pub at: Timestamp,
    /// The criteria it decided.
    pub criteria_hash: String,
    /// Contacts decided.
    pub processed: u64,
    /// What the pass is for.
    #[serde(default, skip_serializing_if = "Purpose::is_membership")]
    pub purpose: Purpose,
}

/// An event of a bucket's stream.
#[derive(Clone, Debug, PartialEq)]
pub enum BucketEvent {
    /// See [`Defined`].
    Defined(Box<Defined>),
    /// See [`Retired`].
    Retired(Retired),
    /// See [`Switched`].
    Switched(Switched),
    /// See [`BackfillStarted`].
    BackfillStarted(BackfillStarted),
    /// See [`BackfillAdvanced`].
    BackfillAdvanced(BackfillAdvanced),
    /// See [`BackfillCompleted`].
    BackfillCompleted(BackfillCompleted),
}
