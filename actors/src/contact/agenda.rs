//! When to look again at which bucket. Derived from the state and the rules; rebuilt whenever either is loaded anew.

use mainspring_schemas::{BucketId, Timestamp};

/// The next instant at which one bucket's answer can change by the clock alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// When.
    pub at: Timestamp,
    /// Index of the rule in the definition set.
    pub rule: u32,
    /// The rule's bucket.
    pub bucket: BucketId,
}

/// A contact's looks, at most one per bucket. Few, so a plain list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Agenda(Vec<Look>);

impl Agenda {
    /// The soonest instant.
    pub fn first(&self) -> Option<Timestamp> {
        self.0.iter().map(|look| look.at).min()
    }

    /// The look of a bucket.
    pub fn of_bucket(&self, bucket: &BucketId) -> Option<Timestamp> {
        self.0.iter().find(|look| look.bucket == *bucket).map(|look| look.at)
    }

    /// Plans, moves or (with `None`) drops the look of a rule.
    pub fn plan(&mut self, rule: u32, bucket: &BucketId, at: Option<Timestamp>) {
        let known = self.0.iter().position(|look| look.rule == rule);
        match (known, at) {
            (Some(index), Some(at)) => self.0[index].at = at,
            (Some(index), None) => drop(self.0.swap_remove(index)),
            (None, Some(at)) => self.0.push(Look { at, rule, bucket: bucket.clone() }),
            (None, None) => {}
        }
    }

    /// Takes the soonest look that is due at `now`; of two at one instant, the bucket defined first.
    pub fn take_due(&mut self, now: Timestamp) -> Option<Look> {
        let (index, _) = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, look)| look.at <= now)
            .min_by_key(|(_, look)| (look.at, look.rule))?;
        Some(self.0.swap_remove(index))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
