//! A record with its decoded event: what every projector is handed.

use mainspring_eventlog::{Position, Recorded};
use mainspring_schemas::{
    ContactId, EndpointId, codec,
    event::{ContactEvent, DomainEvent},
};

use crate::error::{ProjectionError, Result};

/// Whose stream a record stands in, read off its name once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A contact.
    Contact(ContactId),
    /// An endpoint: its configuration or its deliveries.
    Endpoint(EndpointId),
    /// Anything else.
    Other,
}

/// A record with its decoded event.
#[derive(Clone, Debug)]
pub struct Fact {
    /// The record.
    pub record: Recorded,
    /// Its event.
    pub event: DomainEvent,
    /// Whose stream it is.
    pub owner: Owner,
}

impl Fact {
    /// Decodes a record.
    ///
    /// # Errors
    /// [`ProjectionError::Undecodable`] if this program cannot read it; [`ProjectionError::Misplaced`] if the name of
    /// its stream names nobody.
    pub fn of(record: Recorded) -> Result<Self> {
        let position = record.position;
        let event = codec::decode(&record.stream, &record.event_type, record.schema_version, &record.payload)
            .map_err(|source| ProjectionError::Undecodable { position, source })?;
        let misplaced = ProjectionError::Misplaced { position };
        let owner = match &event {
            DomainEvent::Contact(_) => Owner::Contact(record.stream.contact_id().ok_or(misplaced)?),
            DomainEvent::Endpoint(_) | DomainEvent::Delivery(_) => {
                Owner::Endpoint(record.stream.endpoint_id().ok_or(misplaced)?)
            }
            _ => Owner::Other,
        };
        Ok(Self { record, event, owner })
    }

    /// Place in the log.
    pub fn position(&self) -> Position {
        self.record.position
    }

    /// Whether rows with personal data disappear by it for good.
    pub(crate) fn erases(&self) -> bool {
        matches!(&self.event, DomainEvent::Contact(ContactEvent::Erased(_)))
    }

    /// The refusal of a record that does not follow the last one of its stream (C3).
    pub(crate) fn version_gap(&self, expected: u64) -> ProjectionError {
        ProjectionError::VersionGap {
            stream: self.record.stream.clone(),
            position: self.record.position,
            expected,
            found: self.record.version,
        }
    }
}
