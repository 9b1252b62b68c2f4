//! The queue of one batch.

use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use mainspring_schemas::{
    ContactId, DeliveryId, EndpointId,
    event::{DomainEvent, EndpointEvent, delivery::Attempted},
};
use rusqlite::Connection;

use super::{
    DeliveryStatus,
    cell::Cell,
    endpoint::EndpointRow,
    project::{QueueChange, Receivers, is_manual, project, settle},
    store::{self, AttemptRow},
    store_endpoint,
    store_letter::{self, LetterChange, LetterRow},
    store_redelivery,
};
use crate::{
    error::{ProjectionError, Result},
    fact::Fact,
    step::Step,
};

/// The unit of work of the queue. Endpoints stay in memory: every outcome changes one.
#[derive(Debug)]
pub(crate) struct Unit {
    /// In the order of creation.
    endpoints: Vec<EndpointRow>,
    index: HashMap<EndpointId, usize>,
    /// Which of them are still to be written.
    dirty: Vec<bool>,
    pub(super) deliveries: HashMap<DeliveryId, Cell>,
    attempts: Vec<AttemptRow>,
    pub(super) letters: Vec<LetterChange>,
    counts: BTreeMap<(EndpointId, DeliveryStatus), i64>,
}

impl Unit {
    /// A unit over the endpoints stored.
    pub fn load(connection: &Connection) -> Result<Self> {
        let endpoints = store_endpoint::load_all(connection)?;
        let index = endpoints.iter().enumerate().map(|(place, endpoint)| (endpoint.id, place)).collect();
        Ok(Self {
            dirty: vec![false; endpoints.len()],
            endpoints,
            index,
            deliveries: HashMap::new(),
            attempts: Vec::new(),
            letters: Vec::new(),
            counts: BTreeMap::new(),
        })
    }

    /// Rough bytes held.
    pub fn weight(&self) -> usize {
        self.deliveries.len() * 1024 + self.attempts.len() * 256
    }

    /// Folds one record in, with the deliveries it makes.
    pub fn take(&mut self, connection: &Connection, step: &Step) -> Result<()> {
        let fact = &step.fact;
        match project(fact) {
            None => Ok(()),
            Some(QueueChange::Configure(endpoint, event)) => {
                self.configure(connection, fact, endpoint, event)
            }
            Some(QueueChange::Erase { contact, former }) => {
                self.flush(connection)?;
                [contact].iter().chain(former).try_for_each(|id| self.erase(connection, fact, *id))
            }
            Some(QueueChange::Outcome(endpoint, attempted)) => {
                self.outcome(connection, fact, endpoint, attempted)
            }
            Some(QueueChange::Redelivery(endpoint, event)) => {
                self.redeliver(connection, fact, endpoint, event)
            }
            Some(QueueChange::Deliver { receivers, .. }) => {
                if let (Receivers::Only(endpoint), DomainEvent::Endpoint(event)) = (receivers, &fact.event) {
                    self.configure(connection, fact, endpoint, event)?;
                }
                for cell in &step.deliveries {
                    self.count(cell.row.endpoint, DeliveryStatus::Pending, 1);
                    self.deliveries.insert(cell.row.id, cell.clone());
                }
                Ok(())
            }
        }
    }

    /// Notes that an endpoint's queue changes at a position, other than by new deliveries.
    pub(super) fn touch(&mut self, place: usize, position: u64) {
        self.endpoints[place].touched_at = position;
        self.dirty[place] = true;
    }

    fn configure(
        &mut self,
        connection: &Connection,
        fact: &Fact,
        endpoint: EndpointId,
        event: &EndpointEvent,
    ) -> Result<()> {
        let known = self.index.get(&endpoint).copied();
        let row = known.map(|place| self.endpoints[place].clone());
        let expected = row.as_ref().map_or(0, |row| row.version + 1);
        if fact.record.version != expected {
            return Err(fact.version_gap(expected));
        }
        let after = EndpointRow::after(row, endpoint, event, fact.record.version, fact.position());
        let row = after.ok_or(ProjectionError::Misplaced { position: fact.position() })?;
        let place = known.unwrap_or(self.endpoints.len());
        match known {
            Some(place) => self.endpoints[place] = row,
            None => {
                self.index.insert(endpoint, place);
                self.endpoints.push(row);
                self.dirty.push(true);
            }
        }
        self.dirty[place] = true;
        if matches!(event, EndpointEvent::Enabled(_)) {
            self.flush(connection)?;
            store::make_due(connection, endpoint, fact.record.recorded_at)?;
            self.touch(place, fact.position());
        }
        if matches!(event, EndpointEvent::Deleted(_)) {
            self.flush(connection)?;
            let discarded = store::discard_pending(connection, endpoint, fact.record.recorded_at)?;
            self.count(endpoint, DeliveryStatus::Pending, -discarded);
            self.count(endpoint, DeliveryStatus::Discarded, discarded);
            store_redelivery::cancel(connection, endpoint, fact.record.recorded_at.0)?;
        }
        Ok(())
    }

