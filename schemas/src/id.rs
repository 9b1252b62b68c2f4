//! Typed ids. A contact's id can never be passed where an endpoint's is expected.

use std::{fmt, str::FromStr};

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.as_hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            /// Accepts every UUID version and letter case (CT-01).
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// A contact: one person. Never changes and is never reused (CT-01).
    ContactId
);
uuid_id!(
    /// One record of the log. The record of an application event is that event's id.
    RecordId
);
uuid_id!(
    /// A configured receiver of outbound events (OB-70).
    EndpointId
);
uuid_id!(
    /// One (logical event, endpoint) pair: the unit of retry.
    DeliveryId
);
uuid_id!(
    /// One uninterrupted stay of a contact in a bucket (BK-60).
    StayId
);
uuid_id!(
    /// An API key's row, not its secret.
    KeyId
);

/// Name space under which every derived id of this system is made.
const DERIVED: Uuid = Uuid::from_u128(0x6d61696e_7370_7269_8e67_646572697665);

/// Derives an id from what it belongs to: the same parts give the same id on every machine, for ever.
fn derive(purpose: &str, parts: &[&[u8]]) -> Uuid {
    let mut name = Vec::with_capacity(64);
    name.extend_from_slice(purpose.as_bytes());
    for part in parts {
        name.push(0);
        name.extend_from_slice(part);
    }
    Uuid::new_v5(&DERIVED, &name)
}

impl StayId {
    /// The id of a contact's stay number `epoch` in a bucket.
    pub fn of(contact: ContactId, bucket: &BucketId, epoch: u32) -> Self {
        Self(derive("stay", &[contact.0.as_bytes(), bucket.as_str().as_bytes(), &epoch.to_be_bytes()]))
    }
}

impl DeliveryId {
    /// The delivery of one message to one endpoint: a rebuild derives the same id again (OB-65).
    pub fn of(message: &MessageId, endpoint: EndpointId) -> Self {
        Self(derive("delivery", &[message.0.as_bytes(), endpoint.0.as_bytes()]))
    }
}

/// Id of an outbound message, equal on every endpoint and attempt (OB-50). Shown as `msg_<uuid>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub Uuid);

impl MessageId {
    /// The message that `record` causes, by its outbound type (OB-51): a replay yields the same id.
    pub fn of(record: RecordId, outbound_type: &str) -> Self {
        Self(derive("message", &[record.0.as_bytes(), outbound_type.as_bytes()]))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "msg_{}", self.0.as_hyphenated())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MessageId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.strip_prefix("msg_").unwrap_or(text).parse()?))
    }
}

/// A bucket's id as its author wrote it: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}` (BK-10).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct BucketId(CompactString);

/// Why a text is no bucket id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a bucket id must match [A-Za-z0-9][A-Za-z0-9._-]{{0,127}}")]
pub struct InvalidBucketId;

impl BucketId {
    /// Checks the rule of BK-10.
    ///
    /// # Errors
    /// [`InvalidBucketId`] if the text has another shape.
    pub fn new(text: &str) -> Result<Self, InvalidBucketId> {
        let shape =
            |(i, b): (usize, u8)| b.is_ascii_alphanumeric() || (i > 0 && matches!(b, b'.' | b'_' | b'-'));
        if text.is_empty() || text.len() > 128 || !text.bytes().enumerate().all(shape) {
            return Err(InvalidBucketId);
        }
        Ok(Self(CompactString::from(text)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for BucketId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = CompactString::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for BucketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BucketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for BucketId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// An inbound source of events, as its author wrote it: `[a-z0-9][a-z0-9_-]{0,63}` (WS-10).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct SourceId(CompactString);

/// Why a text is no source id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a source id must match [a-z0-9][a-z0-9_-]{{0,63}}")]
pub struct InvalidSourceId;

impl SourceId {
    /// Checks the rule of WS-10.
    ///
    /// # Errors
    /// [`InvalidSourceId`] if the text has another shape.
    pub fn new(text: &str) -> Result<Self, InvalidSourceId> {
        let shape = |(i, b): (usize, u8)| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || (i > 0 && matches!(b, b'_' | b'-'))
        };
        if text.is_empty() || text.len() > 64 || !text.bytes().enumerate().all(shape) {
            return Err(InvalidSourceId);
        }
        Ok(Self(CompactString::from(text)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for SourceId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = CompactString::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bk_10_shape_of_a_bucket_id() {
        for good in ["a", "power-users", "A.b_c-9", &"x".repeat(128)] {
            assert_eq!(BucketId::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", ".a", "a:b", "a,b", "a b", "é", &"x".repeat(129)] {
            assert!(BucketId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ws_10_shape_of_a_source_id() {
        for good in ["a", "stripe", "9-b_c", &"x".repeat(64)] {
            assert_eq!(SourceId::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "_a", "A", "a.b", "a:b", "a b", "é", &"x".repeat(65)] {
            assert!(SourceId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn derived_ids_are_stable_and_distinct() {
        let record = RecordId(Uuid::from_u128(1));
        let entered = MessageId::of(record, "bucket.entered");
        assert_eq!(entered.to_string(), "msg_9178e61e-acfc-501c-82e3-dc1f66c43ba4");
        assert_ne!(entered, MessageId::of(record, "bucket.left"));
        let (one, two) = (EndpointId(Uuid::from_u128(7)), EndpointId(Uuid::from_u128(8)));
        assert_ne!(DeliveryId::of(&entered, one), DeliveryId::of(&entered, two));
    }

    #[test]
    fn ids_are_lower_case_on_the_wire() {
        let id: ContactId = "018F9F3A-2C41-7C3E-9A50-1F0D6B1F7A11".parse().unwrap();
        assert_eq!(id.to_string(), "018f9f3a-2c41-7c3e-9a50-1f0d6b1f7a11");
    }
}
