//! What stays and bucket events mean for the figures, as data.

use mainspring_schemas::{
    BucketId, Timestamp,
    event::{
        BucketEvent,
        bucket::{BackfillAdvanced, BackfillCompleted, BackfillStarted, Purpose},
    },
};

use crate::{error::Result, memberships::project::StayFact};

/// Milliseconds of a UTC day.
pub(crate) const DAY: i64 = 86_400_000;

/// What a batch adds to a bucket's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// All stays.
    pub entered: i64,
    /// Ended stays.
    pub ended: i64,
    /// Milliseconds of all ended stays together.
    pub ended_millis: i64,
    /// Sum of the instants at which active stays began, from which their age follows at any moment.
    pub active_since_sum: i64,
}

/// What a batch adds to a bucket's day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayFigures {
    /// Stays that began that day.
    pub entered: i64,
    /// Stays that ended that day.
    pub ended: i64,
}

/// One addition: to the bucket, and to one of its UTC days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addition {
    /// To the bucket.
    pub figures: Figures,
    /// To the day, given by its number since 1970.
    pub days: [Option<(i64, DayFigures)>; 2],
}

fn day(at: Timestamp) -> i64 {
    at.0.div_euclid(DAY)
}

/// What became of a stay, as additions.
pub fn project(fact: &StayFact) -> (&BucketId, Addition) {
    let came = |at: Timestamp, sign: i64| (day(at), DayFigures { entered: sign, ended: 0 });
    let went = |at: Timestamp, sign: i64| (day(at), DayFigures { entered: 0, ended: sign });
    match fact {
        StayFact::Began { bucket, entered_at } => {
            let figures = Figures { entered: 1, active_since_sum: entered_at.0, ..Figures::default() };
            (bucket, Addition { figures, days: [Some(came(*entered_at, 1)), None] })
        }
        StayFact::Ended { bucket, entered_at, left_at } => {
            let figures = Figures {
                entered: 0,
                ended: 1,
                ended_millis: left_at.since(*entered_at),
                active_since_sum: -entered_at.0,
            };
            (bucket, Addition { figures, days: [Some(went(*left_at, 1)), None] })
        }
        StayFact::Forgotten { bucket, entered_at, left_at: None } => {
            let figures = Figures { entered: -1, active_since_sum: -entered_at.0, ..Figures::default() };
            (bucket, Addition { figures, days: [Some(came(*entered_at, -1)), None] })
        }
        StayFact::Forgotten { bucket, entered_at, left_at: Some(left_at) } => {
            let ended_millis = -left_at.since(*entered_at);
            let figures = Figures { entered: -1, ended: -1, ended_millis, active_since_sum: 0 };
            (bucket, Addition { figures, days: [Some(came(*entered_at, -1)), Some(went(*left_at, -1))] })
        }
    }
}

/// A bucket's row, without its figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Version of the newest record of its stream.
    pub version: u64,
    /// Place among all buckets, by first definition.
    pub ordinal: u64,
    /// The newest definition as JSON.
    pub definition: String,
    /// Digest of its criteria.
    pub criteria_hash: String,
    /// When it came into force.
    pub defined_at: Timestamp,
    /// The operator's switch, which wins over the definition (BK-200).
    pub switched: Option<bool>,
    /// Whether the definition says enabled.
    pub enabled: bool,
    /// When the definition went away (BK-203).
    pub retired_at: Option<Timestamp>,
    /// Whether members are still to be decided anew.
    pub building: bool,
    /// When the newest back-fill began.
    pub fill_started_at: Option<Timestamp>,
    /// How many contacts it had to look at.
    pub fill_total: u64,
    /// How many it decided.
    pub fill_processed: u64,
    /// When it ended.
    pub fill_completed_at: Option<Timestamp>,
    /// When the row changed last.
    pub updated_at: Timestamp,
}

/// Brings a bucket's row to where it is after an event; `position` is that of the record.
///
/// # Errors
/// If the definition cannot be written as JSON.
pub fn apply(
    standing: Option<Standing>,
    event: &BucketEvent,
    version: u64,
    position: u64,
) -> Result<Standing> {
    let mut standing = standing.unwrap_or_else(|| Standing { ordinal: position, ..Standing::default() });
    standing.version = version;
    match event {
        BucketEvent::Defined(defined) => {
            standing.definition = serde_json::to_string(&defined.definition)?;
            standing.enabled = defined.definition.enabled;
            standing.criteria_hash.clone_from(&defined.criteria_hash);
            standing.defined_at = defined.at;
            standing.retired_at = None;
            standing.building |= defined.re_evaluates;
            standing.updated_at = defined.at;
        }
        BucketEvent::Retired(retired) => {
            standing.retired_at = Some(retired.at);
            standing.building = false;
            standing.updated_at = retired.at;
        }
        BucketEvent::Switched(switched) => {
            standing.switched = Some(switched.enabled);
            standing.updated_at = switched.at;
        }
        // A pass that only plans clocks decides nobody: no figure tells of it.
        BucketEvent::BackfillStarted(BackfillStarted { purpose: Purpose::Clocks, .. })
        | BucketEvent::BackfillAdvanced(BackfillAdvanced { purpose: Purpose::Clocks, .. })
        | BucketEvent::BackfillCompleted(BackfillCompleted { purpose: Purpose::Clocks, .. })
        | BucketEvent::CatchUpPlanned(_) => {}
        BucketEvent::BackfillStarted(started) => {
            standing.building = true;
            standing.fill_started_at = Some(started.at);
            standing.fill_total = started.total;
            standing.fill_processed = 0;
            standing.fill_completed_at = None;
        }
        BucketEvent::BackfillAdvanced(advanced) => standing.fill_processed = advanced.processed,
        BucketEvent::BackfillCompleted(completed) => {
            standing.fill_processed = completed.processed;
            standing.fill_completed_at = Some(completed.at);
            // A back-fill of criteria that have changed meanwhile settles nothing.
            standing.building &= completed.criteria_hash != standing.criteria_hash;
        }
    }
    Ok(standing)
}
