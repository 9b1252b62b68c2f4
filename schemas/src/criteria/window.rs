//! How many events an event leaf sees, and what it makes of the number (BK-32, BK-150).

use super::{CountOperator, EventCheck, EventLeaf, Facts, Number};
use crate::Timestamp;

/// The oldest instant that counts at `now`; `None` if all do.
pub(super) fn window_start(leaf: &EventLeaf, now: Timestamp) -> Option<Timestamp> {
    leaf.within.as_ref().map(|within| now.plus(within.millis().saturating_neg()))
}

/// Occurrences the leaf counts at `now`: all of them, or those with `occurredAt >= now - within`, future ones included.
pub(super) fn counted<'f>(leaf: &EventLeaf, facts: &'f impl Facts, now: Timestamp) -> &'f [Timestamp] {
    let all = facts.occurrences(&leaf.event_name);
    match window_start(leaf, now) {
        None => all,
        Some(oldest) => &all[all.partition_point(|occurred| *occurred < oldest)..],
    }
}

/// The truth of an event leaf as a question about a whole number n of occurrences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Question {
    /// n >= the bound.
    AtLeast(f64),
    /// n < the bound.
    Below(f64),
    /// n = the number.
    Exactly(f64),
}

impl Question {
    /// What `leaf` asks.
    pub(super) fn of(leaf: &EventLeaf) -> Self {
        let count = leaf.operator.zip(leaf.value.as_ref().map(Number::as_f64));
        match (leaf.check, count) {
            (EventCheck::NotExists, _) => Self::Below(1.0),
            (EventCheck::Exists, _) | (EventCheck::Count, None) => Self::AtLeast(1.0),
            // A whole number compares with a fraction as with the next whole number on the right side of it.
            (EventCheck::Count, Some((CountOperator::Gte, value))) => Self::AtLeast(value.ceil()),
            (EventCheck::Count, Some((CountOperator::Gt, value))) => Self::AtLeast(value.floor() + 1.0),
            (EventCheck::Count, Some((CountOperator::Lt, value))) => Self::Below(value.ceil()),
            (EventCheck::Count, Some((CountOperator::Lte, value))) => Self::Below(value.floor() + 1.0),
            (EventCheck::Count, Some((CountOperator::Eq, value))) => Self::Exactly(value),
        }
    }

    /// The answer for n occurrences.
    pub(super) fn holds(self, n: usize) -> bool {
        let n = n as f64;
        match self {
            Self::AtLeast(bound) => n >= bound,
            Self::Below(bound) => n < bound,
            Self::Exactly(number) => n == number,
        }
    }
}
