//! Stays of contacts in buckets (BK-60): one row per stay, active or ended.

pub mod project;
mod query;
mod store;
mod unit;

pub use query::{MemberCounts, MemberFilter, Stay, StayStatus};
pub(crate) use query::{counts, filtered_count, is_member, members, members_after, stay, stays_of};
pub(crate) use store::SCHEMA;
pub(crate) use unit::Unit;
