//! What each event means for the queue, as data.

use mainspring_schemas::{
    ContactId, EndpointId, MessageId, Timestamp,
    catalog::{BUCKET_ENTERED, BUCKET_LEFT, CONTACT_DELETED, WEBHOOK_TEST, is_for_analytics, subscribes},
    event::{
        DeliveryEvent, DomainEvent, EndpointEvent,
        contact::{Announced, BucketEntered, BucketLeft, ContactEvent},
        delivery::{AttemptResult, Attempted, RequeueCause, Requeued},
        endpoint::TestRequested,
    },
};

use super::{
    DeliveryStatus,
    cell::DeliveryRow,
    endpoint::EndpointRow,
    envelope::{self, envelope as render},
};
use crate::{
    error::Result,
    fact::{Fact, Owner},
};

/// Something the world is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content<'a> {
    /// An announcement with its data.
    Announced(&'a Announced),
    /// An announced join.
    Entered(&'a BucketEntered),
    /// An announced leave.
    Left(&'a BucketLeft),
    /// A test.
    Test(&'a TestRequested),
}

impl Content<'_> {
    /// The outbound type.
    pub fn outbound_type(&self) -> &str {
        match self {
            Self::Announced(announced) => &announced.outbound_type,
            Self::Entered(_) => BUCKET_ENTERED,
            Self::Left(_) => BUCKET_LEFT,
            Self::Test(_) => WEBHOOK_TEST,
        }
    }

    /// The frozen envelope (OB-52).
    pub(crate) fn body(&self, message: MessageId) -> Result<Vec<u8>> {
        let outbound_type = self.outbound_type();
        match self {
            Self::Announced(announced) => Ok(render(message, outbound_type, announced.at, &announced.data)?),
            Self::Entered(event) => envelope::entered(message, outbound_type, event),
            Self::Left(event) => envelope::left(message, outbound_type, event),
            Self::Test(test) => Ok(render(message, outbound_type, test.at, &test.data)?),
        }
    }
}

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receivers {
    /// Every endpoint that is subscribed now (OB-60, OB-88).
    Subscribed,
    /// One endpoint, whatever its subscriptions and state (OB-177).
    Only(EndpointId),
}

/// What a record does to the queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QueueChange<'a> {
    /// An endpoint's configuration moves.
    Configure(EndpointId, &'a EndpointEvent),
    /// A message to deliver.
    Deliver {
        /// Its id (OB-51).
        message: MessageId,
        /// Whom it is about.
        contact: Option<ContactId>,
        /// What it says.
        content: Content<'a>,
        /// Who gets it.
        receivers: Receivers,
    },
    /// A person is erased: nothing of what was or would be sent about them stays (GD-03).
    Erase {
        /// Who.
        contact: ContactId,
        /// Contacts merged into it.
        former: &'a [ContactId],
    },
    /// What became of an attempt.
    Outcome(EndpointId, &'a Attempted),
    /// Anything else of an endpoint's delivery stream.
    Redelivery(EndpointId, &'a DeliveryEvent),
}

/// The change a record makes to the queue, if any. A test both counts as a record of its endpoint and is delivered, so
/// it is reported as a delivery.
pub fn project(fact: &Fact) -> Option<QueueChange<'_>> {
    let (contact, content, receivers) = match (fact.owner, &fact.event) {
        (Owner::Contact(contact), DomainEvent::Contact(event)) => {
            let content = match event {
                ContactEvent::Erased(erased) => {
                    return Some(QueueChange::Erase { contact, former: &erased.former });
                }
                ContactEvent::Announced(announced) => Content::Announced(announced),
                ContactEvent::BucketEntered(entered) if entered.announced => Content::Entered(entered),
                ContactEvent::BucketLeft(left) if left.announced => Content::Left(left),
                _ => return None,
            };
            (about(contact, &content), content, Receivers::Subscribed)
        }
        (Owner::Endpoint(endpoint), DomainEvent::Endpoint(EndpointEvent::TestRequested(test))) => {
            (None, Content::Test(test), Receivers::Only(endpoint))
        }
        (Owner::Endpoint(endpoint), DomainEvent::Endpoint(event)) => {
            return Some(QueueChange::Configure(endpoint, event));
        }
        (Owner::Endpoint(endpoint), DomainEvent::Delivery(DeliveryEvent::Attempted(attempted))) => {
            return Some(QueueChange::Outcome(endpoint, attempted));
        }
        (Owner::Endpoint(endpoint), DomainEvent::Delivery(event)) => {
            return Some(QueueChange::Redelivery(endpoint, event));
        }
        _ => return None,
    };
    let message = MessageId::of(fact.record.id, content.outbound_type());
    Some(QueueChange::Deliver { message, contact, content, receivers })
}

/// Whom a message is about: the contact whose stream it stands in, unless it names somebody else. What is told of an erasure names an id that stands for nobody any more: it is delivered
/// although everything about the contact is withdrawn, and what is answered to it is nobody's data.
fn about(contact: ContactId, content: &Content<'_>) -> Option<ContactId> {
    let Content::Announced(told) = content else { return Some(contact) };
    let tells_of_erasure =
        told.outbound_type == CONTACT_DELETED && told.data.get("reason").is_some_and(|r| r == "erased");
    (!tells_of_erasure).then(|| told.about.unwrap_or(contact))
}

/// The kind of endpoints that are analytics providers (AA-10).
const ANALYTICS_KIND: &str = "posthog";

/// Whether an endpoint gets a message at this position.
pub fn receives(endpoint: &EndpointRow, outbound_type: &str, receivers: Receivers) -> bool {
    if endpoint.deleted_at.is_some() {
        return false;
    }
    match receivers {
        Receivers::Only(only) => endpoint.id == only,
        Receivers::Subscribed if is_for_analytics(outbound_type) => endpoint.settings.kind == ANALYTICS_KIND,
        Receivers::Subscribed => {
            endpoint.settings.event_types.iter().any(|pattern| subscribes(pattern, outbound_type))
        }
    }
}

/// Brings a delivery to where it is after an attempt. `false` if the outcome is late or a duplicate and does nothing
/// (OB-127); only success is believed late, since the receiver has the message then.
///
/// An attempt that began before the newest requeue may still succeed, and then there is nothing left to do. If it fails,
/// what the requeue asked for is still due, with a whole schedule before it (OB-160).
pub fn settle(delivery: &mut DeliveryRow, attempted: &Attempted, recorded_at: Timestamp) -> bool {
    let outrun = attempted.requeues < delivery.requeues;
    let delivered = attempted.result == AttemptResult::Delivered;
    let repeated = attempted.attempt <= delivery.attempts && (outrun || !delivered);
    if delivery.status != DeliveryStatus::Pending || repeated {
        return false;
    }
    delivery.attempts = delivery.attempts.max(attempted.attempt);
    delivery.last_attempt_at = Some(attempted.at);
    delivery.response_status = attempted.response_status;
    delivery.response_snippet.clone_from(&attempted.response_snippet);
    delivery.last_error.clone_from(&attempted.error);
    delivery.error_class.clone_from(&attempted.error_class);
    delivery.updated_at = recorded_at;
    match attempted.result {
        AttemptResult::Delivered => {
            delivery.status = DeliveryStatus::Delivered;
            delivery.delivered_at = Some(attempted.at);
            delivery.next_attempt_at = None;
            delivery.last_error = None;
            delivery.error_class = None;
        }
        _ if outrun => delivery.schedule_from = delivery.attempts,
        AttemptResult::Retry { next_at } => delivery.next_attempt_at = Some(next_at),
        AttemptResult::Failed => {
            delivery.status = DeliveryStatus::Failed;
            delivery.next_attempt_at = None;
        }
    }
    true
}

/// Makes a delivery due again, whatever became of it before (OB-160): its attempts go on being numbered, its schedule
/// starts afresh. What the receiver has and a recovery asks for is a replay until it is delivered, also if it fails and is
/// asked for once more (OC-93). `false` if it waits for its first attempt anyway.
pub fn requeue(delivery: &mut DeliveryRow, requeued: &Requeued, recorded_at: Timestamp) -> bool {
    if delivery.status == DeliveryStatus::Pending && delivery.attempts == 0 {
        return false;
    }
    if delivery.status == DeliveryStatus::Delivered {
        // What was settled without a request was not sent before.
        delivery.replay = requeued.cause == RequeueCause::Recovery && delivery.response_status.is_some();
    }
    delivery.status = DeliveryStatus::Pending;
    delivery.next_attempt_at = Some(requeued.at);
    delivery.delivered_at = None;
    delivery.requeues = delivery.requeues.saturating_add(1);
    delivery.schedule_from = delivery.attempts;
    delivery.recovery = requeued.recovery.or(delivery.recovery);
    delivery.updated_at = recorded_at;
    true
}

/// Ends a pending delivery. `false` if it has ended already.
pub fn discard(delivery: &mut DeliveryRow, recorded_at: Timestamp) -> bool {
    if delivery.status != DeliveryStatus::Pending {
        return false;
    }
    delivery.status = DeliveryStatus::Discarded;
    delivery.next_attempt_at = None;
    delivery.updated_at = recorded_at;
    true
}

/// Whether an attempt is the one that a requeue asked for (OB-181). Asked before [`settle`].
pub fn is_manual(delivery: &DeliveryRow, attempted: &Attempted) -> bool {
    delivery.requeues > 0
        && attempted.requeues == delivery.requeues
        && delivery.attempts == delivery.schedule_from
}
