//! Values computed from data, as authors write them in files: `{{ data.userId | default(data.to) }}` (JD-03).
//!
//! An expression names a path into the data it is given and passes it through filters. It is pure, cannot loop or call
//! anything, and says at load time which names it does not know. A string that is one expression keeps the type of its
//! value; within a longer string a value becomes text. What is missing is null, and as text empty.

mod condition;
mod filters;
mod names;
mod scope;
mod shape;
mod template;

pub use condition::{Comparison, Condition};
pub use scope::Scope;
pub use shape::Shape;
pub(crate) use shape::template;
pub use template::{InvalidExpression, Template};
