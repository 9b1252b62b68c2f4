//! The figures of one batch: additions fold per bucket and per day.

use std::collections::BTreeMap;

use mainspring_schemas::{BucketId, event::DomainEvent};
use rusqlite::Connection;

use super::{
    project::{DayFigures, Figures, apply, project},
    store,
};
use crate::{error::Result, fact::Fact, memberships::project::StayFact};

/// The unit of work of the figures.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    figures: BTreeMap<BucketId, Figures>,
    days: BTreeMap<BucketId, BTreeMap<i64, DayFigures>>,
}

impl Unit {
    /// Folds one record in.
    pub fn take(&mut self, connection: &Connection, fact: &Fact) -> Result<()> {
        let DomainEvent::Bucket(event) = &fact.event else { return Ok(()) };
        // Rare enough to be written at once.
        let bucket = fact.record.stream.key();
        let stored = store::load(connection, bucket)?;
        let expected = stored.as_ref().map_or(0, |standing| standing.version + 1);
        if fact.record.version != expected {
            return Err(fact.version_gap(expected));
        }
        let standing = apply(stored, event, fact.record.version, fact.position())?;
        store::save(connection, bucket, &standing)
    }

    /// Folds in what became of a stay.
    pub fn count(&mut self, fact: &StayFact) {
        let (bucket, addition) = project(fact);
        let figures = match self.figures.get_mut(bucket) {
            Some(figures) => figures,
            None => self.figures.entry(bucket.clone()).or_default(),
        };
        figures.entered += addition.figures.entered;
        figures.ended += addition.figures.ended;
        figures.ended_millis += addition.figures.ended_millis;
        figures.active_since_sum += addition.figures.active_since_sum;
        let days = match self.days.get_mut(bucket) {
            Some(days) => days,
            None => self.days.entry(bucket.clone()).or_default(),
        };
        for (day, added) in addition.days.into_iter().flatten() {
            let figures = days.entry(day).or_default();
            figures.entered += added.entered;
            figures.ended += added.ended;
        }
    }

    /// Writes everything held.
    pub fn flush(&mut self, connection: &Connection) -> Result<()> {
        for (bucket, figures) in std::mem::take(&mut self.figures) {
            store::add_figures(connection, &bucket, figures)?;
        }
        for (bucket, days) in std::mem::take(&mut self.days) {
            for (day, figures) in days {
                store::add_day(connection, &bucket, day, figures)?;
            }
        }
        Ok(())
    }
}
