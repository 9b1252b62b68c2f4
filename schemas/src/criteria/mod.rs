//! The criteria language of buckets: predicates over one contact, as data (BK-30 to BK-37).
//!
//! Everything here is pure. The same criteria, facts and instant give the same answer in every producer (BK-06), and
//! nothing allocates while a contact is decided.

mod evaluate;
mod hash;
mod model;
mod narrow;
mod next_change;
mod number;
pub(crate) mod present;
mod published;
mod window;

pub use evaluate::{Facts, evaluate};
pub use hash::criteria_hash;
pub use model::{
    Composite, CompositeOperator, CountOperator, Criteria, EmailCheck, EmailLeaf, EventCheck, EventLeaf,
    PropertyLeaf, PropertyOperator, Scalar,
};
pub use narrow::Touches;
pub use next_change::next_change;
pub use number::Number;

/// Deepest nesting of criteria; a leaf alone has depth 1 (BK-35).
pub const MAX_DEPTH: usize = 32;

/// Most leaves of one criterion (BK-35).
pub const MAX_LEAVES: usize = 256;
