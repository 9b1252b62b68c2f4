//! Events to bytes and back: MessagePack with named fields, a name and a version per type, upcasters for old versions.
//!
//! A record once written can be read for ever (invariant 8). [`decode`] accepts every version ever written; an unknown
//! type or a newer version is an error that names it, so that an older binary refuses instead of guessing.

pub mod personal;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    StreamName,
    event::{
        AccessEvent, AuditEvent, BucketEvent, ContactEvent, DeliveryEvent, DomainEvent, EndpointEvent,
        IdentityEvent, SourceSecretEvent, access, audit, bucket, contact, delivery, endpoint, identity,
        redelivery, source_secret,
    },
};

/// Why a stored event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The type is not known in this family of streams.
    #[error("unknown event type {event_type} in a stream of category {category}")]
    UnknownType {
        /// The stream's category.
        category: String,
        /// The type found.
        event_type: String,
    },
    /// The version is newer than this program.
    #[error("event {event_type} has version {found}, this program reads up to {known}")]
    Newer {
        /// The type.
        event_type: String,
        /// The version found.
        found: u16,
        /// The newest version known.
        known: u16,
    },
    /// The payload does not hold what its type and version promise.
    #[error("event {event_type} is damaged: {source}")]
    Damaged {
        /// The type.
        event_type: String,
        /// The cause.
        source: rmp_serde::decode::Error,
    },
}

/// An event that could not be encoded; cannot happen for the types of this crate.
#[derive(Debug, thiserror::Error)]
#[error("event cannot be encoded: {0}")]
pub struct EncodeError(#[from] rmp_serde::encode::Error);

/// An encoded event with the name and version stored beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Name of the type.
    pub event_type: &'static str,
    /// Version of its schema.
    pub schema_version: u16,
    /// MessagePack with named fields.
    pub payload: Vec<u8>,
}

fn pack<T: Serialize>(event_type: &'static str, event: &T) -> Result<Encoded, EncodeError> {
    let mut payload = Vec::with_capacity(192);
    event.serialize(&mut rmp_serde::Serializer::new(&mut payload).with_struct_map())?;
    Ok(Encoded { event_type, schema_version: 1, payload })
}

fn unpack<T: DeserializeOwned>(event_type: &str, version: u16, payload: &[u8]) -> Result<T, DecodeError> {
    if version > 1 {
        return Err(DecodeError::Newer { event_type: event_type.to_owned(), found: version, known: 1 });
    }
    rmp_serde::from_slice(payload)
        .map_err(|source| DecodeError::Damaged { event_type: event_type.to_owned(), source })
}

/// Declares the event types of one family: their names, and both directions of the codec.
macro_rules! family {
    ($family:ident, $category:literal, $( $name:literal => $variant:ident($module:ident :: $event:ident) ; )+) => {
        impl $family {
            /// Names of all event types of this family.
            pub const TYPES: &'static [&'static str] = &[$($name),+];

            /// Encodes the event in its newest version.
            ///
            /// # Errors
            /// [`EncodeError`] if serialization fails.
            pub fn encode(&self) -> Result<Encoded, EncodeError> {
                match self {
                    $(Self::$variant(event) => pack::<$module::$event>($name, event),)+
                }
            }

            /// Decodes an event of any version ever written.
            ///
            /// # Errors
            /// See [`DecodeError`].
            pub fn decode(event_type: &str, version: u16, payload: &[u8]) -> Result<Self, DecodeError> {
                match event_type {
                    $($name => unpack::<$module::$event>(event_type, version, payload)
                        .map(|event| Self::$variant(event.into())),)+
                    other => Err(DecodeError::UnknownType { category: $category.to_owned(), event_type: other.to_owned() }),
                }
            }
        }
    };
}

