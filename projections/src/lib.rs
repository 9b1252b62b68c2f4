//! Read models: everything that is asked over many contacts, buckets or deliveries at once.
//!
//! ```text
//!  log --> Runner --> decode once --> project (pure) --> unit of work --> one transaction: rows + checkpoints
//!                                                                              |
//!                                                     ReadModels (queries) <---'
//! ```
//!
//! * `project` turns a record into changes as data; it knows no database.
//! * A unit of work folds the changes of one batch per row, so a contact touched 500 times is written once.
//! * `store` holds the SQL that writes, `query` the SQL that reads.
//!
//! What holds: rows and checkpoints commit together (invariant 4); a gap in positions or stream versions is refused
//! (C3); everything here can be deleted and comes back equal (invariant 1, C4); nothing here calls out (C5).

mod backlog;
pub mod bucket_statistics;
pub mod contacts;
mod database;
pub mod delivery_queue;
mod digest;
mod error;
mod fact;
mod hand_over;
pub mod memberships;
mod missed;
mod page;
mod pool;
mod projection;
mod read_models;
mod rebuild;
mod runner;
mod shadow;
mod step;
mod value;
mod verify;
mod writer;

pub use bucket_statistics::{
    BucketFigures, BucketRow, FillProgress, FillState, Overview, Period, PeriodPoint,
};
pub use contacts::{Contact, ContactFilter, ContactKey, ContactOrder};
pub use delivery_queue::{
    Attempt, DeadLetter, DeadLetterFilter, Delivery, DeliveryCounts, DeliveryDetail, DeliveryFilter,
    DeliveryStats, DeliveryStatus, DueDelivery, Endpoint, Expirable, FirstAttempts, PAGE_BYTES, QueueFigures,
    Recoverable, Recovery, RecoverySpan,
};
pub use digest::{TableDigest, digest};
pub use error::ProjectionError;
pub use hand_over::{Fresh, HandOver};
pub use memberships::{
    MemberCounts, MemberCursor, MemberFilter, MemberPage, PageError, PageSize, Stay, StayStatus,
};
pub use missed::{Missed, MissedLimit, MissedPage, missed};
pub use page::Order;
pub use projection::Projection;
pub use read_models::{BucketMemberIter, BucketMembers, ReadModels};
pub use rebuild::{RebuildReport, Selection, rebuild};
pub use runner::{Runner, RunnerStatus};
pub use shadow::Progress;
pub use verify::{Difference, verify};
