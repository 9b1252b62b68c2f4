//! Names of streams. A name never contains personal data (invariant 9).

use std::fmt;

use compact_str::{CompactString, format_compact};

use crate::id::{BucketId, ContactId, EndpointId, SourceId};

/// The name of one stream: `<category>-<key>`, for example `contact-018f9f3a-...`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(CompactString);

impl StreamName {
    /// Longest name in bytes.
    pub const MAX_BYTES: usize = 512;

    /// A stream of any name, as adapters and tests need it; the typed constructors are for everybody else.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(CompactString::from(name.as_ref()))
    }

    /// One customer's whole history.
    pub fn contact(id: ContactId) -> Self {
        Self(format_compact!("contact-{id}"))
    }

    /// A bucket's definition and back-fills.
    pub fn bucket(id: &BucketId) -> Self {
        Self(format_compact!("bucket-{id}"))
    }

    /// Who owns an identity key; `digest` is the keyed hash of its value.
    pub fn identity(kind: &str, digest: &[u8; 16]) -> Self {
        Self(format_compact!("identity-{kind}-{:032x}", u128::from_be_bytes(*digest)))
    }

    /// An endpoint's configuration.
    pub fn endpoint(id: EndpointId) -> Self {
        Self(format_compact!("endpoint-{id}"))
    }

    /// Outcomes of all deliveries to one endpoint.
    pub fn deliveries(id: EndpointId) -> Self {
        Self(format_compact!("deliveries-{id}"))
    }

    /// API keys.
    pub fn access() -> Self {
        Self(CompactString::const_new("access-keys"))
    }

    /// The secret the engine made for a webhook source.
    pub fn source(id: &SourceId) -> Self {
        Self(format_compact!("source-{id}"))
    }

    /// Who changed what on the admin plane.
    pub fn audit() -> Self {
        Self(CompactString::const_new("audit"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first `-`.
    pub fn category(&self) -> &str {
        self.0.split_once('-').map_or(self.0.as_str(), |(category, _)| category)
    }

    /// The part after the first `-`; empty if there is none.
    pub fn key(&self) -> &str {
        self.0.split_once('-').map_or("", |(_, key)| key)
    }

    /// The contact whose stream this is.
    pub fn contact_id(&self) -> Option<ContactId> {
        self.0.strip_prefix("contact-")?.parse().ok()
    }

    /// The endpoint whose configuration or deliveries this stream holds.
    pub fn endpoint_id(&self) -> Option<EndpointId> {
        let rest = self.0.strip_prefix("endpoint-").or_else(|| self.0.strip_prefix("deliveries-"))?;
        rest.parse().ok()
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        let id: ContactId = "018f9f3a-2c41-7c3e-9a50-1f0d6b1f7a11".parse().unwrap();
        let name = StreamName::contact(id);
        assert_eq!((name.category(), name.contact_id()), ("contact", Some(id)));
        assert_eq!(name.key(), "018f9f3a-2c41-7c3e-9a50-1f0d6b1f7a11");
        assert_eq!(
            StreamName::identity("email", &[0xab; 16]).as_str(),
            format!("identity-email-{}", "ab".repeat(16))
        );
        assert_eq!(name.endpoint_id(), None);
    }
}
