//! Inbound webhook sources: third parties' callbacks become events (the webhook sources specification).

pub mod headers;
pub mod verify;
