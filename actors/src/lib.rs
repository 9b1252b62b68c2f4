//! Contacts, buckets, endpoints and secrets of sources: event-sourced entities and the actors that host them.
//!
//! Rules are pure: [`contact::decide`] and [`contact::apply`] know no clock, no disk and no actor. `shard` hosts the
//! entities, [`identity`] finds and guards owners of keys, [`engine`] is the handle everybody else holds. This crate
//! never reads a read model; what it needs from them is stated as a port in [`population`].

pub mod access;
pub mod api;
pub mod audit;
pub mod backtest;
pub mod bucket;
pub mod clock;
pub mod contact;
pub mod endpoint;
pub mod engine;
pub mod entropy;
pub mod history;
pub mod identity;
mod pages;
pub mod population;
pub mod rules;
mod shard;
pub mod source_secrets;
mod writer;

pub use access::AccessKeys;
pub use audit::AuditTrail;
pub use bucket::Buckets;
pub use clock::{Clock, ManualClock, SystemClock};
pub use endpoint::Endpoints;
pub use engine::{Engine, EngineHealth, Erased, Hosting, Options, Restoration};
pub use source_secrets::SourceSecrets;
