//! All units of work together: one record in, many rows folded, one transaction out.

use mainspring_eventlog::Position;
use rusqlite::Connection;

use crate::{
    bucket_statistics, contacts,
    database::set_checkpoint,
    delivery_queue,
    error::{ProjectionError, Result},
    memberships::{self, project::StayFact},
    projection::Projection,
    step::Step,
};

/// The units of work of the projections that are written. After an error it must be dropped and the transaction
/// rolled back: what it holds in memory is then ahead of the database.
#[derive(Debug)]
pub(crate) struct Writer {
    projections: Vec<Projection>,
    next: Position,
    contacts: Option<contacts::Unit>,
    memberships: Option<memberships::Unit>,
    statistics: Option<bucket_statistics::Unit>,
    queue: Option<delivery_queue::Unit>,
    stays: Vec<StayFact>,
}

impl Writer {
    /// A writer of projections that all stand at `next`.
    pub fn load(connection: &Connection, projections: &[Projection], next: Position) -> Result<Self> {
        let wanted = |projection| projections.contains(&projection);
        Ok(Self {
            projections: projections.to_vec(),
            next,
            contacts: wanted(Projection::Contacts).then(contacts::Unit::default),
            memberships: wanted(Projection::Memberships).then(memberships::Unit::default),
            statistics: wanted(Projection::BucketStatistics).then(bucket_statistics::Unit::default),
            queue: match wanted(Projection::DeliveryQueue) {
                true => Some(delivery_queue::Unit::load(connection)?),
                false => None,
            },
            stays: Vec::new(),
        })
    }

    /// Position of the record that must come next.
    pub fn next(&self) -> Position {
        self.next
    }

    /// Hands one record to every projection.
    pub fn take(&mut self, connection: &Connection, step: &Step) -> Result<()> {
        let fact = &step.fact;
        if fact.position() != self.next {
            return Err(ProjectionError::PositionGap { expected: self.next, found: fact.position() });
        }
        if let Some(contacts) = &mut self.contacts {
            contacts.take(connection, fact)?;
        }
        if let Some(memberships) = &mut self.memberships {
            memberships.take(connection, fact, &mut self.stays)?;
        }
        if let Some(statistics) = &mut self.statistics {
            statistics.take(connection, fact)?;
            self.stays.iter().for_each(|stay| statistics.count(stay));
        }
        self.stays.clear();
        if let Some(queue) = &mut self.queue {
            queue.take(connection, step)?;
        }
        self.next += 1;
        Ok(())
    }

    /// Rough bytes held until the next flush.
    pub fn weight(&self) -> usize {
        self.contacts.as_ref().map_or(0, contacts::Unit::weight)
            + self.memberships.as_ref().map_or(0, memberships::Unit::weight)
            + self.queue.as_ref().map_or(0, delivery_queue::Unit::weight)
    }

    /// Writes everything held, and the checkpoints.
    pub fn flush(&mut self, connection: &Connection) -> Result<()> {
        if let Some(contacts) = &mut self.contacts {
            contacts.flush(connection, self.next)?;
        }
        if let Some(memberships) = &mut self.memberships {
            memberships.flush(connection)?;
        }
        if let Some(statistics) = &mut self.statistics {
            statistics.flush(connection)?;
        }
        if let Some(queue) = &mut self.queue {
            queue.flush(connection)?;
        }
        self.projections.iter().try_for_each(|projection| set_checkpoint(connection, *projection, self.next))
    }

    /// Writes a batch with its checkpoints in one transaction (invariant 4). After an error nothing of it is stored.
    pub fn commit(&mut self, connection: &Connection, steps: &[Step]) -> Result<()> {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let written = steps
            .iter()
            .try_for_each(|step| self.take(connection, step))
            .and_then(|()| self.flush(connection))
            .and_then(|()| Ok(connection.execute_batch("COMMIT")?));
        if written.is_err() && !connection.is_autocommit() {
            // The first error is the one to report.
            let _ = connection.execute_batch("ROLLBACK");
        }
        written
    }
}
