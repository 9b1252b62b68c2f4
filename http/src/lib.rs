//! The HTTP edge: authenticates, validates, limits, and forwards to the engine. It knows no domain rule.
//!
//! * [`data`]: events and contacts, for applications.
//! * [`admin`]: everything operators see and change.
//! * [`analytics`]: what is known of the analytics account, and the port to connect it.
//! * [`identify`]: redirect identity tokens, for browsers.
//! * [`sources`]: callbacks of third parties.
//! * `error` is the one place where refusals become responses.

mod address;
pub mod admin;
pub mod analytics;
mod auth;
mod background;
pub mod data;
mod erasure;
mod error;
mod headers;
mod health;
pub mod identify;
mod issues;
mod json;
mod limiter;
mod metrics;
mod query;
mod server;
mod slow_bodies;
pub mod sources;
mod state;

pub use background::{Background, Disk};
pub use metrics::Text;
pub use server::{configure, serve};
pub use state::{AppState, RequestUrl, Settings, UrlCheck};
