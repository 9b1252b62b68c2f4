//! What each event means for the stays, as data.

use mainspring_schemas::{
    BucketId, ContactId, StayId, Timestamp,
    event::{
        DomainEvent,
        contact::{
            Absorbed, BucketDeadline, BucketEntered, BucketLeft, ContactEvent, LeaveReason, TransitionSource,
        },
    },
};

use crate::fact::{Fact, Owner};

/// What happens to stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StayChange<'a> {
    /// A stay begins (BK-80).
    Begin {
        /// Whose.
        contact: ContactId,
        /// The event.
        entered: &'a BucketEntered,
    },
    /// A stay ends (BK-90).
    End {
        /// The event.
        left: &'a BucketLeft,
    },
    /// A stay gets an unconditional end (BK-142).
    Deadline {
        /// The event.
        deadline: &'a BucketDeadline,
    },
    /// Stays of a merged contact come to the survivor; those that are not named as moving end silently (BK-240).
    Move {
        /// The survivor.
        survivor: ContactId,
        /// The event.
        absorbed: &'a Absorbed,
    },
    /// The contact is deleted and its stays are seen nowhere (BK-228, BK-244), but that can be undone (GD-02).
    Hide {
        /// Whose.
        contact: ContactId,
    },
    /// The deletion is undone, and what had been hidden is back.
    Show {
        /// Whose.
        contact: ContactId,
    },
    /// The contact is erased and its stays are gone for good (GD-03).
    Forget {
        /// Whose.
        contact: ContactId,
    },
}

/// The change a record makes to the stays, if any.
pub fn project(fact: &Fact) -> Option<StayChange<'_>> {
    let (Owner::Contact(contact), DomainEvent::Contact(event)) = (fact.owner, &fact.event) else {
        return None;
    };
    match event {
        ContactEvent::BucketEntered(entered) => Some(StayChange::Begin { contact, entered }),
        ContactEvent::BucketLeft(left) => Some(StayChange::End { left }),
        ContactEvent::BucketDeadline(deadline) => Some(StayChange::Deadline { deadline }),
        ContactEvent::Absorbed(absorbed) if !absorbed.standings.is_empty() => {
            Some(StayChange::Move { survivor: contact, absorbed })
        }
        ContactEvent::Deleted(deleted) if deleted.erases() => Some(StayChange::Forget { contact }),
        ContactEvent::Deleted(_) => Some(StayChange::Hide { contact }),
        ContactEvent::Restored(_) => Some(StayChange::Show { contact }),
        _ => None,
    }
}

/// What became of a stay, for the figures: they count exactly the rows there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StayFact {
    /// A stay began.
    Began {
        /// The bucket.
        bucket: BucketId,
        /// When.
        entered_at: Timestamp,
    },
    /// A stay ended.
    Ended {
        /// The bucket.
        bucket: BucketId,
        /// When it began.
        entered_at: Timestamp,
        /// When it ended.
        left_at: Timestamp,
    },
    /// A stay counts no more.
    Forgotten {
        /// The bucket.
        bucket: BucketId,
        /// When it began.
        entered_at: Timestamp,
        /// When it had ended, if it had.
        left_at: Option<Timestamp>,
    },
}

/// A stay's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StayRow {
    /// The stay.
    pub id: StayId,
    /// Whose it is now.
    pub contact: ContactId,
    /// Whose it was when it began (MC-44).
    pub origin: ContactId,
    /// The bucket.
    pub bucket: BucketId,
    /// When it began.
    pub entered_at: Timestamp,
    /// When it ended.
    pub left_at: Option<Timestamp>,
    /// Why it ended.
    pub reason: Option<LeaveReason>,
    /// Its unconditional end.
    pub max_dwell_at: Option<Timestamp>,
    /// Its ordinal.
    pub epoch: u32,
    /// Who decided the join.
    pub source: TransitionSource,
    /// Its historical dwell start.
    pub dwell_anchor_at: Option<Timestamp>,
    /// Whether the join was announced (BK-85).
    pub announced: bool,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the row changed last.
    pub updated_at: Timestamp,
}

impl StayRow {
    /// The row of a stay that begins.
    pub fn begin(contact: ContactId, entered: &BucketEntered, recorded_at: Timestamp) -> Self {
        Self {
            id: entered.stay,
            contact,
            origin: contact,
            bucket: entered.bucket.clone(),
            entered_at: entered.at,
            left_at: None,
            reason: None,
            max_dwell_at: entered.max_dwell_at,
            epoch: entered.epoch,
            source: entered.source,
            dwell_anchor_at: entered.dwell_anchor_at,
            announced: entered.announced,
            created_at: recorded_at,
            updated_at: recorded_at,
        }
    }
}
