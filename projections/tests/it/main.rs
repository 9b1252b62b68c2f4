//! Black-box tests of the read models: histories in, questions out.

mod contacts;
mod deliveries;
mod equality;
mod following;
mod history;
mod memberships;
mod memory_log;
mod verifying;