family! { ContactEvent, "contact",
    "contact.created" => Created(contact::Created);
    "contact.keys-attached" => KeysAttached(contact::KeysAttached);
    "contact.properties" => PropertiesChanged(contact::PropertiesChanged);
    "contact.seen" => Seen(contact::Seen);
    "contact.event" => EventRecorded(contact::EventRecorded);
    "contact.bucket-entered" => BucketEntered(contact::BucketEntered);
    "contact.bucket-left" => BucketLeft(contact::BucketLeft);
    "contact.bucket-dwelled" => BucketDwelled(contact::BucketDwelled);
    "contact.bucket-deadline" => BucketDeadline(contact::BucketDeadline);
    "contact.dwell-planned" => DwellPlanned(contact::DwellPlanned);
    "contact.reacted" => Reacted(contact::Reacted);
    "contact.announced" => Announced(contact::Announced);
    "contact.merged-into" => MergedInto(contact::MergedInto);
    "contact.absorbed" => Absorbed(contact::Absorbed);
    "contact.conflict" => IdentityConflict(contact::IdentityConflict);
    "contact.erased" => Erased(contact::Erased);
    "contact.deleted" => Deleted(contact::Deleted);
    "contact.restored" => Restored(contact::Restored);
    "contact.looked" => Looked(contact::Looked);
}

family! { BucketEvent, "bucket",
    "bucket.defined" => Defined(bucket::Defined);
    "bucket.retired" => Retired(bucket::Retired);
    "bucket.switched" => Switched(bucket::Switched);
    "bucket.fill-started" => BackfillStarted(bucket::BackfillStarted);
    "bucket.fill-advanced" => BackfillAdvanced(bucket::BackfillAdvanced);
    "bucket.fill-completed" => BackfillCompleted(bucket::BackfillCompleted);
    "bucket.catch-up-planned" => CatchUpPlanned(bucket::CatchUpPlanned);
}

family! { IdentityEvent, "identity",
    "identity.claimed" => Claimed(identity::Claimed);
    "identity.released" => Released(identity::Released);
}

family! { EndpointEvent, "endpoint",
    "endpoint.created" => Created(endpoint::EndpointCreated);
    "endpoint.updated" => Updated(endpoint::EndpointUpdated);
    "endpoint.rotated" => SecretRotated(endpoint::SecretRotated);
    "endpoint.disabled" => Disabled(endpoint::EndpointDisabled);
    "endpoint.enabled" => Enabled(endpoint::EndpointEnabled);
    "endpoint.deleted" => Deleted(endpoint::EndpointDeleted);
    "endpoint.tested" => TestRequested(endpoint::TestRequested);
}

family! { DeliveryEvent, "deliveries",
    "delivery.attempted" => Attempted(delivery::Attempted);
    "delivery.requeued" => Requeued(delivery::Requeued);
    "delivery.discarded" => Discarded(delivery::Discarded);
    "delivery.recovery-started" => RecoveryStarted(redelivery::RecoveryStarted);
    "delivery.recovered" => Recovered(redelivery::Recovered);
    "delivery.recovery-advanced" => RecoveryAdvanced(redelivery::RecoveryAdvanced);
    "delivery.recovery-ended" => RecoveryEnded(redelivery::RecoveryEnded);
    "delivery.letter-discarded" => LetterDiscarded(redelivery::LetterDiscarded);
    "delivery.expired" => Expired(redelivery::Expired);
}

family! { AccessEvent, "access",
    "access.key-created" => Created(access::KeyCreated);
    "access.key-revoked" => Revoked(access::KeyRevoked);
}

family! { SourceSecretEvent, "source",
    "source.secret-stored" => Stored(source_secret::SecretStored);
}

family! { AuditEvent, "audit",
    "audit.acted" => Acted(audit::Acted);
}

/// Decodes an event by the family of its stream.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(
    stream: &StreamName,
    event_type: &str,
    version: u16,
    payload: &[u8],
) -> Result<DomainEvent, DecodeError> {
    Ok(match stream.category() {
        "contact" => DomainEvent::Contact(ContactEvent::decode(event_type, version, payload)?),
        "bucket" => DomainEvent::Bucket(BucketEvent::decode(event_type, version, payload)?),
        "identity" => DomainEvent::Identity(IdentityEvent::decode(event_type, version, payload)?),
        "endpoint" => DomainEvent::Endpoint(EndpointEvent::decode(event_type, version, payload)?),
        "deliveries" => DomainEvent::Delivery(DeliveryEvent::decode(event_type, version, payload)?),
        "access" => DomainEvent::Access(AccessEvent::decode(event_type, version, payload)?),
        "source" => DomainEvent::SourceSecret(SourceSecretEvent::decode(event_type, version, payload)?),
        "audit" => DomainEvent::Audit(AuditEvent::decode(event_type, version, payload)?),
        category => {
            return Err(DecodeError::UnknownType {
                category: category.to_owned(),
                event_type: event_type.to_owned(),
            });
        }
    })
}
