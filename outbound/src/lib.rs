//! Outbound events: signing, sending, retrying and reporting what became of each attempt.
//!
//! The pure parts ([`secret`], [`signature`], [`schedule`], [`outcome`], [`guard`]) know no clock and no randomness.
//! The [`client`] is the only code of the system that calls out. [`provision`] sets up what calls us back. The [`worker`] drives deliveries from a queue to
//! their outcomes; it knows the rest of the system only through the traits of [`ports`].
//!
//! Invariants: nothing leaves except by the guarded client; an outcome is recorded in the log before anything else
//! builds on it; no error, log line or metric carries an address, a url, a secret or a body.

pub mod address;
pub mod client;
pub mod destination;
pub mod exchange;
pub mod guard;
pub mod headers;
pub mod outcome;
pub mod ports;
pub mod provision;
pub mod resolver;
pub mod schedule;
pub mod secret;
pub mod settings;
pub mod signature;
pub mod worker;
