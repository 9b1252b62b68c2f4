//! Inbound webhook sources: how they prove their caller, what their payloads look like, and the files in which people
//! describe sources of their own (WS-10 to WS-32, WS-140 to WS-143).

mod auth;
mod shape;

pub use auth::{Algorithm, Auth, DEFAULT_TOLERANCE_SECONDS, DetailedScheme, Encoding, Scheme, Signed};
pub use shape::{Member, Mismatch, Shape};
