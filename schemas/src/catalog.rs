//! The outbound event types a receiver can subscribe to (OB-01), and the public shape of a contact.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::{ContactId, Properties, Timestamp};

/// The catalog, in its documented order. Routes, schemas and the command line derive from this one list.
pub const OUTBOUND_TYPES: [&str; 15] = [
    CONTACT_CREATED,
    CONTACT_UPDATED,
    CONTACT_DELETED,
    "contact.unsubscribed",
    "email.sent",
    "email.delivered",
    "email.opened",
    "email.clicked",
    "email.action",
    "email.bounced",
    "email.complained",
    "journey.completed",
    BUCKET_ENTERED,
    BUCKET_LEFT,
    "link.clicked",
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
/// A contact became part of another one (MC-45).
pub const CONTACT_MERGED: &str = "contact.merged";
/// An announced join.
pub const BUCKET_ENTERED: &str = "bucket.entered";
/// An announced leave.
pub const BUCKET_LEFT: &str = "bucket.left";
/// A reaction of a bucket has something to say (BK-120).
pub const BUCKET_REACTION: &str = "bucket.reaction";
/// Reaches an endpoint only by the test route; cannot be subscribed to (OB-02).
pub const WEBHOOK_TEST: &str = "webhook.test";

/// Whether a subscription text is in order: a type that can be subscribed to, `*`, or `<group>.*` (OB-73).
pub fn is_subscription(pattern: &str) -> bool {
    pattern == "*"
        || subscribable().any(|known| known == pattern)
        || pattern.strip_suffix(".*").is_some_and(|group| {
            subscribable().any(|known| known.split_once('.').is_some_and(|(g, _)| g == group))
        })
}

/// Whether a subscription covers an outbound type.
pub fn subscribes(pattern: &str, outbound_type: &str) -> bool {
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
        for bad in ["", "webhook.test", "webhook.*", "bucket", "bucket.", "b*", ".*"] {
            assert!(!is_subscription(bad), "{bad}");
        }
        assert!(subscribes("bucket.*", BUCKET_LEFT) && subscribes("*", BUCKET_LEFT));
        assert!(!subscribes("contact.*", BUCKET_LEFT));
        assert!(subscribes("bucket.*", BUCKET_REACTION) && !OUTBOUND_TYPES.contains(&BUCKET_REACTION));
        assert!(subscribes("contact.*", CONTACT_MERGED) && !subscribes(CONTACT_DELETED, CONTACT_MERGED));
    }
}
