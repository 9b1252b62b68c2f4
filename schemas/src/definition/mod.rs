//! Bucket definitions: the type, and the reading of the files in which people write them (section 2 of the buckets
//! specification).
//!
//! Reading is a pure function of texts; who finds the files and watches them is somebody else's concern.

mod issue;
mod json;
mod load;
mod model;
pub(crate) mod one_per_file;
mod published;
mod reaction;
mod read;
mod read_reaction;
mod select;
mod yaml;

pub use issue::Issue;
pub(crate) use load::document;
pub use load::{assemble, load_file};
pub use model::{BucketDefinition, BucketKind, EntryLimit};
pub use published::{bucket_schema, criteria_schema};
pub use reaction::{Action, Pace, Reaction, Schedule, Trigger};
pub use select::{UnknownBuckets, select};
