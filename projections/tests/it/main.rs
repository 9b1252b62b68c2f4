//! Black-box tests of the read models: histories in, questions out.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may stop a test")]

mod contacts;
mod deliveries;
mod endpoints;
mod equality;
mod following;
mod hand_over;
mod history;
mod member_access;
mod memberships;
mod memory_log;
mod redelivery;
mod verifying;
