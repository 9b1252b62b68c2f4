//! Domain events: what the log remembers for ever.
//!
//! Every event type has a name and a schema version, both stored with the record. A field may be added with a serde
//! default; anything else is a new version with an upcaster in [`crate::codec`]. Golden files pin every encoding.

pub mod access;
pub mod audit;
pub mod bucket;
pub mod contact;
pub mod delivery;
mod dwell;
pub mod endpoint;
pub mod identity;
pub mod redelivery;
pub mod source_secret;

pub use access::AccessEvent;
pub use audit::AuditEvent;
pub use bucket::BucketEvent;
pub use contact::ContactEvent;
pub use delivery::DeliveryEvent;
pub use endpoint::EndpointEvent;
pub use identity::IdentityEvent;
pub use source_secret::SourceSecretEvent;

/// Any event of the log, by the family of its stream.
#[derive(Clone, Debug, PartialEq)]
pub enum DomainEvent {
    /// Of a `contact-` stream.
    Contact(ContactEvent),
    /// Of a `bucket-` stream.
    Bucket(BucketEvent),
    /// Of an `identity-` stream.
    Identity(IdentityEvent),
    /// Of an `endpoint-` stream.
    Endpoint(EndpointEvent),
    /// Of a `deliveries-` stream.
    Delivery(DeliveryEvent),
    /// Of the `access-keys` stream.
    Access(AccessEvent),
    /// Of a `source-` stream.
    SourceSecret(SourceSecretEvent),
    /// Of the `audit` stream.
    Audit(AuditEvent),
}
