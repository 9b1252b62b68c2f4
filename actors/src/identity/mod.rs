//! Who a call is about: look-ups of keys, the pure rules that weigh them, and the locks that keep calls in turn.

mod claims;
mod digest;
mod directory;
mod locks;
mod lookup;
mod plan;

pub(crate) use claims::ClaimWriter;
pub use digest::KeyHasher;
pub use directory::{Directory, DirectoryError, Owner, Standing};
pub use locks::{Guards, KeyedLocks};
pub use lookup::LookedUp;
pub use plan::{Attaches, Candidate, Found, MergePolicy, Plan, plan};
