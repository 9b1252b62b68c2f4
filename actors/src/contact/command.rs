//! What a contact can be asked, and what it answers.

use std::collections::BTreeMap;

use compact_str::CompactString;
use mainspring_eventlog::Version;
use mainspring_schemas::{
    BucketId, ContactId, Properties, RecordId, Timestamp,
    event::contact::{ContactEvent, Source, Via},
    identity::{IdentityKey, KeyKind},
    outbound_event::OutboundEvent,
};

use uuid::Uuid;

use super::state::ContactState;
use crate::identity::MergePolicy;

/// Which calls give a contact that has an address another primary one (RS-32).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmailUpdate {
    /// Explicit upserts that designate the contact by something else than the address (RS-30).
    #[default]
    Upsert,
    /// Events too.
    Any,
    /// None: a further address is an additional one (RS-31).
    Never,
}

impl EmailUpdate {
    /// Every choice with its word in settings.
    pub const ALL: [(&'static str, Self); 3] =
        [("upsert", Self::Upsert), ("any", Self::Any), ("never", Self::Never)];
}

/// Settings that decide, given as an argument like everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Most bytes of a contact's properties on the wire (HT-55).
    pub max_properties: usize,
    /// Most keys of one kind that calls can attach to a contact (KE-12); what comes with a merge is never lost.
    pub max_keys_per_kind: usize,
    /// Most instants and idempotency keys that a merge writes down again; of a longer history the survivor's stream only
    /// says where it stands (RS-88).
    pub max_moved_history: usize,
    /// When contacts that one call designates become one (RS-23).
    pub merges: MergePolicy,
    /// Which calls replace a primary address (RS-32).
    pub email_update: EmailUpdate,
    /// Whether every change is announced, not only explicit management (OB-41).
    pub announce_all: bool,
    /// Whether an analytics provider is told of merges and of membership that is mirrored (AA-10, BK-117).
    pub analytics: bool,
    /// After so many records a turn that catches up with the clock ends, and the next one goes on: an append must not
    /// grow without bound, whatever fell due.
    pub records_per_turn: usize,
    /// For how long a deletion can be undone, in milliseconds (CT-74); with 0 whoever is deleted is erased at once.
    pub delete_grace: i64,
}

impl Policy {
    /// When the grace of a deletion ends: until then it can be undone, from then on the person is to be erased.
    pub fn grace_end(&self, deleted_at: Timestamp) -> Timestamp {
        deleted_at.plus(self.delete_grace)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_properties: 256 * 1024,
            max_keys_per_kind: 1000,
            max_moved_history: 10_000,
            merges: MergePolicy::default(),
            email_update: EmailUpdate::default(),
            announce_all: false,
            analytics: false,
            records_per_turn: 1000,
            delete_grace: 30 * 86_400_000,
        }
    }
}

/// An application event about to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// Its name.
    pub name: CompactString,
    /// Its own properties.
    pub properties: Properties,
    /// When it happened; now if absent.
    pub occurred_at: Option<Timestamp>,
    /// Where it came from.
    pub source: Source,
    /// The caller's key, if any.
    pub idempotency_key: Option<CompactString>,
    /// Digest of the request.
    pub request: u64,
}

/// A merged-away contact on its way to the survivor.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// Who.
    pub contact: ContactId,
    /// Version of its last record before the merge.
    pub version: Option<Version>,
    /// Everything about it.
    pub state: Box<ContactState>,
}

/// A call that designates this contact: an event, or an explicit upsert.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The keys of the call that take part, normalized, in attach order.
    pub keys: Vec<IdentityKey>,
    /// Those of them that nobody owned and that this call may attach.
    pub unowned: Vec<IdentityKey>,
    /// Whether the call names the contact by something that attaches nothing, such as its id (KE-23).
    pub designated: bool,
    /// Contacts to absorb, in rank order (MC-01).
    pub losers: Vec<Taken>,
    /// Keys left where they are because the evidence contradicts itself (RS-24).
    pub conflicts: Vec<(KeyKind, ContactId)>,
    /// Patch of the contact's properties.
    pub patch: Properties,
    /// The event, or `None` for an explicit upsert.
    pub event: Option<NewEvent>,
    /// How new keys come to the contact.
    pub via: Via,
}

