//! The stays of one batch.

use std::collections::HashMap;

use mainspring_schemas::{
    ContactId, StayId, Timestamp,
    event::contact::{Absorbed, BucketLeft, LeaveReason},
};
use rusqlite::Connection;

use super::{
    project::{StayChange, StayFact, StayRow, project},
    store::{self, HeldStay},
};
use crate::{error::Result, fact::Fact};

/// What is still to be written of one stay.
#[derive(Debug)]
pub(super) enum Cell {
    /// A new row.
    New(Box<StayRow>),
    /// The end of a stored one, written without reading it.
    Ended(End),
}

/// The end of a stay.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// When.
    pub left_at: Timestamp,
    /// Why.
    pub reason: LeaveReason,
    /// When that was decided.
    pub recorded_at: Timestamp,
}

/// The unit of work of the stays.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    cells: HashMap<StayId, Cell>,
}

impl Unit {
    /// Rough bytes held.
    pub fn weight(&self) -> usize {
        self.cells.len() * 320
    }

    /// Folds one record in and says what became of which stay.
    pub fn take(&mut self, connection: &Connection, fact: &Fact, facts: &mut Vec<StayFact>) -> Result<()> {
        let recorded_at = fact.record.recorded_at;
        match project(fact) {
            None => {}
            Some(StayChange::Begin { contact, entered }) => {
                let row = StayRow::begin(contact, entered, recorded_at);
                facts.push(StayFact::Began { bucket: row.bucket.clone(), entered_at: row.entered_at });
                self.cells.insert(row.id, Cell::New(Box::new(row)));
            }
            Some(StayChange::End { left }) => self.end(left, recorded_at, facts),
            Some(StayChange::Deadline { deadline }) => match self.cells.get_mut(&deadline.stay) {
                Some(Cell::New(row)) => {
                    row.max_dwell_at = Some(deadline.max_dwell_at);
                    row.updated_at = recorded_at;
                }
                Some(Cell::Ended(_)) | None => {
                    store::set_deadline(connection, deadline.stay, deadline.max_dwell_at, recorded_at)?;
                }
            },
            Some(StayChange::Move { survivor, absorbed }) => {
                self.flush(connection)?;
                shift(connection, survivor, absorbed, recorded_at, facts)?;
            }
            Some(StayChange::Hide { contact }) => {
                self.discount(connection, contact, facts)?;
                store::hide_stays_of(connection, contact)?;
            }
            Some(StayChange::Show { contact }) => {
                // Nothing is held of a contact that was deleted.
                store::show_stays_of(connection, contact)?;
                for HeldStay { bucket, entered_at, left_at, .. } in store::stays_of(connection, contact)? {
                    facts.push(StayFact::Began { bucket: bucket.clone(), entered_at });
                    facts.extend(left_at.map(|left_at| StayFact::Ended { bucket, entered_at, left_at }));
                }
            }
            Some(StayChange::Forget { contact }) => {
                self.discount(connection, contact, facts)?;
                store::delete_stays_of(connection, contact)?;
            }
        }
        Ok(())
    }

    /// Writes everything held, and lets a contact's stays count no more.
    fn discount(
        &mut self,
        connection: &Connection,
        contact: ContactId,
        facts: &mut Vec<StayFact>,
    ) -> Result<()> {
        self.flush(connection)?;
        for HeldStay { bucket, entered_at, left_at, .. } in store::stays_of(connection, contact)? {
            facts.push(StayFact::Forgotten { bucket, entered_at, left_at });
        }
        Ok(())
    }

    fn end(&mut self, left: &BucketLeft, recorded_at: Timestamp, facts: &mut Vec<StayFact>) {
        facts.push(StayFact::Ended {
            bucket: left.bucket.clone(),
            entered_at: left.entered_at,
            left_at: left.at,
        });
        let end = End { left_at: left.at, reason: left.reason, recorded_at };
        match self.cells.get_mut(&left.stay) {
            Some(Cell::New(row)) => {
                row.left_at = Some(end.left_at);
                row.reason = Some(end.reason);
                row.updated_at = end.recorded_at;
            }
            Some(Cell::Ended(_)) | None => drop(self.cells.insert(left.stay, Cell::Ended(end))),
        }
    }

    /// Writes everything held.
    pub fn flush(&mut self, connection: &Connection) -> Result<()> {
        if self.cells.is_empty() {
            return Ok(());
        }
        let mut cells: Vec<(StayId, Cell)> = self.cells.drain().collect();
        // In key order, so that neighbours on a page are written together.
        cells.sort_unstable_by_key(|(stay, _)| *stay);
        store::write(connection, &cells)
    }
}

/// Hands a merged contact's stays to the survivor (BK-240). Everything held was written before.
fn shift(
    connection: &Connection,
    survivor: ContactId,
    absorbed: &Absorbed,
    recorded_at: Timestamp,
    facts: &mut Vec<StayFact>,
) -> Result<()> {
    for row in store::stays_of(connection, absorbed.loser)? {
        let moves = absorbed
            .standings
            .iter()
            .any(|standing| standing.active.as_ref().is_some_and(|stay| stay.stay == row.id));
        if row.left_at.is_none() && !moves {
            store::end(
                connection,
                row.id,
                End { left_at: absorbed.at, reason: LeaveReason::Merged, recorded_at },
            )?;
            facts.push(StayFact::Ended {
                bucket: row.bucket,
                entered_at: row.entered_at,
                left_at: absorbed.at,
            });
        }
    }
    store::move_stays(connection, absorbed.loser, survivor, recorded_at)
}
