//! The vocabulary of Mainspring.
//!
//! Everything that is stored, sent or authored has its type here: ids, instants, identity keys, properties, the
//! domain events with their versions and upcasters, the criteria language, the definition files and what is known of
//! destinations. This crate does no I/O, knows no clock and no randomness, and depends on none of the others.

pub mod catalog;
pub mod codec;
pub mod criteria;
pub mod definition;
pub mod destination;
pub mod duration;
pub mod endpoint_health;
pub mod event;
pub mod expression;
pub mod id;
pub mod identity;
pub mod outbound_event;
pub mod properties;
pub mod source;
pub mod stream;
pub mod time;

pub use id::{
    BucketId, ContactId, DeliveryId, EndpointId, KeyId, MessageId, RecordId, RecoveryId, SourceId, StayId,
};
pub use properties::Properties;
pub use stream::StreamName;
pub use time::Timestamp;
