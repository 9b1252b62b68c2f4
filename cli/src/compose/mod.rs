//! Putting the crates together: one data directory, one log, one engine, and what serves them.

pub mod analytics;
mod attempts;
mod background;
pub mod data_dir;
pub mod delivery;
pub mod destinations;
mod housekeeping;
pub mod lock;
pub mod opened_log;
mod outbound;
pub mod population;
pub mod posthog;
mod process;
mod recovery;
mod retention;
mod secrets;
pub mod sources;
pub mod system;
mod worker_thread;

pub use data_dir::DataDir;
pub use system::{Options, System};
