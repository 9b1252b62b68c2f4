//! What a backtest found, in numbers.

use std::collections::BTreeMap;

use compact_str::CompactString;
use mainspring_schemas::{ContactId, Timestamp, event::ContactEvent};
use serde::Serialize;

/// A day, in milliseconds.
const DAY: i64 = 86_400_000;

/// One UTC day of the period on which something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Day {
    /// When it began.
    pub start: Timestamp,
    /// Stays that began.
    pub entered: u64,
    /// Stays that ended by a transition.
    pub left: u64,
    /// Stays that became part of another one in a merge (BK-240).
    pub united: u64,
    /// Members at its end.
    pub members: u64,
}

/// A contact whose membership differs at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Who.
    pub id: ContactId,
    /// Its canonical key (KE-20).
    pub user_id: CompactString,
    /// Its primary address.
    pub user_email: Option<CompactString>,
    /// When the stay began that only one of the two sides knows.
    pub since: Timestamp,
}

/// Contacts that differ in the same way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Differences {
    /// How many.
    pub total: u64,
    /// The first of them, by id.
    pub first: Vec<Difference>,
}

impl Differences {
    pub(super) fn add(&mut self, listed: usize, difference: impl FnOnce() -> Difference) {
        self.total += 1;
        if self.first.len() < listed {
            self.first.push(difference());
        }
    }
}

/// What a backtest found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The beginning of the period.
    pub from: Timestamp,
    /// Its last instant.
    pub until: Timestamp,
    /// Live contacts at the end.
    pub contacts: u64,
    /// Members at the beginning.
    pub initial: u64,
    /// Stays that began in the period.
    pub entered: u64,
    /// Those of them that the world would have been told of (BK-85).
    pub announced: u64,
    /// Stays that ended in the period, by reason (BK-90).
    pub left: BTreeMap<&'static str, u64>,
    /// Stays that became part of another one in a merge.
    pub united: u64,
    /// Members at the end.
    pub members: u64,
    /// Members at the end by the definitions that were in force.
    pub recorded_members: u64,
    /// Would be members and are none.
    pub would_join: Differences,
    /// Are members and would be none.
    pub would_leave: Differences,
    /// The days on which something happened, in order.
    pub days: Vec<Day>,
}

/// Begins and ends of one day.
#[derive(Clone, Copy, Debug, Default)]
struct Changes {
    entered: u64,
    left: u64,
    united: u64,
}

/// Figures that grow.
#[derive(Debug)]
pub(super) struct Figures {
    from: Option<Timestamp>,
    /// Stays that had begun and not ended when the period began.
    initial: i64,
    announced: u64,
    left: BTreeMap<&'static str, u64>,
    /// By the number of the day since 1970.
    days: BTreeMap<i64, Changes>,
}

impl Figures {
    pub fn new(from: Option<Timestamp>) -> Self {
        Self { from, initial: 0, announced: 0, left: BTreeMap::new(), days: BTreeMap::new() }
    }

    fn is_before(&self, at: Timestamp) -> bool {
        self.from.is_some_and(|from| at < from)
    }

    fn day(&mut self, at: Timestamp) -> &mut Changes {
        self.days.entry(at.0.div_euclid(DAY)).or_default()
    }

    /// Counts transitions of a contact, and tells those of the period.
    pub fn count(
        &mut self,
        contact: ContactId,
        transitions: &[ContactEvent],
        tell: &mut impl FnMut(ContactId, &ContactEvent),
    ) {
        for event in transitions {
            match event {
                ContactEvent::BucketEntered(entered) if self.is_before(entered.at) => self.initial += 1,
                ContactEvent::BucketLeft(left) if self.is_before(left.at) => self.initial -= 1,
                ContactEvent::BucketEntered(entered) => {
                    self.announced += u64::from(entered.announced);
                    self.day(entered.at).entered += 1;
                    tell(contact, event);
                }
                ContactEvent::BucketLeft(left) => {
                    *self.left.entry(left.reason.as_str()).or_default() += 1;
                    self.day(left.at).left += 1;
                    tell(contact, event);
                }
                _ => {}
            }
        }
    }

    /// Two stays of one merge became one.
    pub fn unite(&mut self, at: Timestamp) {
        if self.is_before(at) {
            self.initial -= 1;
        } else {
            self.day(at).united += 1;
        }
    }

    /// The members at the beginning, what happened since, and how many there were at the end of each day.
    pub fn totals(self) -> Totals {
        let initial = u64::try_from(self.initial).unwrap_or(0);
        let mut members = initial;
        let days = self.days.into_iter().map(|(day, Changes { entered, left, united })| {
            members = (members + entered).saturating_sub(left + united);
            Day { start: Timestamp(day.saturating_mul(DAY)), entered, left, united, members }
        });
        Totals { initial, announced: self.announced, left: self.left, days: days.collect() }
    }
}

/// Figures at the end.
pub(super) struct Totals {
    pub initial: u64,
    pub announced: u64,
    pub left: BTreeMap<&'static str, u64>,
    pub days: Vec<Day>,
}
