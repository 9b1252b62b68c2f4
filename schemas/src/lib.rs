//! The vocabulary of Mainspring.
//!
//! Everything that is stored, sent or authored has its type here: ids, instants, identity keys, properties, the
//! domain events with their versions and upcasters, the criteria language and the definition files. This crate does
//! no I/O, knows no clock and no randomness, and depends on none of the others.

pub mod catalog;
pub mod codec;
pub mod criteria;
pub mod definition;
pub mod duration;
pub mod event;
pub mod expression;
pub mod id;
pub mod identity;
pub mod properties;
pub mod source;
pub mod stream;
pub mod time;

pub use id::{BucketId, ContactId, DeliveryId, EndpointId, KeyId, MessageId, RecordId, SourceId, StayId};
pub use properties::Properties;
pub use stream::StreamName;
pub use time::Timestamp;
