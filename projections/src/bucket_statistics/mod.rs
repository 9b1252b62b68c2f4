//! Figures of buckets, and what their actors decided: definition, switch, back-fill.
//!
//! The figures are exactly what counting the rows of `stays` would give; a deleted contact's stays leave both (BK-228).

pub mod project;
mod query;
mod store;
mod unit;

pub use query::{BucketFigures, BucketRow, FillProgress, FillState, Overview, Period, PeriodPoint};
pub(crate) use query::{all_figures, bucket, buckets, figures, names, overview, points};
pub(crate) use store::SCHEMA;
pub(crate) use unit::Unit;
