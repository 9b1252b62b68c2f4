//! How an envelope becomes a request: one transform per kind of endpoint (section 14).
//!
//! A transform is pure, runs once per attempt and has three ends: a request, nothing to send, or a fault of the
//! configuration. Everything else (retries, the log, dead letters, the address check) is the same for all kinds.

mod custom;
mod envelope;
mod posthog;
mod registry;
mod request;
mod segment;
mod slack;
mod webhook;

use mainspring_schemas::{Timestamp, destination::Description};

pub use self::{
    custom::Custom,
    envelope::Envelope,
    posthog::{KIND as POSTHOG, PLACEHOLDER as POSTHOG_PLACEHOLDER},
    registry::{DEFAULT_LIB, Presets, Registry},
};
use crate::{
    exchange::Request,
    ports::{Endpoint, QueuedDelivery},
};

/// A kind of destination (OB-200). One written in code is registered like the shipped ones (OB-261).
pub trait Destination: Send + Sync + 'static {
    /// What it is and what it takes.
    fn description(&self) -> &Description;

    /// Whether it is an analytics provider, which is told what nobody else can subscribe to (OB-01). No other one ever
    /// gets that, even if its endpoint was one when the delivery was made.
    fn is_for_analytics(&self) -> bool {
        false
    }

    /// The request of one attempt. Pure: the same arguments make the same request.
    fn transform(&self, outgoing: &Outgoing<'_>) -> Transformed;
}

/// One attempt that is about to be made.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// To whom, as of this moment (OB-83).
    pub endpoint: &'a Endpoint,
    /// What.
    pub delivery: &'a QueuedDelivery,
    /// When it leaves.
    pub now: Timestamp,
}

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

/// Why no request is possible, on the way to [`Transformed::Config`].
struct Fault(String);

impl From<Result<Transformed, Fault>> for Transformed {
    fn from(result: Result<Self, Fault>) -> Self {
        result.unwrap_or_else(|Fault(text)| Self::Config(text))
    }
}
