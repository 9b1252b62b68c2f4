//! What a shard can be told.

use std::sync::Arc;

use compact_str::CompactString;
use mainspring_eventlog::{AppendError, Position, StreamAppend};
use mainspring_schemas::{BucketId, ContactId, Timestamp};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::steps::Also;
use crate::{
    contact::{Call, Command, ContactState, Outcome, Taken},
    rules::Rules,
    writer::{InFlight, Pledge},
};

/// Why a contact did not answer.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Another writer was first; decide again.
    Conflict,
    /// The log takes no more now; nothing was stored.
    Unavailable,
    /// The log failed.
    Log(String),
    /// The contact's history cannot be read.
    Unreadable(String),
    /// What was decided can never be written.
    Unwritable(String),
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Conflict { .. } => Self::Conflict,
            AppendError::Unavailable(_) => Self::Unavailable,
            AppendError::Refused(reason) => Self::Unwritable(reason.to_owned()),
            AppendError::Failed(reason) => Self::Log(reason.to_string()),
        }
    }
}

/// A contact's answer, given once everything it rests on is durable.
#[derive(Debug)]
pub(crate) struct Answer {
    pub contact: ContactId,
    pub contact_key: CompactString,
    pub outcome: Outcome,
    pub entered: Vec<BucketId>,
    pub left: Vec<BucketId>,
    pub unused: Option<Box<Call>>,
    /// When the contact must be looked at next.
    pub wake_at: Option<Timestamp>,
    pub position: Option<Position>,
}

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Failure>>;

/// What is known of a call before the answer to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided {
    /// The contact did not take it: nothing is in line, and the answer hands it back.
    pub turned_away: bool,
}

/// A command for one contact.
pub(crate) struct Decide {
    pub contact: ContactId,
    pub command: Command,
    /// Records of other streams that become true with it: claims, losers' halves.
    pub also: Also,
    /// The instant of the decision; the clock's if absent.
    pub at: Option<Timestamp>,
    /// See [`crate::contact::Turn::continuous`].
    pub continuous: bool,
    pub trace: Option<Uuid>,
    /// The losers of a merge rest on the same append; if the command comes to nothing, they must learn it.
    pub in_flight: Option<Pledge>,
    /// Told as soon as the append is in line; the answer follows when it is durable.
    pub decided: Option<oneshot::Sender<Decided>>,
    pub reply: Reply<Answer>,
}

impl Decide {
    /// A command decided by the clock, and the answer to it.
    pub fn of(contact: ContactId, command: Command) -> (Self, oneshot::Receiver<Result<Answer, Failure>>) {
        let (reply, answer) = oneshot::channel();
        let decide = Self {
            contact,
            command,
            also: Also::default(),
            at: None,
            continuous: false,
            trace: None,
            in_flight: None,
            decided: None,
            reply,
        };
        (decide, answer)
    }
}

/// Takes a merge's loser out of service.
pub(crate) struct TakeOut {
    pub contact: ContactId,
    pub survivor: ContactId,
    pub at: Option<Timestamp>,
    /// See [`crate::contact::Turn::continuous`].
    pub continuous: bool,
    pub in_flight: InFlight,
    pub reply: Reply<(Taken, StreamAppend)>,
}

/// Something for one contact.
pub(crate) enum Verb {
    Decide(Box<Decide>),
    Take(TakeOut),
    View(ContactId, Reply<Box<ContactState>>),
}

impl Verb {
    pub fn contact(&self) -> ContactId {
        match self {
            Self::Decide(decide) => decide.contact,
            Self::Take(take) => take.contact,
            Self::View(contact, _) => *contact,
        }
    }

    pub fn is_wake(&self) -> bool {
        matches!(self, Self::Decide(decide) if matches!(decide.command, Command::Wake))
    }

    pub fn fail(self, failure: Failure) {
        match self {
            Self::Decide(decide) => drop(decide.reply.send(Err(failure))),
            Self::Take(take) => drop(take.reply.send(Err(failure))),
            Self::View(_, reply) => drop(reply.send(Err(failure))),
        }
    }
}

/// Something for a shard.
pub(crate) enum Message {
    Verb(Verb),
    /// New definitions are in force.
    Rules(Arc<Rules>, oneshot::Sender<()>),
    /// Timers due up to here are kept in memory.
    Horizon(Timestamp, oneshot::Sender<()>),
    /// The streams of a contact's turn were written one by one, or not: it is read anew for whoever waits.
    Written(ContactId),
    /// A contact was erased: nothing of it stays in memory.
    Forget(ContactId),
    /// Timers that came within the horizon.
    Arm(Vec<(Timestamp, ContactId)>),
    /// Put everything aside.
    Stop(oneshot::Sender<()>),
}

impl actix::Message for Message {
    type Result = ();
}
