//! Tests of the crate from outside, one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may stop a test")]

mod arrivals;
mod client;
mod delivery;
mod destinations;
mod health;
mod limits;
mod proxy;
mod receiver;
mod requeue;
mod script;
mod secure;
mod vectors;
mod worker;
mod world;