    /// Whether the endpoint at a place is deleted.
    pub(super) fn is_gone(&self, place: usize) -> bool {
        self.endpoints[place].deleted_at.is_some()
    }

    fn erase(&mut self, connection: &Connection, fact: &Fact, contact: ContactId) -> Result<()> {
        for (endpoint, ended) in store::erase(connection, contact, fact.record.recorded_at)? {
            self.count(endpoint, DeliveryStatus::Pending, -ended);
            self.count(endpoint, DeliveryStatus::Discarded, ended);
            if let Some(place) = self.index.get(&endpoint).copied() {
                self.touch(place, fact.position());
            }
        }
        Ok(())
    }

    pub(super) fn count(&mut self, endpoint: EndpointId, status: DeliveryStatus, amount: i64) {
        *self.counts.entry((endpoint, status)).or_default() += amount;
    }

    /// Counts a record of an endpoint's delivery stream and finds the endpoint; `None` if it was never created.
    pub(super) fn follow_stream(&mut self, fact: &Fact, endpoint: EndpointId) -> Result<Option<usize>> {
        let Some(place) = self.index.get(&endpoint).copied() else { return Ok(None) };
        let expected = self.endpoints[place].outcomes;
        if fact.record.version != expected {
            return Err(fact.version_gap(expected));
        }
        self.endpoints[place].outcomes += 1;
        self.dirty[place] = true;
        Ok(Some(place))
    }

    fn outcome(
        &mut self,
        connection: &Connection,
        fact: &Fact,
        endpoint: EndpointId,
        attempted: &Attempted,
    ) -> Result<()> {
        let Some(place) = self.follow_stream(fact, endpoint)? else { return Ok(()) };
        let recorded_at = fact.record.recorded_at;
        let Some(cell) = load(&mut self.deliveries, connection, attempted.delivery)? else { return Ok(()) };
        let manual = is_manual(&cell.row, attempted);
        if !settle(&mut cell.row, attempted, recorded_at) {
            return Ok(());
        }
        let row = &cell.row;
        let (status, test, seq, owner) = (row.status, row.test, row.seq, row.endpoint);
        if status == DeliveryStatus::Failed {
            let letter = LetterRow::new(row, &self.endpoints[place].settings, recorded_at);
            self.letters.push(LetterChange::GivenUp(letter));
        }
        if status == DeliveryStatus::Pending {
            self.touch(place, fact.position());
        } else {
            // What has ended is nothing to look for, so the queue counts as unchanged.
            self.count(owner, DeliveryStatus::Pending, -1);
            self.count(owner, status, 1);
        }
        // A test says nothing about the endpoint's health (OB-177).
        if !test {
            self.endpoints[place].attempted(attempted);
        }
        self.attempts.push(AttemptRow { seq, endpoint: owner, test, manual, attempted: attempted.clone() });
        Ok(())
    }

    /// Writes everything held.
    pub fn flush(&mut self, connection: &Connection) -> Result<()> {
        let mut cells: Vec<Cell> = self.deliveries.drain().map(|(_, cell)| cell).collect();
        // In log order, which is the order of the table.
        cells.sort_unstable_by_key(|cell| cell.row.seq);
        store::write(connection, &cells)?;
        store::write_attempts(connection, &std::mem::take(&mut self.attempts))?;
        store_letter::write(connection, &std::mem::take(&mut self.letters))?;
        for (endpoint, dirty) in self.endpoints.iter().zip(&mut self.dirty).filter(|(_, dirty)| **dirty) {
            store_endpoint::save(connection, endpoint)?;
            *dirty = false;
        }
        for ((endpoint, status), amount) in std::mem::take(&mut self.counts) {
            store_endpoint::add_count(connection, endpoint, status, amount)?;
        }
        Ok(())
    }
}

/// A delivery, stored or not yet.
pub(super) fn load<'a>(
    deliveries: &'a mut HashMap<DeliveryId, Cell>,
    connection: &Connection,
    id: DeliveryId,
) -> Result<Option<&'a mut Cell>> {
    Ok(match deliveries.entry(id) {
        Entry::Occupied(entry) => Some(entry.into_mut()),
        Entry::Vacant(entry) => {
            store::load(connection, id)?.map(|row| entry.insert(Cell { row, body: None }))
        }
    })
}
