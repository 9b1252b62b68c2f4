//! When to look again at which bucket. Derived from the state and the rules; rebuilt whenever either is loaded anew.

use mainspring_schemas::{BucketId, Timestamp};

/// What is looked at. At one instant membership comes first: a leave wins over a dwell (BK-134).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// Whether the contact is a member.
    Membership,
    /// Whether its stay dwells.
    Dwell,
}

/// The next instant at which the clock alone can do something in one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// When.
    pub at: Timestamp,
    /// What to look at.
    pub subject: Subject,
    /// Index of the rule in the definition set.
    pub rule: u32,
    /// The rule's bucket.
    pub bucket: BucketId,
}

/// A contact's looks, at most one per bucket and subject. Few, so a plain list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Agenda(Vec<Look>);

impl Agenda {
    /// The soonest instant.
    pub fn first(&self) -> Option<Timestamp> {
        self.0.iter().map(|look| look.at).min()
    }

    /// When membership of a bucket is looked at.
    pub fn of_bucket(&self, bucket: &BucketId) -> Option<Timestamp> {
        let of_bucket = |look: &&Look| look.bucket == *bucket && look.subject == Subject::Membership;
        self.0.iter().find(of_bucket).map(|look| look.at)
    }

    /// Plans, moves or (with `None`) drops a look of a rule.
    pub fn plan(&mut self, rule: u32, bucket: &BucketId, subject: Subject, at: Option<Timestamp>) {
        let known = self.0.iter().position(|look| look.rule == rule && look.subject == subject);
        match (known, at) {
            (Some(index), Some(at)) => self.0[index].at = at,
            (Some(index), None) => drop(self.0.swap_remove(index)),
            (None, Some(at)) => self.0.push(Look { at, subject, rule, bucket: bucket.clone() }),
            (None, None) => {}
        }
    }

    /// Takes the soonest look that is due at `now`, only at `subject` if that is given; of several at one instant,
    /// membership first, then the bucket defined first.
    pub fn take_due(&mut self, now: Timestamp, subject: Option<Subject>) -> Option<Look> {
        let (index, _) = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, look)| look.at <= now && subject.is_none_or(|subject| look.subject == subject))
            .min_by_key(|(_, look)| (look.at, look.subject, look.rule))?;
        Some(self.0.swap_remove(index))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
