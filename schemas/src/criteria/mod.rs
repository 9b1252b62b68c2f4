//! The criteria language of buckets: predicates over one contact, as data (BK-30 to BK-37).
//!
//! Everything here is pure. The same criteria, facts and instant give the same answer in every producer (BK-06), and
//! nothing allocates while a contact is decided.

pub(crate) mod document;
mod evaluate;
mod explain;
mod hash;
mod long_form;
mod model;
mod narrow;
mod next_change;
mod number;
pub(crate) mod present;
mod published;
pub(crate) mod read;
pub(crate) mod reader;
mod short_form;
pub(crate) mod suggest;
mod validate;
mod window;

pub use document::{Problem, Severity};
pub use evaluate::{Facts, evaluate};
pub use explain::{
    ExplainedComposite, ExplainedEmail, ExplainedEvent, ExplainedProperty, Explanation, MAX_LISTED, explain,
};
pub use hash::criteria_hash;
pub use model::{
    Composite, CompositeOperator, CountOperator, Criteria, EmailCheck, EmailLeaf, EventCheck, EventLeaf,
    PropertyLeaf, PropertyOperator, Scalar,
};
pub use narrow::Touches;
pub use next_change::next_change;
pub use number::Number;
pub use read::read_json;
pub use validate::validate;

/// Deepest nesting of criteria; a leaf alone has depth 1 (BK-35).
pub const MAX_DEPTH: usize = 32;

/// Most leaves of one criterion (BK-35).
pub const MAX_LEAVES: usize = 256;
