//! From decisions to appends, and what waits for an append to be durable.

use std::{collections::BTreeMap, sync::Arc};

use compact_str::CompactString;
use mainspring_eventlog::{AppendError, Expected, NewRecord, Position, StreamAppend};
use mainspring_schemas::{
    ContactId, RecordId, StreamName, Timestamp,
    codec::{EncodeError, Encoded},
    event::{ContactEvent, IdentityEvent, contact::Source, identity},
};
use parking_lot::Mutex;
use uuid::Uuid;

/// What is stored beside each record of one decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub trace: Option<Uuid>,
    pub wake_at: Option<Timestamp>,
    pub definitions: Position,
    /// Seals what is personal; `None` leaves it in clear.
    pub data_key: Option<Uuid>,
}

impl Stamp {
    /// Of a record that belongs to no contact.
    pub fn impersonal(trace: Option<Uuid>) -> Self {
        Self { trace, wake_at: None, definitions: 0, data_key: None }
    }
}

/// A record with everything around it.
pub(crate) fn record(id: RecordId, encoded: Encoded, causation: Option<RecordId>, stamp: Stamp) -> NewRecord {
    NewRecord {
        id,
        event_type: CompactString::const_new(encoded.event_type),
        schema_version: encoded.schema_version,
        causation,
        trace: stamp.trace,
        wake_at: stamp.wake_at,
        definitions: stamp.definitions,
        sealed_with: stamp.data_key,
        payload: encoded.payload.into(),
    }
}

/// The records of a contact's turn. All that follows from an application event names it as its cause, unless `causes`
/// names a nearer one. All that follows an erasure is not sealed: there is no key any more, and nothing personal in it.
pub(crate) fn contact_records(
    contact: ContactId,
    expected: Expected,
    events: &[(RecordId, ContactEvent)],
    causes: &BTreeMap<RecordId, RecordId>,
    stamp: Stamp,
) -> Result<StreamAppend, EncodeError> {
    let is_cause = |event: &ContactEvent| matches!(event, ContactEvent::EventRecorded(event) if event.source != Source::Bucket);
    let cause =
        events.iter().find(|(_, event)| is_cause(event)).or_else(|| events.first()).map(|(id, _)| *id);
    let mut stamp = stamp;
    let records = events
        .iter()
        .map(|(id, event)| {
            let cause = causes.get(id).copied().or(cause.filter(|cause| cause != id));
            let record = record(*id, event.encode()?, cause, stamp);
            stamp.data_key = stamp.data_key.filter(|_| !matches!(event, ContactEvent::Erased(_)));
            Ok(record)
        })
        .collect::<Result<_, EncodeError>>()?;
    Ok(StreamAppend { stream: StreamName::contact(contact), expected, records })
}

/// The claim of a key by a contact, or its release.
pub(crate) fn identity_record(
    stream: StreamName,
    expected: Expected,
    event: &IdentityEvent,
    id: RecordId,
    stamp: Stamp,
) -> Result<StreamAppend, EncodeError> {
    Ok(StreamAppend { stream, expected, records: vec![record(id, event.encode()?, None, stamp)] })
}

/// The event of a claim.
pub(crate) fn claimed(contact: ContactId, at: Timestamp) -> IdentityEvent {
    IdentityEvent::Claimed(identity::Claimed { at, contact })
}

/// The event of a release.
pub(crate) fn released(at: Timestamp) -> IdentityEvent {
    IdentityEvent::Released(identity::Released { at })
}

type Waiter = Box<dyn FnOnce(Result<(), AppendError>) + Send>;

enum Status {
    Pending(Vec<Waiter>),
    Durable,
    Failed(AppendError),
}

/// The duty to say how an append ended. Whoever drops it has given the append up: it failed, and nobody waits for ever.
pub(crate) struct Pledge(InFlight);

impl Pledge {
    pub fn new() -> Self {
        Self(InFlight(Arc::new(Mutex::new(Status::Pending(Vec::new())))))
    }

    /// What rests on the append can watch it by this.
    pub fn in_flight(&self) -> InFlight {
        self.0.clone()
    }

    /// Says how the append ended and runs whoever waits.
    pub fn settle(self, result: Result<(), AppendError>) {
        self.0.settle(result);
    }
}

impl Drop for Pledge {
    fn drop(&mut self) {
        if self.0.is_pending() {
            self.0.settle(Err(AppendError::Unavailable("the append was given up".into())));
        }
    }
}

/// An append on its way to the disk. Answers that rest on it wait for it; a failed one tells the entity to reload.
#[derive(Clone)]
pub(crate) struct InFlight(Arc<Mutex<Status>>);

impl InFlight {
    fn settle(&self, result: Result<(), AppendError>) {
        let status = match &result {
            Ok(()) => Status::Durable,
            Err(error) => Status::Failed(error.clone()),
        };
        let before = std::mem::replace(&mut *self.0.lock(), status);
        if let Status::Pending(waiters) = before {
            for waiter in waiters {
                waiter(result.clone());
            }
        }
    }

    /// Runs `waiter` once the append is settled, at once if it is.
    pub fn then(&self, waiter: Waiter) {
        let result = {
            let mut status = self.0.lock();
            match &mut *status {
                Status::Pending(waiters) => {
                    waiters.push(waiter);
                    return;
                }
                Status::Durable => Ok(()),
                Status::Failed(error) => Err(error.clone()),
            }
        };
        waiter(result);
    }

    fn is_pending(&self) -> bool {
        matches!(*self.0.lock(), Status::Pending(_))
    }

    pub fn is_durable(&self) -> bool {
        matches!(*self.0.lock(), Status::Durable)
    }

    pub fn has_failed(&self) -> bool {
        matches!(*self.0.lock(), Status::Failed(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_append_that_is_given_up_fails_for_whoever_waits() {
        let pledge = Pledge::new();
        let in_flight = pledge.in_flight();
        let (sender, receiver) = std::sync::mpsc::channel();
        in_flight.then(Box::new(move |result| sender.send(result.is_err()).unwrap()));
        drop(pledge);
        assert_eq!((receiver.recv(), in_flight.has_failed()), (Ok(true), true));
    }

    #[test]
    fn a_settled_append_stays_as_it_is() {
        let pledge = Pledge::new();
        let in_flight = pledge.in_flight();
        pledge.settle(Ok(()));
        assert!(in_flight.is_durable() && !in_flight.has_failed());
    }
}
