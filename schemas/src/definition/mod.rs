//! Bucket definitions: the type, and the reading of the files in which people write them (section 2 of the buckets
//! specification).

mod model;

pub use model::{BucketDefinition, BucketKind, EntryLimit};
