//! Stays of contacts in buckets (BK-60): one row per stay, active or ended.

mod paging;
pub mod project;
mod query;
mod store;
mod unit;

pub(crate) use paging::page;
pub use paging::{MemberCursor, MemberPage, PageError, PageSize};
pub use query::{MemberCounts, MemberFilter, Stay, StayStatus};
pub(crate) use query::{
    active_stay, contact_stay_count, contact_stays, counts, filtered_count, is_member, members, stay,
    stays_of,
};
pub(crate) use store::SCHEMA;
pub(crate) use unit::Unit;
