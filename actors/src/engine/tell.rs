//! Telling the world of something that happened to a contact elsewhere: what sends mail, runs journeys or tracks links
//! reports it here, and it becomes an outbound event (OB-13 to OB-22).

use mainspring_eventlog::Position;
use mainspring_schemas::{ContactId, outbound_event::OutboundEvent};

use super::{Core, Engine};
use crate::{
    api::EngineError,
    contact::{Command, Outcome},
    shard::{Answer, Decide, Verb},
};

impl Engine {
    /// Records an outbound event of a contact, or of whoever it was merged into; from then on every endpoint that is
    /// subscribed to its type gets it. Returns where it stands in the log.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if nobody answers for the contact, and what any write may say.
    pub async fn tell(&self, contact: ContactId, event: OutboundEvent) -> Result<Position, EngineError> {
        let contact = self.answers_for(contact).await?.ok_or(EngineError::NotFound)?;
        let (decide, answer) = Decide::of(contact, Command::Tell(Box::new(event)));
        self.core.send(Verb::Decide(Box::new(decide)))?;
        match Core::answer(answer).await? {
            Answer { outcome: Outcome::Told, position: Some(position), .. } => Ok(position),
            // It went or became part of another one in between.
            _ => Err(EngineError::NotFound),
        }
    }
}
