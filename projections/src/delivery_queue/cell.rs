//! A delivery in a unit of work.

use bytes::Bytes;
use mainspring_schemas::{ContactId, DeliveryId, EndpointId, MessageId, RecoveryId, Timestamp};

use super::{DeliveryStatus, DueDelivery};

/// A delivery's row, without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Place in the queue: position of the causing record, then the receiver's rank.
    pub seq: u64,
    /// Its id.
    pub id: DeliveryId,
    /// Where to.
    pub endpoint: EndpointId,
    /// The message.
    pub message: MessageId,
    /// The outbound type.
    pub event_type: String,
    /// Whom it is about.
    pub contact: Option<ContactId>,
    /// A test: one attempt only, never held (OB-177).
    pub test: bool,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Attempts made.
    pub attempts: u32,
    /// When the next one is due.
    pub next_attempt_at: Option<Timestamp>,
    /// When the last one ended.
    pub last_attempt_at: Option<Timestamp>,
    /// The last answer's status.
    pub response_status: Option<u16>,
    /// The last answer's first bytes.
    pub response_snippet: Option<String>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// The class of what went wrong last.
    pub error_class: Option<String>,
    /// When the receiver took it.
    pub delivered_at: Option<Timestamp>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the row changed last.
    pub updated_at: Timestamp,
    /// How often it became due anew after it had been made (OB-160).
    pub requeues: u32,
    /// Attempts made before its schedule began.
    pub schedule_from: u32,
    /// The recovery that queued it last.
    pub recovery: Option<RecoveryId>,
    /// Whether its sending since it was last delivered began with a recovery (OC-93).
    pub replay: bool,
}

impl DeliveryRow {
    /// A delivery that is due at once, to anybody and about nobody.
    pub fn new(seq: u64, endpoint: EndpointId, message: MessageId, event_type: &str, at: Timestamp) -> Self {
        Self {
            seq,
            id: DeliveryId::of(&message, endpoint),
            endpoint,
            message,
            event_type: event_type.to_owned(),
            contact: None,
            test: false,
            status: DeliveryStatus::Pending,
            attempts: 0,
            next_attempt_at: Some(at),
            last_attempt_at: None,
            response_status: None,
            response_snippet: None,
            last_error: None,
            error_class: None,
            delivered_at: None,
            created_at: at,
            updated_at: at,
            requeues: 0,
            schedule_from: 0,
            recovery: None,
            replay: false,
        }
    }
}

/// A delivery with what is still to be written of it.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// The row.
    pub row: DeliveryRow,
    /// The body of a new row, shared by all deliveries of its message; `None` for a stored row.
    pub body: Option<Bytes>,
}

impl Cell {
    /// A new delivery as whoever sends it sees it; `None` if it is not new.
    pub fn due(&self) -> Option<DueDelivery> {
        let row = &self.row;
        Some(DueDelivery {
            seq: row.seq,
            id: row.id,
            endpoint: row.endpoint,
            message: row.message,
            event_type: row.event_type.clone(),
            contact: row.contact,
            test: row.test,
            attempts: row.attempts,
            schedule_attempts: row.attempts.saturating_sub(row.schedule_from),
            requeues: row.requeues,
            replay: row.replay,
            due_at: row.next_attempt_at?,
            created_at: row.created_at,
            body: self.body.clone()?,
        })
    }
}

/// Bits of a place in the queue that rank the receivers of one record.
pub(super) const RANK_BITS: u32 = 20;

/// Place in the queue of a record's delivery to the receiver of a rank; `None` if there are too many receivers.
pub(super) fn place(position: u64, rank: usize) -> Option<u64> {
    let rank = u64::try_from(rank).ok().filter(|rank| rank >> RANK_BITS == 0)?;
    Some(position << RANK_BITS | rank)
}
