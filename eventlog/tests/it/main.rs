//! The embedded log against the claims of the design: conformance, crashes, damage, full and failing disks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, which clippy recognises only inside test functions"
)]

mod conformance;
mod crashes;
mod damage;
mod fake_disk;
mod faults;
mod model;
mod preparation;
mod sealing;
mod snapshots;
mod workload;
