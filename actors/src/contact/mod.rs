//! One customer: identity keys, properties, history, bucket memberships; every rule about them, pure.
//!
//! ```text
//!  command, rules, now, ids ──► decide ──► events ──► one append
//!                                 │           │
//!                                 └─ state ◄──┴─ apply (also when a stream is read again)
//! ```
//!
//! [`decide`] changes the state only through [`apply`], so a state and the replay of its events are equal. A history that is
//! absorbed by reference is united with the state beside it, by both in the same way.

mod agenda;
mod analytics;
mod announce;
mod apply;
mod command;
mod decide;
mod dwell;
mod ending;
mod keys;
mod membership;
mod merge;
mod occurrences;
mod reaction;
mod replay;
mod snapshot;
mod state;
mod used_keys;

pub use apply::{Meta, apply};
pub use command::{Call, Command, Decision, EmailUpdate, Erasure, NewEvent, Outcome, Policy, Taken, Waiting};
pub use decide::{Half, Turn, decide, take};
pub(crate) use membership::{next_look, plan_looks};
pub use occurrences::Occurrences;
pub use replay::{Moment, Replay};
pub use snapshot::{SNAPSHOT_SCHEMA, from_snapshot, to_snapshot};
pub use state::{ContactState, Fate, HeldKey, Remembered, Standing, Stay, digest_of};
pub use used_keys::UsedKeys;
