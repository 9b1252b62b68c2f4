//! The past, read from the log alone: what was true about a contact or a bucket at an instant.
//!
//! A record counts from the instant it was written, a transition from the instant it was decided for: what fell due
//! while nobody looked is true from its due instant on, however late it was written.

mod members;
mod why;

use futures_util::future::BoxFuture;
use mainspring_eventlog::{EventLog, LogError, Recorded};
use mainspring_schemas::{
    BucketId, ContactId, StreamName, Timestamp,
    codec::DecodeError,
    event::{BucketEvent, ContactEvent},
};

pub(crate) use self::why::why;
pub use self::{
    members::{Member, Members},
    why::{Because, CurrentStay, DefinitionInForce, Why},
};
use crate::{
    bucket::BucketState,
    contact::{ContactState, Meta, apply},
    pages::Pages,
};

/// Why the past could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A record cannot be understood.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// The event of a record of a contact's stream. Whoever reads contacts from the past reads them through this.
///
/// # Errors
/// See [`DecodeError`].
pub fn contact_event(record: &Recorded) -> Result<ContactEvent, DecodeError> {
    ContactEvent::decode(&record.event_type, record.schema_version, &record.payload)
}

/// A contact as it was at `at`; never written before that instant, it is [`crate::contact::Fate::Absent`].
///
/// # Errors
/// See [`HistoryError`].
pub async fn contact_at(
    log: &dyn EventLog,
    contact: ContactId,
    at: Timestamp,
) -> Result<ContactState, HistoryError> {
    let mut pages = Pages::of(log, StreamName::contact(contact));
    let mut state = ContactState::default();
    while let Some(records) = pages.next().await? {
        for record in &records {
            let event = contact_event(record)?;
            if record.recorded_at <= at || is_transition_until(&event, at) {
                apply(&mut state, &event, meta(contact, record, at));
                if let ContactEvent::Absorbed(absorbed) = &event
                    && absorbed.by_reference
                {
                    state.unite_history(&former_self(log, absorbed.loser, at).await?);
                }
            }
        }
    }
    Ok(state)
}

/// Boxed, since it may have former selves of its own.
fn former_self(
    log: &dyn EventLog,
    contact: ContactId,
    at: Timestamp,
) -> BoxFuture<'_, Result<ContactState, HistoryError>> {
    Box::pin(contact_at(log, contact, at))
}

/// Whether the event is a transition decided for an instant up to `at`.
fn is_transition_until(event: &ContactEvent, at: Timestamp) -> bool {
    match event {
        ContactEvent::BucketEntered(entered) => entered.at <= at,
        ContactEvent::BucketLeft(left) => left.at <= at,
        _ => false,
    }
}

fn meta(contact: ContactId, record: &Recorded, at: Timestamp) -> Meta {
    Meta {
        contact,
        id: record.id,
        version: record.version,
        recorded_at: record.recorded_at.min(at),
        wake_at: record.wake_at,
        definitions: record.definitions,
    }
}

/// A bucket as it was at `at`; without a definition if it had none yet.
///
/// # Errors
/// See [`HistoryError`].
pub async fn bucket_at(
    log: &dyn EventLog,
    bucket: &BucketId,
    at: Timestamp,
) -> Result<BucketState, HistoryError> {
    let mut pages = Pages::of(log, StreamName::bucket(bucket));
    let mut state = BucketState::default();
    while let Some(records) = pages.next().await? {
        for record in &records {
            if record.recorded_at > at {
                return Ok(state);
            }
            let event = BucketEvent::decode(&record.event_type, record.schema_version, &record.payload)?;
            state.apply(&event, record.version, record.position);
        }
    }
    Ok(state)
}
