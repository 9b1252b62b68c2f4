//! The queue of one batch.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::Arc,
};

use mainspring_schemas::{
    ContactId, DeliveryId, EndpointId, MessageId,
    event::{
        DomainEvent, EndpointEvent,
        delivery::{AttemptResult, Attempted},
    },
};
use rusqlite::Connection;

use super::{
    DeliveryStatus,
    cell::{Cell, DeliveryRow, place},
    endpoint::EndpointRow,
    project::{Content, QueueChange, Receivers, discard, project, receives, requeue, settle},
    store::{self, LetterRow},
    store_endpoint,
};
use crate::{
    error::{ProjectionError, Result},
    fact::Fact,
};

/// The unit of work of the queue. Endpoints stay in memory: every announcement asks all of them.
#[derive(Debug)]
pub(crate) struct Unit {
    /// In the order of creation.
    endpoints: Vec<EndpointRow>,
    index: HashMap<EndpointId, usize>,
    /// Which of them are still to be written.
    dirty: Vec<bool>,
    deliveries: HashMap<DeliveryId, Cell>,
    attempts: Vec<(u64, Attempted)>,
    letters: Vec<LetterRow>,
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

    /// Folds one record in.
    pub fn take(&mut self, connection: &Connection, fact: &Fact) -> Result<()> {
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
            Some(QueueChange::Requeue(endpoint, requeued)) => {
                // What was about an erased person has no body any more and cannot be sent.
                let erased = store::is_erased(connection, requeued.delivery)?;
                let change =
                    |row: &mut DeliveryRow| !erased && requeue(row, requeued, fact.record.recorded_at);
                if let Some(seq) = self.redirect(connection, fact, endpoint, requeued.delivery, change)? {
                    self.flush(connection)?;
                    store::retry_letter(connection, seq, requeued.at)?;
                }
                Ok(())
            }
            Some(QueueChange::Discard(endpoint, discarded)) => {
                let change = |row: &mut DeliveryRow| discard(row, fact.record.recorded_at);
                self.redirect(connection, fact, endpoint, discarded.delivery, change).map(drop)
            }
            Some(QueueChange::Deliver { message, contact, content, receivers }) => {
                if let (Receivers::Only(endpoint), DomainEvent::Endpoint(event)) = (receivers, &fact.event) {
                    self.configure(connection, fact, endpoint, event)?;
                }
                self.deliver(fact, message, contact, content, receivers)
            }
        }
    }

    /// Notes that an endpoint's queue changes at a position.
    fn touch(&mut self, place: usize, position: u64) {
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
        if matches!(event, EndpointEvent::Deleted(_)) {
            self.flush(connection)?;
            let discarded = store::discard_pending(connection, endpoint, fact.record.recorded_at)?;
            self.count(endpoint, DeliveryStatus::Pending, -discarded);
            self.count(endpoint, DeliveryStatus::Discarded, discarded);
        }
        Ok(())
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

    fn count(&mut self, endpoint: EndpointId, status: DeliveryStatus, amount: i64) {
        *self.counts.entry((endpoint, status)).or_default() += amount;
    }

    fn deliver(
        &mut self,
        fact: &Fact,
        message: MessageId,
        contact: Option<ContactId>,
        content: Content<'_>,
        receivers: Receivers,
    ) -> Result<()> {
        let outbound_type = content.outbound_type();
        let recorded_at = fact.record.recorded_at;
        // Rendered for the first receiver and shared with the others; most events have none.
        let mut body: Option<Arc<[u8]>> = None;
        let mut rank = 0;
        for place_of_endpoint in 0..self.endpoints.len() {
            let endpoint = &self.endpoints[place_of_endpoint];
            if !receives(endpoint, outbound_type, receivers) {
                continue;
            }
            let endpoint = endpoint.id;
            self.touch(place_of_endpoint, fact.position());
            let body = match &body {
                Some(body) => Arc::clone(body),
                None => Arc::clone(body.insert(content.body(message)?.into())),
            };
            let position = fact.position();
            let seq = place(position, rank).ok_or(ProjectionError::TooManyReceivers { position })?;
            rank += 1;
            let row = DeliveryRow {
                seq,
                id: DeliveryId::of(&message, endpoint),
                endpoint,
                message,
                event_type: outbound_type.to_owned(),
                contact,
                test: matches!(receivers, Receivers::Only(_)),
                status: DeliveryStatus::Pending,
                attempts: 0,
                next_attempt_at: Some(recorded_at),
                last_attempt_at: None,
                response_status: None,
                response_snippet: None,
                last_error: None,
                error_class: None,
                delivered_at: None,
                created_at: recorded_at,
                updated_at: recorded_at,
            };
            self.deliveries.insert(row.id, Cell { row, body: Some(body) });
            self.count(endpoint, DeliveryStatus::Pending, 1);
        }
        Ok(())
    }

    fn outcome(
        &mut self,
        connection: &Connection,
        fact: &Fact,
        endpoint: EndpointId,
        attempted: &Attempted,
    ) -> Result<()> {
        let Some(place) = self.follow(fact, endpoint)? else { return Ok(()) };
        let Some(cell) = load(&mut self.deliveries, connection, attempted.delivery)? else { return Ok(()) };
        if !settle(&mut cell.row, attempted, fact.record.recorded_at) {
            return Ok(());
        }
        let (status, test, seq, owner) = (cell.row.status, cell.row.test, cell.row.seq, cell.row.endpoint);
        if status == DeliveryStatus::Failed {
            let settings = &self.endpoints[place].settings;
            let letter = LetterRow::new(&cell.row, settings, fact.record.recorded_at);
            self.letters.push(letter);
        }
        if attempted.result == AttemptResult::Delivered || status == DeliveryStatus::Failed {
            self.count(owner, DeliveryStatus::Pending, -1);
            self.count(owner, status, 1);
        }
        // A test says nothing about the endpoint's health (OB-177).
        if !test {
            self.endpoints[place].attempted(attempted);
        }
        self.attempts.push((seq, attempted.clone()));
        Ok(())
    }

    /// Counts a record of an endpoint's stream of outcomes; says where the endpoint stands, if it is known.
    fn follow(&mut self, fact: &Fact, endpoint: EndpointId) -> Result<Option<usize>> {
        let Some(place) = self.index.get(&endpoint).copied() else { return Ok(None) };
        let expected = self.endpoints[place].outcomes;
        if fact.record.version != expected {
            return Err(fact.version_gap(expected));
        }
        self.endpoints[place].outcomes += 1;
        self.touch(place, fact.position());
        Ok(Some(place))
    }

    /// Gives a delivery another state; says its place if that changed anything.
    fn redirect(
        &mut self,
        connection: &Connection,
        fact: &Fact,
        endpoint: EndpointId,
        delivery: DeliveryId,
        change: impl FnOnce(&mut DeliveryRow) -> bool,
    ) -> Result<Option<u64>> {
        if self.follow(fact, endpoint)?.is_none() {
            return Ok(None);
        }
        let Some(cell) = load(&mut self.deliveries, connection, delivery)? else { return Ok(None) };
        let before = cell.row.status;
        if !change(&mut cell.row) {
            return Ok(None);
        }
        let (seq, owner, after) = (cell.row.seq, cell.row.endpoint, cell.row.status);
        if before != after {
            self.count(owner, before, -1);
            self.count(owner, after, 1);
        }
        Ok(Some(seq))
    }

    /// Writes everything held.
    pub fn flush(&mut self, connection: &Connection) -> Result<()> {
        let mut cells: Vec<Cell> = self.deliveries.drain().map(|(_, cell)| cell).collect();
        // In log order, which is the order of the table.
        cells.sort_unstable_by_key(|cell| cell.row.seq);
        store::write(connection, &cells)?;
        store::write_attempts(connection, &std::mem::take(&mut self.attempts))?;
        store::write_letters(connection, &std::mem::take(&mut self.letters))?;
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

/// A delivery to be changed.
fn load<'a>(
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
