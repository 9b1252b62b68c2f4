//! Sending again what was sent, or was not, and forgetting what is old (OB-155, OB-160, OB-161, OB-163).
//!
//! All of it is records of the endpoint's delivery stream. That stream takes appends in any order and is never read
//! whole, so a recovery of a million deliveries costs the start nothing, unlike one in the endpoint's own stream.

use std::collections::HashMap;

use mainspring_eventlog::{Append, Expected, NewRecord, Position, StreamAppend};
use mainspring_schemas::{
    ContactId, DeliveryId, EndpointId, RecordId, RecoveryId, StreamName, Timestamp,
    event::{
        DeliveryEvent,
        delivery::{RequeueCause, Requeued},
        redelivery::{Expired, LetterDiscarded, Recovered, RecoveryAdvanced, RecoveryEnded, RecoveryStarted},
    },
};
use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use super::service::{Endpoints, append_error};
use crate::{
    api::EngineError,
    writer::{Stamp, record},
};

/// What is known about redelivery in this process.
#[derive(Debug, Default)]
pub(super) struct Redelivery {
    /// Deliveries with an attempt under way, until its outcome is recorded.
    in_flight: Mutex<HashMap<DeliveryId, Timestamp>>,
    /// The recovery each endpoint has at work.
    recovering: Mutex<HashMap<EndpointId, RecoveryId>>,
    /// Counts recoveries asked for; whoever carries them out waits for it.
    asked: watch::Sender<u64>,
}

/// What a recovery is to deliver again (OB-161).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryRequest {
    /// Made at this instant or later.
    pub since: Timestamp,
    /// And at this instant or before.
    pub until: Timestamp,
    /// In one of these states.
    pub statuses: Vec<String>,
    /// Of one of these types or patterns; empty = all.
    pub event_types: Vec<String>,
    /// Whether messages without a delivery get one.
    pub include_missed: bool,
    /// How many deliveries match now.
    pub matched: u64,
    /// End of the log that was looked at.
    pub end: Position,
}

/// One delivery of a page of a recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveryItem {
    /// It exists and is requeued.
    Again(DeliveryId),
    /// It never existed.
    Missed {
        /// The record that causes the message.
        source: RecordId,
        /// The outbound type.
        event_type: String,
        /// Whom it is about.
        contact: Option<ContactId>,
        /// The envelope.
        body: String,
        /// The key that seals the source, and so the envelope.
        sealed_with: Option<Uuid>,
    },
}

/// A page of a recovery, in log order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryPage {
    /// The deliveries.
    pub items: Vec<RecoveryItem>,
    /// Everything caused by records below is done with it.
    pub through: Position,
    /// Deliveries queued so far, this page included.
    pub queued: u64,
    /// How many of them were missed.
    pub missed: u64,
}

impl Endpoints {
    /// An attempt of a delivery begins.
    pub fn attempt_began(&self, delivery: DeliveryId) {
        let now = self.core.now();
        self.redelivery.in_flight.lock().insert(delivery, now);
    }

    /// The outcome of that attempt is recorded.
    pub fn attempt_settled(&self, delivery: DeliveryId) {
        self.redelivery.in_flight.lock().remove(&delivery);
    }

    /// Deliveries of which an attempt is under way, with the instants these began at (OB-120). The log knows nothing of them.
    pub fn sending(&self) -> HashMap<DeliveryId, Timestamp> {
        self.redelivery.in_flight.lock().clone()
    }

    /// Makes a delivery due again, whatever became of it (OB-160). The caller knows that it exists and can be sent.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if the endpoint is gone; [`EngineError::State`] if it is disabled or an attempt is
    /// under way; [`EngineError::Overloaded`] or [`EngineError::LogFailed`].
    pub async fn requeue(&self, id: EndpointId, delivery: DeliveryId) -> Result<Position, EngineError> {
        self.enabled(id)?;
        if self.is_in_flight(delivery) {
            return Err(EngineError::State("Delivery is in flight".to_owned()));
        }
        let at = self.core.now();
        let requeued = Requeued { at, delivery, cause: RequeueCause::Retry, recovery: None };
        self.tell(id, &DeliveryEvent::Requeued(requeued)).await
    }

    /// Puts a dead letter away (OB-155); also of a deleted endpoint.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] or [`EngineError::LogFailed`].
    pub async fn discard_letter(
        &self,
        id: EndpointId,
        delivery: DeliveryId,
    ) -> Result<Position, EngineError> {
        let event = LetterDiscarded { at: self.core.now(), delivery };
        self.tell(id, &DeliveryEvent::LetterDiscarded(event)).await
    }

