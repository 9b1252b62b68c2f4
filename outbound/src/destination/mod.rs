//! How an envelope becomes a request: one transform per kind of endpoint (section 14).
//!
//! A transform is pure, runs once per attempt and has three ends: a request, nothing to send, or a fault of the
//! configuration. Everything else (retries, the log, dead letters, the address check) is the same for all kinds.

mod webhook;

use mainspring_schemas::Timestamp;

use crate::{
    exchange::Request,
    ports::{Endpoint, QueuedDelivery},
};

/// What a transform made of an envelope (OB-201).
#[derive(Clone, Debug)]
pub enum Transformed {
    /// Send this.
    Request(Request),
    /// Nothing to send: delivered without a request (OB-124).
    Skip,
    /// No request is possible: permanent. The text never contains a value of the configuration.
    Config(String),
}

/// Whether deliveries of this kind can be made; those of other kinds are held until it can (OB-204).
pub fn is_registered(kind: &str) -> bool {
    kind == webhook::KIND
}

/// The request of one attempt that leaves at `now`.
pub fn transform(endpoint: &Endpoint, delivery: &QueuedDelivery, now: Timestamp) -> Transformed {
    match endpoint.settings.kind.as_str() {
        webhook::KIND => webhook::transform(endpoint, delivery, now),
        kind => Transformed::Config(format!("destination \"{kind}\" is not registered")),
    }
}
