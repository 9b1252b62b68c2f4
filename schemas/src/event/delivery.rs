//! Events of an endpoint's delivery stream: what became of each attempt.

use serde::{Deserialize, Serialize};

use super::redelivery::{
    Expired, LetterDiscarded, Recovered, RecoveryAdvanced, RecoveryEnded, RecoveryStarted,
};
use crate::{DeliveryId, RecoveryId, Timestamp};

/// What an attempt leads to (OB-120..OB-127).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    /// The receiver took it. Terminal.
    Delivered,
    /// Another attempt follows.
    Retry {
        /// When.
        next_at: Timestamp,
    },
    /// Given up: a dead letter. Terminal.
    Failed,
}

/// One HTTP attempt and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempted {
    /// When the outcome was known.
    pub at: Timestamp,
    /// Which delivery.
    pub delivery: DeliveryId,
    /// Ordinal of the attempt, from 1.
    pub attempt: u32,
    /// What follows.
    pub result: AttemptResult,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
    /// The receiver's status; `None` if there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<u16>,
    /// The first bytes of the answer (OB-115).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_snippet: Option<String>,
    /// What went wrong, without personal data (OB-132).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The class of what went wrong: `server_error`, `timeout`, `network`, `blocked`, `config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_class: Option<String>,
    /// How many secrets signed the request (OB-181); `None` if nobody counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_count: Option<u8>,
    /// How often the delivery had been requeued when the attempt began. One that began before the newest requeue ends
    /// nothing but itself: only what that requeue asked for does (OB-160).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub requeues: u32,
    /// Until when the receiver wants nothing at all to be sent to the endpoint (OB-145).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled_until: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Why a delivery is made once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequeueCause {
    /// An operator asked for this one (OB-160).
    Retry,
    /// An operator asked for all of a span of time (OB-161).
    Recovery,
}

/// The delivery is due again, whatever became of it before: same message, same body; the numbers of its attempts go on,
/// its schedule starts afresh (OB-160).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requeued {
    /// When; it is due at once.
    pub at: Timestamp,
    /// Which delivery.
    pub delivery: DeliveryId,
    /// Why.
    pub cause: RequeueCause,
    /// By which recovery, if by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryId>,
}

/// Why a pending delivery is not made any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscardReason {
    /// Its endpoint was disabled for longer than deliveries are held (OB-88).
    Held,
    /// An operator asked for it.
    Operator,
}

/// The delivery ends without having been made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discarded {
    /// When.
    pub at: Timestamp,
    /// Which delivery.
    pub delivery: DeliveryId,
    /// Why.
    pub reason: DiscardReason,
}

/// An event of an endpoint's delivery stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryEvent {
    /// See [`Attempted`].
    Attempted(Attempted),
    /// See [`Requeued`].
    Requeued(Requeued),
    /// See [`Discarded`].
    Discarded(Discarded),
    /// See [`RecoveryStarted`].
    RecoveryStarted(RecoveryStarted),
    /// See [`Recovered`].
    Recovered(Recovered),
    /// See [`RecoveryAdvanced`].
    RecoveryAdvanced(RecoveryAdvanced),
    /// See [`RecoveryEnded`].
    RecoveryEnded(RecoveryEnded),
    /// See [`LetterDiscarded`].
    LetterDiscarded(LetterDiscarded),
    /// See [`Expired`].
    Expired(Expired),
}