    /// Asks for a span of time to be delivered again (OB-161); whoever follows [`Endpoints::recoveries_asked`] does it.
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::State`] if the endpoint is disabled or has a recovery at work;
    /// [`EngineError::Overloaded`] or [`EngineError::LogFailed`].
    pub async fn recover(
        &self,
        id: EndpointId,
        request: RecoveryRequest,
    ) -> Result<(RecoveryId, Position), EngineError> {
        self.enabled(id)?;
        let at = self.core.now();
        let recovery = self.core.entropy.lock().recovery(at);
        if !self.resume_recovery(id, recovery) {
            return Err(EngineError::State("A recovery of this endpoint is running".to_owned()));
        }
        let started = RecoveryStarted {
            at,
            recovery,
            since: request.since,
            until: request.until,
            statuses: request.statuses,
            event_types: request.event_types,
            include_missed: request.include_missed,
            matched: request.matched,
            end: request.end,
        };
        let told = self.tell(id, &DeliveryEvent::RecoveryStarted(started)).await;
        if told.is_err() {
            self.forget_recovery(id);
        }
        let position = told?;
        self.redelivery.asked.send_modify(|asked| *asked += 1);
        Ok((recovery, position))
    }

    /// Counts the recoveries asked for in this process.
    pub fn recoveries_asked(&self) -> watch::Receiver<u64> {
        self.redelivery.asked.subscribe()
    }

    /// Notes that an endpoint has a recovery at work; `false` if it has another one.
    pub fn resume_recovery(&self, id: EndpointId, recovery: RecoveryId) -> bool {
        *self.redelivery.recovering.lock().entry(id).or_insert(recovery) == recovery
    }

    /// Notes that an endpoint has none at work any more, because it is over or the endpoint is gone.
    pub fn forget_recovery(&self, id: EndpointId) {
        self.redelivery.recovering.lock().remove(&id);
    }

    /// Queues a page of a recovery, in one append; returns the position of its last record.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] or [`EngineError::LogFailed`].
    pub async fn advance_recovery(
        &self,
        id: EndpointId,
        recovery: RecoveryId,
        page: RecoveryPage,
    ) -> Result<Position, EngineError> {
        let at = self.core.now();
        let RecoveryPage { items, through, queued, missed } = page;
        let mut records = Vec::with_capacity(items.len() + 1);
        for item in items {
            let (event, data_key) = match item {
                RecoveryItem::Again(delivery) => {
                    let cause = RequeueCause::Recovery;
                    let requeued = Requeued { at, delivery, cause, recovery: Some(recovery) };
                    (DeliveryEvent::Requeued(requeued), None)
                }
                RecoveryItem::Missed { source, event_type, contact, body, sealed_with } => {
                    let recovered = Recovered { at, recovery, source, event_type, contact, body };
                    (DeliveryEvent::Recovered(recovered), sealed_with)
                }
            };
            records.push(self.record_of(&event, data_key)?);
        }
        let advanced = RecoveryAdvanced { at, recovery, through, queued, missed };
        records.push(self.record_of(&DeliveryEvent::RecoveryAdvanced(advanced), None)?);
        self.append(id, records).await
    }

    /// Ends a recovery that has queued everything.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] or [`EngineError::LogFailed`].
    pub async fn end_recovery(&self, id: EndpointId, recovery: RecoveryId) -> Result<Position, EngineError> {
        let ended = RecoveryEnded { at: self.core.now(), recovery };
        let position = self.tell(id, &DeliveryEvent::RecoveryEnded(ended)).await?;
        self.forget_recovery(id);
        Ok(position)
    }

    /// Lets deliveries leave the read models that ended long ago (OB-163); also of a deleted endpoint.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] or [`EngineError::LogFailed`].
    pub async fn expire(
        &self,
        id: EndpointId,
        ended_until: Timestamp,
        failed_until: Timestamp,
    ) -> Result<Position, EngineError> {
        let expired = Expired { at: self.core.now(), ended_until, failed_until };
        self.tell(id, &DeliveryEvent::Expired(expired)).await
    }

    /// Whether an attempt of a delivery is under way.
    pub(super) fn is_in_flight(&self, delivery: DeliveryId) -> bool {
        self.redelivery.in_flight.lock().contains_key(&delivery)
    }

    pub(super) fn enabled(&self, id: EndpointId) -> Result<(), EngineError> {
        match self.live(id) {
            None => Err(EngineError::NotFound),
            Some(state) if state.disabled.is_some() => {
                Err(EngineError::State("Endpoint is disabled".to_owned()))
            }
            Some(_) => Ok(()),
        }
    }

    pub(super) fn record_of(
        &self,
        event: &DeliveryEvent,
        data_key: Option<Uuid>,
    ) -> Result<NewRecord, EngineError> {
        let encoded = event.encode().map_err(|error| EngineError::LogFailed(error.to_string()))?;
        let id = self.core.entropy.lock().record(self.core.now());
        Ok(record(id, encoded, None, Stamp { data_key, ..Stamp::impersonal(None) }))
    }

    async fn tell(&self, id: EndpointId, event: &DeliveryEvent) -> Result<Position, EngineError> {
        let record = self.record_of(event, None)?;
        self.append(id, vec![record]).await
    }

    pub(super) async fn append(
        &self,
        id: EndpointId,
        records: Vec<NewRecord>,
    ) -> Result<Position, EngineError> {
        let streams =
            vec![StreamAppend { stream: StreamName::deliveries(id), expected: Expected::Any, records }];
        let append = Append { recorded_at: self.core.now(), streams };
        let appended = self.core.log().append(append).await.map_err(|error| append_error(&error))?;
        Ok(appended.last_position)
    }
}
