//! Events of an endpoint's delivery stream that are not about one attempt: recoveries, and what leaves by age.

use serde::{Deserialize, Serialize};

use crate::{ContactId, DeliveryId, RecordId, RecoveryId, Timestamp};

/// An operator asked for a span of time to be delivered again (OB-161).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryStarted {
    /// When.
    pub at: Timestamp,
    /// Its id, under which progress is asked for.
    pub recovery: RecoveryId,
    /// Deliveries made, and messages recorded, at this instant or later.
    pub since: Timestamp,
    /// And at this instant or before.
    pub until: Timestamp,
    /// Deliveries in one of these states.
    pub statuses: Vec<String>,
    /// Of one of these types or patterns; empty = all.
    pub event_types: Vec<String>,
    /// Whether messages that never had a delivery to the endpoint get one.
    pub include_missed: bool,
    /// How many such deliveries there were when it was asked for; missed messages are counted as they are found.
    pub matched: u64,
    /// End of the log then: nothing that came later belongs to it.
    pub end: u64,
}

/// A page of a recovery was queued; its deliveries stand in the same append.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryAdvanced {
    /// When.
    pub at: Timestamp,
    /// Which recovery.
    pub recovery: RecoveryId,
    /// Everything caused by records below this position is done.
    pub through: u64,
    /// Deliveries queued so far.
    pub queued: u64,
    /// How many of them are of missed messages.
    pub missed: u64,
}

/// A recovery is over: everything is queued, or its endpoint is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryEnded {
    /// When.
    pub at: Timestamp,
    /// Which recovery.
    pub recovery: RecoveryId,
}

/// A message that never had a delivery to the endpoint gets one (OB-161).
///
/// It carries the envelope, because a projector sees one record at a time, and whose data it is: so it is sealed with the
/// key that seals the source, and goes with it. Message and delivery ids follow from source and type, as they do for a
/// message that is delivered at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// When.
    pub at: Timestamp,
    /// By which recovery.
    pub recovery: RecoveryId,
    /// The record that caused the message.
    pub source: RecordId,
    /// The outbound type.
    pub event_type: String,
    /// Whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<ContactId>,
    /// The envelope, byte for byte as a live delivery would have had it (OB-52).
    #[serde(default)]
    pub body: String,
}

/// An operator needs a dead letter no more (OB-155); its delivery stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterDiscarded {
    /// When.
    pub at: Timestamp,
    /// The delivery whose dead letter it is.
    pub delivery: DeliveryId,
}

/// Deliveries that ended long ago leave the read models, with bodies, attempts and dead letters (OB-163).
///
/// It is a record, so that a rebuild forgets exactly what was forgotten and at the same place of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// When.
    pub at: Timestamp,
    /// Delivered and discarded ones that ended at this instant or before.
    pub ended_until: Timestamp,
    /// Failed ones that ended at this instant or before.
    pub failed_until: Timestamp,
}
