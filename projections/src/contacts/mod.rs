//! Live contacts and their keys.
//!
//! ```text
//! contacts            one row per live contact, narrow: it is written at every event
//! contact_properties  its properties as JSON; no row = none
//! contact_keys        every key of every live contact
//! contact_former      who was merged away or deleted, with the survivor
//! contact_totals      how many there are
//! ```

mod cell;
mod keys;
pub mod project;
mod query;
mod store;
mod unit;

pub use query::{Contact, ContactFilter, ContactKey, ContactOrder};
pub(crate) use query::{
    by_key, contact, due_wakes, filtered_total, former, ids_after, keys_of, list, next_wake, total,
};
pub(crate) use store::SCHEMA;
pub(crate) use unit::Unit;
