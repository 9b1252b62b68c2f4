//! Endpoints of outbound webhooks: configuration, secrets, and the outcomes of what was sent to them.

mod decide;
pub mod headers;
mod letters;
mod redelivery;
mod service;
mod state;

pub use decide::{EndpointPatch, Rotated};
pub use letters::LettersSettled;
pub use redelivery::{RecoveryItem, RecoveryPage, RecoveryRequest};
pub use service::{EndpointView, Endpoints, TestDelivery};
pub use state::EndpointState;
