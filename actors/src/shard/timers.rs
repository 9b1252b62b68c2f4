//! The timers of one shard: when which contact must be looked at. Only those within a horizon are kept in memory; the
//! rest stand in the log, and the read models bring them in time.

use std::collections::BTreeSet;

use actix::SpawnHandle;
use mainspring_schemas::{ContactId, Timestamp};

/// Timers in order of their instants. A timer that turned out to be early wakes its contact for nothing, no more.
#[derive(Default)]
pub(super) struct Timers {
    due: BTreeSet<(Timestamp, ContactId)>,
    horizon: Timestamp,
    visit: Option<(Timestamp, SpawnHandle)>,
}

impl Timers {
    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// Moves a contact's timer.
    pub fn arm(&mut self, contact: ContactId, from: Option<Timestamp>, to: Option<Timestamp>) {
        if let Some(from) = from {
            self.due.remove(&(from, contact));
        }
        if let Some(to) = to.filter(|to| *to <= self.horizon) {
            self.due.insert((to, contact));
        }
    }

    pub fn extend_horizon(&mut self, until: Timestamp) {
        self.horizon = self.horizon.max(until);
    }

    /// The contact whose timer is due longest.
    pub fn take_due(&mut self, now: Timestamp) -> Option<ContactId> {
        let first = self.due.first().copied().filter(|(at, _)| *at <= now)?;
        self.due.remove(&first);
        Some(first.1)
    }

    /// The next instant to visit, if no visit is planned for it or before.
    pub fn unplanned_visit(&self) -> Option<Timestamp> {
        let (first, _) = self.due.first()?;
        match self.visit {
            Some((planned, _)) if planned <= *first => None,
            _ => Some(*first),
        }
    }

    /// Remembers a planned visit and returns the one it replaces.
    pub fn planned(&mut self, at: Timestamp, visit: SpawnHandle) -> Option<SpawnHandle> {
        self.visit.replace((at, visit)).map(|(_, earlier)| earlier)
    }

    pub fn visited(&mut self) {
        self.visit = None;
    }
}
