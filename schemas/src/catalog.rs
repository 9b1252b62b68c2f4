//! The outbound event types a receiver can subscribe to (OB-01), and the public shape of a contact.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::{ContactId, Properties, Timestamp};

/// The catalog, in its documented order. Routes, schemas and the command line derive from this one list.
pub const OUTBOUND_TYPES: [&str; 15] = [
    CONTACT_CREATED,
    CONTACT_UPDATED,
    CONTACT_DELETED,
    CONTACT_UNSUBSCRIBED,
    EMAIL_SENT,
    EMAIL_DELIVERED,
    EMAIL_OPENED,
    EMAIL_CLICKED,
    EMAIL_ACTION,
    EMAIL_BOUNCED,
    EMAIL_COMPLAINED,
    JOURNEY_COMPLETED,
    BUCKET_ENTERED,
    BUCKET_LEFT,
    LINK_CLICKED,
];

/// Types beyond the documented ones, after them in every list. Whoever subscribes by pattern gets them too.
pub const EXTENSION_TYPES: [&str; 2] = [BUCKET_REACTION, CONTACT_MERGED];

/// Every type that can be subscribed to, the documented ones first.
pub fn subscribable() -> impl Iterator<Item = &'static str> {
    OUTBOUND_TYPES.into_iter().chain(EXTENSION_TYPES)
}

/// An explicit upsert created a contact.
pub const CONTACT_CREATED: &str = "contact.created";
/// An explicit upsert changed something observable of a contact.
pub const CONTACT_UPDATED: &str = "contact.updated";
/// A contact was deleted.
pub const CONTACT_DELETED: &str = "contact.deleted";
/// Someone opted out.
pub const CONTACT_UNSUBSCRIBED: &str = "contact.unsubscribed";
/// A provider took a mail.
pub const EMAIL_SENT: &str = "email.sent";
/// A mail arrived.
pub const EMAIL_DELIVERED: &str = "email.delivered";
/// A mail was opened.
pub const EMAIL_OPENED: &str = "email.opened";
/// A link in a mail was followed.
pub const EMAIL_CLICKED: &str = "email.clicked";
/// A confirmed answer in a mail.
pub const EMAIL_ACTION: &str = "email.action";
/// A mail came back.
pub const EMAIL_BOUNCED: &str = "email.bounced";
/// A mail was called unwanted.
pub const EMAIL_COMPLAINED: &str = "email.complained";
/// A run of a journey came to its end.
pub const JOURNEY_COMPLETED: &str = "journey.completed";
/// A tracked link outside of mail was followed.
pub const LINK_CLICKED: &str = "link.clicked";
/// A contact became part of another one (MC-45).
pub const CONTACT_MERGED: &str = "contact.merged";
/// An announced join.
pub const BUCKET_ENTERED: &str = "bucket.entered";
/// An announced leave.
pub const BUCKET_LEFT: &str = "bucket.left";
/// A reaction of a bucket has something to say (BK-120).
pub const BUCKET_REACTION: &str = "bucket.reaction";
/// Two keys became one person; only for analytics providers (AA-14).
pub const ANALYTICS_ALIAS: &str = "analytics.alias";
/// Membership in a bucket changed that is mirrored to a property of the person; only for analytics providers (BK-116).
pub const ANALYTICS_PERSON: &str = "analytics.person";
/// Reaches an endpoint only by the test route; cannot be subscribed to (OB-02).
pub const WEBHOOK_TEST: &str = "webhook.test";

/// Types whose producers are not part of this version: they can be subscribed to, their schemas are published, and
/// nothing of this version causes them.
pub const WITHOUT_PRODUCER: [&str; 10] = [
    CONTACT_UNSUBSCRIBED,
    EMAIL_SENT,
    EMAIL_DELIVERED,
    EMAIL_OPENED,
    EMAIL_CLICKED,
    EMAIL_ACTION,
    EMAIL_BOUNCED,
    EMAIL_COMPLAINED,
    JOURNEY_COMPLETED,
    LINK_CLICKED,
];

/// Whether a subscription text is in order: a type that can be subscribed to, `*`, or `<group>.*` (OB-73).
pub fn is_subscription(pattern: &str) -> bool {
    pattern == "*"
        || subscribable().any(|known| known == pattern)
        || pattern.strip_suffix(".*").is_some_and(|group| {
            subscribable().any(|known| known.split_once('.').is_some_and(|(g, _)| g == group))
        })
}

/// Whether a type is for analytics providers: they get it unasked, and nobody can subscribe to it.
pub fn is_for_analytics(outbound_type: &str) -> bool {
    matches!(outbound_type, ANALYTICS_ALIAS | ANALYTICS_PERSON)
}

/// Whether a subscription covers an outbound type.
pub fn subscribes(pattern: &str, outbound_type: &str) -> bool {
    if is_for_analytics(outbound_type) {
        return false;
    }
    pattern == outbound_type
        || pattern == "*"
        || pattern
            .strip_suffix(".*")
            .is_some_and(|group| outbound_type.split_once('.').is_some_and(|(g, _)| g == group))
}

/// A contact as the data plane and `contact.*` webhooks show it: exactly these members (CT-12), `contactKey` being the
/// documented addition of webhooks (OB-10).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicContact {
    /// The contact's id.
    pub id: ContactId,
    /// Primary external key.
    pub external_id: Option<CompactString>,
    /// Primary address.
    pub email: Option<CompactString>,
    /// All properties.
    pub properties: Properties,
    /// Creation instant; the minimum after merges.
    pub first_seen_at: Timestamp,
    /// Instant at which the last call resolved to this contact.
    pub last_seen_at: Timestamp,
    /// Creation of the record.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob_73_subscriptions_are_exact_or_patterns() {
        for good in ["*", "email.*", "bucket.entered", BUCKET_REACTION, CONTACT_MERGED] {
            assert!(is_subscription(good), "{good}");
        }
        for bad in
            ["", "analytics.*", ANALYTICS_ALIAS, "webhook.test", "webhook.*", "bucket", "bucket.", "b*", ".*"]
        {
            assert!(!is_subscription(bad), "{bad}");
        }
        assert!(subscribes("bucket.*", BUCKET_LEFT) && subscribes("*", BUCKET_LEFT));
        assert!(!subscribes("contact.*", BUCKET_LEFT));
        assert!(!subscribes("*", ANALYTICS_PERSON) && !subscribes(ANALYTICS_ALIAS, ANALYTICS_ALIAS));
        assert!(subscribes("bucket.*", BUCKET_REACTION) && !OUTBOUND_TYPES.contains(&BUCKET_REACTION));
        assert!(subscribes("contact.*", CONTACT_MERGED) && !subscribes(CONTACT_DELETED, CONTACT_MERGED));
    }
}
