//! Who gets what is told: a message becomes one delivery per receiver (OB-60).
//!
//! Nothing but the endpoints as of the record's position decides that, so it needs no database, and what came of it can
//! leave before the tables show it.

use bytes::Bytes;
use mainspring_schemas::{EndpointId, event::EndpointEvent};
use rusqlite::Connection;

use super::{
    cell::{Cell, DeliveryRow, place},
    endpoint::EndpointRow,
    project::{QueueChange, Receivers, project, receives},
    store_endpoint,
};
use crate::{
    error::{ProjectionError, Result},
    fact::Fact,
};

/// The endpoints as of a position.
#[derive(Debug, Default)]
pub(crate) struct FanOut {
    /// Those that are not deleted, in the order of creation.
    endpoints: Vec<EndpointRow>,
}

impl FanOut {
    /// The endpoints stored.
    pub fn load(connection: &Connection) -> Result<Self> {
        let mut endpoints = store_endpoint::load_all(connection)?;
        endpoints.retain(|endpoint| endpoint.deleted_at.is_none());
        Ok(Self { endpoints })
    }

    /// The deliveries that a record makes, in the order of their places. Records must come in the order of the log.
    pub fn take(&mut self, fact: &Fact) -> Result<Vec<Cell>> {
        match project(fact) {
            Some(QueueChange::Configure(endpoint, event)) => {
                self.configure(fact, endpoint, event);
                Ok(Vec::new())
            }
            Some(QueueChange::Deliver { message, contact, content, receivers }) => {
                let outbound_type = content.outbound_type();
                let mut told = self
                    .endpoints
                    .iter()
                    .filter(|endpoint| receives(endpoint, outbound_type, receivers))
                    .peekable();
                // Most of what happens is told to nobody.
                if told.peek().is_none() {
                    return Ok(Vec::new());
                }
                // Rendered once and shared.
                let body = Bytes::from(content.body(message)?);
                let position = fact.position();
                let cell = |(rank, endpoint): (usize, &EndpointRow)| {
                    let seq = place(position, rank).ok_or(ProjectionError::TooManyReceivers { position })?;
                    let row = DeliveryRow {
                        contact,
                        test: matches!(receivers, Receivers::Only(_)),
                        ..DeliveryRow::new(seq, endpoint.id, message, outbound_type, fact.record.recorded_at)
                    };
                    Ok(Cell { row, body: Some(body.clone()) })
                };
                told.enumerate().map(cell).collect()
            }
            _ => Ok(Vec::new()),
        }
    }

    /// What does not fit is for the unit of work to refuse.
    fn configure(&mut self, fact: &Fact, id: EndpointId, event: &EndpointEvent) {
        let place = self.endpoints.iter().position(|endpoint| endpoint.id == id);
        let known = place.map(|place| self.endpoints[place].clone());
        let after = EndpointRow::after(known, id, event, fact.record.version, fact.position());
        match (place, after) {
            (Some(place), Some(row)) if row.deleted_at.is_some() => drop(self.endpoints.remove(place)),
            (Some(place), Some(row)) => self.endpoints[place] = row,
            (None, Some(row)) => self.endpoints.push(row),
            (_, None) => {}
        }
    }
}
