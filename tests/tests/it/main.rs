//! The binary from outside: real processes, real sockets, real kills.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may stop a test")]

mod analytics;
mod backtest;
mod binary;
mod cdnow;
mod cdnow_limits;
mod dead_letters;
mod deliveries;
mod destinations;
mod endpoints;
mod erasure;
mod faults;
mod http;
mod identity;
mod journal;
mod lifecycle;
mod main_job;
mod operations;
mod random;
mod reactions;
mod receiver;
mod redelivery;
mod replay;
mod restoring;
mod server;
mod sources;
mod torture;
mod verifiers;
mod wire;
