//! Inbound webhook sources: how they prove their caller, what their payloads look like, and the files in which people
//! describe sources of their own (WS-10 to WS-32, WS-140 to WS-143).

mod auth;
mod evaluate;
mod load;
mod model;
mod published;
mod read;
mod read_auth;
mod read_rule;
mod shape;

pub use auth::{Algorithm, Auth, DEFAULT_TOLERANCE_SECONDS, DetailedScheme, Encoding, Scheme, Signed};
pub use evaluate::Reading;
pub use load::assemble;
pub use model::{Bag, OnDelete, Property, RESERVED_IDS, ROOTS, Rule, SourceDefinition};
pub use published::source_schema;
pub use shape::{Member, Mismatch, Shape};