impl Call {
    /// No keys, no event, nothing to change: only contacts to absorb.
    pub(super) fn of_nobody(losers: Vec<Taken>) -> Self {
        Self {
            keys: Vec::new(),
            unowned: Vec::new(),
            designated: false,
            losers,
            conflicts: Vec::new(),
            patch: Properties::new(),
            event: None,
            via: Via::Merge,
        }
    }
}

/// What is destroyed when a person is erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// The data keys of the contact and of those merged into it.
    pub data_keys: Vec<Uuid>,
    /// Contacts merged into it.
    pub former: Vec<ContactId>,
}

/// A dwell schedule that came when a stay was past its threshold, and with which the stay may not catch up before it is
/// given an instant (BK-138).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The schedule's bucket.
    pub bucket: BucketId,
    /// The schedule.
    pub label: CompactString,
}

/// What a contact can be asked to decide.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Somebody called.
    Call(Box<Call>),
    /// The clock: something fell due.
    Wake,
    /// Definitions appeared, changed or went: look at them now (BK-185).
    Meet,
    /// Absorb a contact that says it is part of this one (MC-43). Nothing happens if it was absorbed.
    Absorb(Box<Taken>),
    /// Catch up with dwell schedules at these instants, if it still waits for them (BK-138).
    CatchUp(Vec<(Waiting, Timestamp)>),
    /// Tell the world of something that happened to it elsewhere.
    Tell(Box<OutboundEvent>),
    /// Delete it (CT-70).
    Delete,
    /// Erase the person (GD-03), also one who is deleted already.
    Erase(Erasure),
    /// Undo the deletion (GD-02). Of its keys it gets back these.
    Restore(Vec<IdentityKey>),
}

/// What a turn answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A call took effect.
    Done {
        /// It made the contact.
        created: bool,
        /// It absorbed others.
        merged: bool,
        /// The stored event, if the call carried one.
        event: Option<RecordId>,
    },
    /// The event had been stored before; nothing happened (IG-21).
    Duplicate {
        /// The event stored then.
        event: RecordId,
        /// Whether the request was the same.
        same_request: bool,
    },
    /// A key of the call is neither this contact's nor free: resolve anew.
    Unresolved,
    /// The contact has as many keys of this kind as it may: resolve anew without the new one (KE-12).
    Full(KeyKind),
    /// Another contact answers for this one.
    Moved(ContactId),
    /// There is no such contact, or it is deleted.
    Gone,
    /// A limit refuses the call; nothing happened.
    Refused(&'static str),
    /// A turn without a caller is over.
    Looked {
        /// What stays wait for, if definitions were to be looked at.
        waiting: Vec<Waiting>,
    },
    /// The world will be told.
    Told,
    /// It is deleted.
    Deleted,
    /// It lives again.
    Restored,
}

/// Result of a turn: what to append, and what to answer once that is durable.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The events with their record ids, in order; the state already contains them.
    pub events: Vec<(RecordId, ContactEvent)>,
    /// Which record brought a record about, where that is not the call of the turn: reactions and what they lead to.
    pub causes: BTreeMap<RecordId, RecordId>,
    /// The answer.
    pub outcome: Outcome,
    /// Buckets entered in this turn.
    pub entered: Vec<BucketId>,
    /// Buckets left in this turn.
    pub left: Vec<BucketId>,
    /// The call, handed back untouched if somebody else must decide it.
    pub unused: Option<Box<Call>>,
    /// The command, handed back untouched if the turn was spent on what had fallen due: decide it again.
    pub again: Option<Command>,
}
