//! What the world is told, type by type: the `data` of every envelope (OB-10 to OB-22).
//!
//! One list, like the catalog's. Members may be added to a type at any time; removing, renaming or retyping one breaks
//! receivers. What is absent in a type's own way (`?` in the specification) is left out, everything else that is
//! unknown is null.

mod analytics;
mod contact;
mod email;
mod journey;
mod link;
mod published;
mod transition;

pub use analytics::{AnalyticsAlias, AnalyticsPerson};
pub use contact::{
    ContactData, ContactDeleted, ContactMerged, ContactUnsubscribed, LostContact, OptOutScope,
};
pub use email::{
    BounceType, EmailAction, EmailBounced, EmailClicked, EmailComplained, EmailNotice, EmailSent,
};
pub use journey::JourneyCompleted;
pub use link::LinkClicked;
pub use published::{envelope_schema, type_schema};
pub use transition::BucketTransition;

use serde::Serialize;

use crate::{Properties, catalog};

/// One of the outbound events that a contact's stream announces. Transitions of buckets stand in events of their own
/// (see [`BucketTransition`]), so they are not here.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum OutboundEvent {
    /// OB-10.
    ContactCreated(ContactData),
    /// OB-10.
    ContactUpdated(ContactData),
    /// OB-11.
    ContactDeleted(ContactDeleted),
    /// MC-45.
    ContactMerged(ContactMerged),
    /// OB-12.
    ContactUnsubscribed(ContactUnsubscribed),
    /// OB-13.
    EmailSent(EmailSent),
    /// OB-14.
    EmailDelivered(EmailNotice),
    /// OB-14.
    EmailOpened(EmailNotice),
    /// OB-15.
    EmailClicked(EmailClicked),
    /// OB-16.
    EmailAction(EmailAction),
    /// OB-17.
    EmailBounced(EmailBounced),
    /// OB-18.
    EmailComplained(EmailComplained),
    /// OB-19.
    JourneyCompleted(JourneyCompleted),
    /// OB-22.
    LinkClicked(LinkClicked),
    /// AA-14; for analytics providers only.
    AnalyticsAlias(AnalyticsAlias),
    /// BK-116; for analytics providers only.
    AnalyticsPerson(AnalyticsPerson),
}

impl OutboundEvent {
    /// Its type in the catalog.
    pub fn outbound_type(&self) -> &'static str {
        match self {
            Self::ContactCreated(_) => catalog::CONTACT_CREATED,
            Self::ContactUpdated(_) => catalog::CONTACT_UPDATED,
            Self::ContactDeleted(_) => catalog::CONTACT_DELETED,
            Self::ContactMerged(_) => catalog::CONTACT_MERGED,
            Self::ContactUnsubscribed(_) => catalog::CONTACT_UNSUBSCRIBED,
            Self::EmailSent(_) => catalog::EMAIL_SENT,
            Self::EmailDelivered(_) => catalog::EMAIL_DELIVERED,
            Self::EmailOpened(_) => catalog::EMAIL_OPENED,
            Self::EmailClicked(_) => catalog::EMAIL_CLICKED,
            Self::EmailAction(_) => catalog::EMAIL_ACTION,
            Self::EmailBounced(_) => catalog::EMAIL_BOUNCED,
            Self::EmailComplained(_) => catalog::EMAIL_COMPLAINED,
            Self::JourneyCompleted(_) => catalog::JOURNEY_COMPLETED,
            Self::LinkClicked(_) => catalog::LINK_CLICKED,
            Self::AnalyticsAlias(_) => catalog::ANALYTICS_ALIAS,
            Self::AnalyticsPerson(_) => catalog::ANALYTICS_PERSON,
        }
    }

    /// The envelope's `data`. These types are objects with text keys, which always can be written as JSON.
    pub fn data(&self) -> Properties {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(data)) => data,
            _ => Properties::new(),
        }
    }
}
