//! What happens to deliveries besides being attempted: sent again, given to late, withdrawn, forgotten.

use bytes::Bytes;
use mainspring_schemas::{
    ContactId, DeliveryId, EndpointId, MessageId,
    event::{
        DeliveryEvent,
        delivery::{Discarded, Requeued},
        redelivery::Recovered,
    },
};
use rusqlite::Connection;

use super::{
    DeliveryStatus,
    cell::{Cell, DeliveryRow, place},
    project::{discard, requeue},
    store_letter::LetterChange,
    store_redelivery,
    unit::{Unit, load},
};
use crate::{
    error::{ProjectionError, Result},
    fact::Fact,
};

impl Unit {
    /// Folds in a record of an endpoint's delivery stream that is no outcome.
    pub(super) fn redeliver(
        &mut self,
        connection: &Connection,
        fact: &Fact,
        endpoint: EndpointId,
        event: &DeliveryEvent,
    ) -> Result<()> {
        let Some(index) = self.follow_stream(fact, endpoint)? else { return Ok(()) };
        self.touch(index, fact.position());
        let gone = self.is_gone(index);
        match event {
            DeliveryEvent::Requeued(requeued) if !gone => self.requeue(connection, fact, requeued),
            DeliveryEvent::Recovered(recovered) if !gone => {
                self.recover(connection, fact, endpoint, recovered)
            }
            DeliveryEvent::Discarded(discarded) => self.discard(connection, fact, discarded),
            DeliveryEvent::LetterDiscarded(discarded) => {
                if let Some(cell) = load(&mut self.deliveries, connection, discarded.delivery)? {
                    let seq = cell.row.seq;
                    self.letters.push(LetterChange::Discarded(seq));
                }
                Ok(())
            }
            DeliveryEvent::RecoveryStarted(started) if !gone => {
                store_redelivery::start(connection, endpoint, started)
            }
            DeliveryEvent::RecoveryAdvanced(advanced) => store_redelivery::advance(connection, advanced),
            DeliveryEvent::RecoveryEnded(ended) => store_redelivery::end(connection, ended),
            DeliveryEvent::Expired(expired) => {
                self.flush(connection)?;
                for (status, amount) in store_redelivery::expire(connection, endpoint, expired)? {
                    self.count(endpoint, status, -amount);
                }
                Ok(())
            }
            DeliveryEvent::Attempted(_)
            | DeliveryEvent::Requeued(_)
            | DeliveryEvent::Recovered(_)
            | DeliveryEvent::RecoveryStarted(_) => Ok(()),
        }
    }

    fn moved(&mut self, endpoint: EndpointId, from: DeliveryStatus, to: DeliveryStatus) {
        self.count(endpoint, from, -1);
        self.count(endpoint, to, 1);
    }

    fn requeue(&mut self, connection: &Connection, fact: &Fact, requeued: &Requeued) -> Result<()> {
        let recorded_at = fact.record.recorded_at;
        let Some(cell) = load(&mut self.deliveries, connection, requeued.delivery)? else { return Ok(()) };
        if is_withdrawn(connection, cell.row.contact)? {
            return Ok(());
        }
        let from = cell.row.status;
        if !requeue(&mut cell.row, requeued, recorded_at) {
            return Ok(());
        }
        let (endpoint, seq) = (cell.row.endpoint, cell.row.seq);
        self.moved(endpoint, from, DeliveryStatus::Pending);
        self.letters.push(LetterChange::Retried(seq, requeued.at));
        Ok(())
    }

    fn discard(&mut self, connection: &Connection, fact: &Fact, discarded: &Discarded) -> Result<()> {
        let recorded_at = fact.record.recorded_at;
        let Some(cell) = load(&mut self.deliveries, connection, discarded.delivery)? else { return Ok(()) };
        if !discard(&mut cell.row, recorded_at) {
            return Ok(());
        }
        let endpoint = cell.row.endpoint;
        self.moved(endpoint, DeliveryStatus::Pending, DeliveryStatus::Discarded);
        Ok(())
    }

    /// Makes the delivery that the endpoint would have had, unless it has it.
    fn recover(
        &mut self,
        connection: &Connection,
        fact: &Fact,
        endpoint: EndpointId,
        recovered: &Recovered,
    ) -> Result<()> {
        let message = MessageId::of(recovered.source, &recovered.event_type);
        if load(&mut self.deliveries, connection, DeliveryId::of(&message, endpoint))?.is_some() {
            return Ok(());
        }
        let (position, recorded_at) = (fact.position(), fact.record.recorded_at);
        let seq = place(position, 0).ok_or(ProjectionError::TooManyReceivers { position })?;
        // Whoever was erased before stays untold, whether or not the record can still be read.
        let withdrawn = is_withdrawn(connection, recovered.contact)?;
        let mut row = DeliveryRow {
            contact: recovered.contact,
            recovery: Some(recovered.recovery),
            ..DeliveryRow::new(seq, endpoint, message, &recovered.event_type, recorded_at)
        };
        let mut body = Bytes::from(recovered.body.clone());
        if withdrawn {
            row.status = DeliveryStatus::Discarded;
            row.next_attempt_at = None;
            body = Bytes::new();
        }
        self.count(endpoint, row.status, 1);
        self.deliveries.insert(row.id, Cell { row, body: Some(body) });
        Ok(())
    }
}

/// Whether whom a delivery is about was erased: there is nothing left to send.
fn is_withdrawn(connection: &Connection, contact: Option<ContactId>) -> Result<bool> {
    contact.map_or(Ok(false), |contact| store_redelivery::is_withdrawn(connection, contact))
}
