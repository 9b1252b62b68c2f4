//! Scenarios and properties of the actors, driven without threads wherever a rule allows it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may stop a test")]

mod backtest;
mod engine_identity;
mod engine_time;
mod harness;
mod history;
mod identity_model;
mod membership_model;
mod membership_scenarios;
mod preview;
mod random;
mod world;
