//! Buckets: definitions through time, switches, back-fills. Members are a matter of the contacts.

mod actor;
mod catch_up;
mod decide;
mod fill;
mod service;
mod state;

pub use service::{BucketView, Buckets};
pub use state::{Asked, BucketState, Pass};
