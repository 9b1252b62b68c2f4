//! Events of a bucket's stream: its definition through time, and its back-fills (BK-189).

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::{ContactId, Timestamp, definition::BucketDefinition};

/// A definition appeared or changed; in force from this record on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Defined {
    /// The activation instant.
    pub at: Timestamp,
    /// The definition, in long form.
    pub definition: BucketDefinition,
    /// Digest of the criteria (BK-181).
    pub criteria_hash: String,
    /// Whether members must be decided anew because of it: first definition, changed criteria, or a return.
    pub re_evaluates: bool,
    /// Whether members must be looked at, though not decided anew: a dwell schedule came (BK-138), or a `maxDwell`
    /// where there was none (BK-142).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replans: bool,
}

/// The definition went away: kept, not evaluated, not announced, not counted (BK-203).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// When.
    pub at: Timestamp,
}

/// An operator switched the bucket (BK-200); wins over the definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched {
    /// When.
    pub at: Timestamp,
    /// The switch.
    pub enabled: bool,
}

/// What a pass over the contacts is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To decide who is a member (BK-182, BK-184).
    #[default]
    Membership,
    /// To plan the clocks of members, whose membership stays as it is (BK-135, BK-138, BK-142).
    Clocks,
}

impl Purpose {
    fn is_membership(&self) -> bool {
        *self == Self::Membership
    }
}

/// A back-fill began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillStarted {
    /// When.
    pub at: Timestamp,
    /// The criteria it decides.
    pub criteria_hash: String,
    /// How many contacts there are to look at.
    pub total: u64,
    /// What the pass is for.
    #[serde(default, skip_serializing_if = "Purpose::is_membership")]
    pub purpose: Purpose,
}

/// A chunk of a back-fill is decided and durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillAdvanced {
    /// When.
    pub at: Timestamp,
    /// The last contact decided; the next chunk begins after it.
    pub cursor: ContactId,
    /// Contacts decided so far.
    pub processed: u64,
    /// What the pass is for.
    #[serde(default, skip_serializing_if = "Purpose::is_membership")]
    pub purpose: Purpose,
}

/// A back-fill is through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillCompleted {
    /// When.
    pub at: Timestamp,
    /// The criteria it decided.
    pub criteria_hash: String,
    /// Contacts decided.
    pub processed: u64,
    /// What the pass is for.
    #[serde(default, skip_serializing_if = "Purpose::is_membership")]
    pub purpose: Purpose,
}

/// Members that a pass found past the threshold of a new schedule get instants to catch up at, evenly spread (BK-138).
/// Stands before the instants are given out, so that none is ever given twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatchUpPlanned {
    /// When.
    pub at: Timestamp,
    /// The first instant.
    pub first: Timestamp,
    /// How many instants.
    pub count: u64,
    /// How many of them at most lie within a minute.
    pub per_minute: NonZeroU32,
}

impl CatchUpPlanned {
    const MINUTE: i128 = 60_000;

    fn after(&self, milliseconds: i128) -> Timestamp {
        Timestamp(i64::try_from(i128::from(self.first.0) + milliseconds).unwrap_or(i64::MAX))
    }

    /// The instants, in ascending order. Of those of one plan and the next, which begins at [`Self::end`] or later, no
    /// more than `per_minute` lie within any sixty seconds.
    pub fn instants(&self) -> impl Iterator<Item = Timestamp> + '_ {
        let rate = i128::from(self.per_minute.get());
        (0..i128::from(self.count)).map(move |place| self.after(place * Self::MINUTE / rate))
    }

    /// The first instant that is free again.
    pub fn end(&self) -> Timestamp {
        let rate = i128::from(self.per_minute.get());
        self.after((i128::from(self.count) * Self::MINUTE + rate - 1) / rate)
    }
}

/// An event of a bucket's stream.
#[derive(Clone, Debug, PartialEq)]
pub enum BucketEvent {
    /// See [`Defined`].
    Defined(Box<Defined>),
    /// See [`Retired`].
    Retired(Retired),
    /// See [`Switched`].
    Switched(Switched),
    /// See [`BackfillStarted`].
    BackfillStarted(BackfillStarted),
    /// See [`BackfillAdvanced`].
    BackfillAdvanced(BackfillAdvanced),
    /// See [`BackfillCompleted`].
    BackfillCompleted(BackfillCompleted),
    /// See [`CatchUpPlanned`].
    CatchUpPlanned(CatchUpPlanned),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Of however many plans, each beginning where the one before ended or later.
        #[test]
        fn bk_138_no_more_instants_than_allowed_lie_within_any_minute(
            per_minute in prop_oneof![1_u32..100, 59_000_u32..130_000],
            counts in prop::collection::vec((1_u64..400, 0_i64..3), 1..5),
        ) {
            let per_minute = NonZeroU32::new(per_minute).unwrap();
            let (mut first, mut all) = (Timestamp(1_000), Vec::new());
            for (count, pause) in counts {
                let planned = CatchUpPlanned { at: first, first: first.plus(pause), count, per_minute };
                all.extend(planned.instants());
                prop_assert_eq!(planned.instants().count() as u64, count);
                first = planned.end();
                prop_assert!(all.last().is_some_and(|last| *last <= first));
            }
            prop_assert!(all.is_sorted());
            for pair in all.windows(per_minute.get() as usize + 1) {
                prop_assert!(pair[pair.len() - 1].since(pair[0]) >= 60_000);
            }
            // And no slower than need be.
            let ideal = (all.len() as i64 - 1) * 60_000 / i64::from(per_minute.get());
            prop_assert!(all[all.len() - 1].since(all[0]) <= ideal + 4 * 4);
        }
    }
}
