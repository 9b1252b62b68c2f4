//! Scenarios and properties of the actors, driven without threads wherever a rule allows it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may stop a test")]

mod analytics;
mod announcements;
mod backtest;
mod dwell_scenarios;
mod engine_dwell;
mod engine_identity;
mod engine_time;
mod erasure;
mod halves;
mod harness;
mod history;
mod identity_model;
mod identity_scenarios;
mod membership_model;
mod membership_scenarios;
mod oracle;
mod preview;
mod random;
mod reaction_scenarios;
mod restoring;
mod schedules;
mod source_secrets;
mod sources;
mod world;
