//! The delivery queue: what must still leave, what left, and how it went.
//!
//! ```text
//! endpoints        where to, as of the checkpoint; a deleted one keeps its row
//! deliveries       one row per (message, endpoint), in log order
//! delivery_bodies  the frozen envelopes (OB-52), apart so that an outcome does not rewrite them
//! attempts         one row per HTTP attempt
//! dead_letters     one row per delivery that was given up (OB-154)
//! recoveries       spans that are delivered again (OB-161)
//! withdrawn        contacts that were erased
//! retention        up to where an endpoint's deliveries may be gone (OB-163)
//! delivery_counts  how many deliveries an endpoint has in each state
//! ```
//!
//! Nothing is sent from here. A rebuild derives the same ids, and the recorded outcomes say what is still due (OB-65).

mod cell;
mod endpoint;
mod envelope;
mod fan_out;
pub mod project;
mod query;
mod query_endpoint;
mod query_letter;
mod query_log;
mod query_queue;
mod query_recovery;
mod query_stats;
mod schema;
mod store;
mod store_endpoint;
mod store_letter;
mod store_redelivery;
mod unit;
mod unit_redelivery;

pub(crate) use cell::Cell;
pub use envelope::envelope;
pub(crate) use fan_out::FanOut;
pub use query::{DueDelivery, FirstAttempts, PAGE_BYTES};
pub(crate) use query::{
    changed_endpoints, due, first_attempts, held, next_due, next_due_of, next_of_contact, next_retry,
    pending_endpoints, retries,
};
pub use query_endpoint::{DeliveryCounts, Endpoint};
pub(crate) use query_endpoint::{
    counts, destroyed_endpoint_keys, endpoint, endpoint_ids, endpoint_total, endpoints,
};
pub use query_letter::{DeadLetter, DeadLetterFilter};
pub(crate) use query_letter::{dead_letter_total, dead_letters, oldest_dead_letters};
pub use query_log::{Attempt, Delivery, DeliveryDetail, DeliveryFilter};
pub(crate) use query_log::{deliveries, detail};
pub use query_queue::QueueFigures;
pub(crate) use query_queue::queue_figures;
pub use query_recovery::{Expirable, Recoverable, Recovery, RecoverySpan};
pub(crate) use query_recovery::{
    expirable, forgot_until, is_known, recoverable, recoverable_total, recovery, running_recoveries, untried,
};
pub use query_stats::DeliveryStats;
pub(crate) use query_stats::stats;
pub(crate) use schema::SCHEMA;
pub(crate) use unit::Unit;

use serde::{Deserialize, Serialize};

/// State of a delivery (OB-120..OB-127). Being in flight is no state of the log: whoever sends knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    /// Waits for its first or next attempt; held while its endpoint is disabled (OB-88).
    Pending,
    /// The receiver took it. Terminal.
    Delivered,
    /// Given up: a dead letter. Terminal.
    Failed,
    /// Its endpoint is gone (OB-87), it was held too long (OB-88), or whom it is about was erased. Terminal.
    Discarded,
}

impl DeliveryStatus {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Failed, Self::Discarded];

    /// The word on the wire and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Discarded => "discarded",
        }
    }
}
