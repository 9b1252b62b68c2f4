//! The commands, one module each.

pub mod at;
pub mod backtest;
pub mod bench;
pub mod check;
pub mod contact;
pub mod deliveries;
pub mod demo;
pub mod dlq;
pub mod import;
pub mod keys;
mod past;
mod places;
pub mod rebuild;
pub mod serve;
pub mod stream;
pub mod verify;
pub mod version;
