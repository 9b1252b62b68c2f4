//! Live contacts and their keys.
//!
//! ```text
//! contacts          one row per live contact: what every event moves, and nothing else
//! contact_profiles  the rest of it: primary keys, instants that move rarely, properties as JSON
//! contact_keys      every key of every live contact
//! contact_former    who was merged away, with the survivor, or deleted, since when; the erased have neither
//! destroyed_keys    data keys of the erased: every start sees to it that they are destroyed
//! contact_totals    how many there are
//! ```
//!
//! Writing at the rate of events is paid in pages. Rows are narrow, and the two orders that are asked for (newest seen
//! first, soonest wake-up first) are indexed by coarse slots that most events do not change; a slot is sorted when read.

mod cell;
mod keys;
pub mod project;
mod query;
mod query_order;
mod slot;
mod store;
mod unit;

pub use query::{Contact, ContactFilter, ContactKey, ContactOrder};
pub(crate) use query::{
    by_any_key, by_key, contact, destroyed_keys, filtered_total, former, keys_of, list, total,
};
pub(crate) use query_order::{deleted_after, due_wakes, ids_after, next_wake};
pub(crate) use store::SCHEMA;
pub(crate) use unit::Unit;
