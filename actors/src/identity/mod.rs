//! Who a call is about: look-ups of keys, the pure rules that weigh them, and the locks that keep calls in turn.

mod digest;
mod directory;
mod locks;
mod plan;

pub use digest::KeyHasher;
pub use directory::{Directory, Owner};
pub use locks::{Guards, KeyedLocks};
pub use plan::{Candidate, Found, Plan, plan};
