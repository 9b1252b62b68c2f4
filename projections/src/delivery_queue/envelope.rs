//! The envelope of an outbound event (OB-50, OB-52): frozen once, byte for byte.

use mainspring_schemas::{
    ContactId, MessageId, Timestamp,
    catalog::CONTACT_DELETED,
    event::contact::{BucketEntered, BucketLeft},
    outbound_event::{BucketTransition, ContactDeleted},
};
use serde::Serialize;

use crate::error::Result;

#[derive(Serialize)]
struct Envelope<'a, D> {
    id: &'a str,
    r#type: &'a str,
    timestamp: Timestamp,
    data: &'a D,
}

/// Compact JSON of `{"id","type","timestamp","data"}`, members in this order.
///
/// # Errors
/// If the data cannot be written as JSON.
pub fn envelope<D: Serialize>(
    message: MessageId,
    outbound_type: &str,
    timestamp: Timestamp,
    data: &D,
) -> serde_json::Result<Vec<u8>> {
    let id = message.to_string();
    serde_json::to_vec(&Envelope { id: &id, r#type: outbound_type, timestamp, data })
}

/// The envelope of a `contact.deleted` that is told after the person was erased. It rests on nothing that was sealed,
/// so that a rebuild without the contact's key makes the same one.
pub(super) fn parting(message: MessageId, contact: ContactId, at: Timestamp) -> Result<Vec<u8>> {
    let reason = Some("erased".into());
    let data = ContactDeleted { id: contact, external_id: None, email: None, reason };
    Ok(envelope(message, CONTACT_DELETED, at, &data)?)
}

/// The envelope of an announced join.
pub(super) fn entered(message: MessageId, outbound_type: &str, event: &BucketEntered) -> Result<Vec<u8>> {
    let data = BucketTransition {
        bucket_id: event.bucket.as_str(),
        bucket_name: &event.bucket_name,
        user_id: &event.user_key,
        user_email: event.email.as_deref(),
        transition: "entered",
        entry_count: event.epoch,
        source: event.source.as_str(),
        reason: None,
    };
    Ok(envelope(message, outbound_type, event.at, &data)?)
}

/// The envelope of an announced leave.
pub(super) fn left(message: MessageId, outbound_type: &str, event: &BucketLeft) -> Result<Vec<u8>> {
    let data = BucketTransition {
        bucket_id: event.bucket.as_str(),
        bucket_name: &event.bucket_name,
        user_id: &event.user_key,
        user_email: event.email.as_deref(),
        transition: "left",
        entry_count: event.epoch,
        source: event.source.as_str(),
        reason: Some(event.reason.as_str()),
    };
    Ok(envelope(message, outbound_type, event.at, &data)?)
}
