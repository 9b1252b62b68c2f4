//! Many dead letters at once (DL-05).

use std::collections::BTreeMap;

use mainspring_eventlog::Position;
use mainspring_schemas::{
    DeliveryId, EndpointId,
    event::{
        DeliveryEvent,
        delivery::{RequeueCause, Requeued},
        redelivery::LetterDiscarded,
    },
};

use super::service::Endpoints;
use crate::api::EngineError;

/// What became of dead letters that were asked for at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LettersSettled {
    /// How many of them were retried or put away.
    pub settled: usize,
    /// The newest record that says so; `None` if there is none.
    pub position: Option<Position>,
}

impl Endpoints {
    /// Makes the deliveries of dead letters due again, those of each endpoint in the order given and in one append.
    /// Those whose endpoint is disabled or gone, or that have an attempt under way, are left as they are.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] or [`EngineError::LogFailed`]; then some of them may be due already.
    pub async fn retry_letters(
        &self,
        letters: &[(EndpointId, DeliveryId)],
    ) -> Result<LettersSettled, EngineError> {
        let at = self.core.now();
        let retriable = letters
            .iter()
            .filter(|(endpoint, delivery)| self.enabled(*endpoint).is_ok() && !self.is_in_flight(*delivery));
        self.settle_letters(retriable, |delivery| {
            let cause = RequeueCause::Retry;
            DeliveryEvent::Requeued(Requeued { at, delivery, cause, recovery: None })
        })
        .await
    }

    /// Puts dead letters away, those of each endpoint in one append; also of endpoints that are gone.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] or [`EngineError::LogFailed`]; then some of them may be put away already.
    pub async fn discard_letters(
        &self,
        letters: &[(EndpointId, DeliveryId)],
    ) -> Result<LettersSettled, EngineError> {
        let at = self.core.now();
        self.settle_letters(letters.iter(), |delivery| {
            DeliveryEvent::LetterDiscarded(LetterDiscarded { at, delivery })
        })
        .await
    }

    async fn settle_letters(
        &self,
        letters: impl Iterator<Item = &(EndpointId, DeliveryId)>,
        event: impl Fn(DeliveryId) -> DeliveryEvent,
    ) -> Result<LettersSettled, EngineError> {
        let mut by_endpoint: BTreeMap<EndpointId, Vec<DeliveryId>> = BTreeMap::new();
        for (endpoint, delivery) in letters {
            by_endpoint.entry(*endpoint).or_default().push(*delivery);
        }
        let mut done = LettersSettled::default();
        for (endpoint, deliveries) in by_endpoint {
            let records = deliveries
                .iter()
                .map(|delivery| self.record_of(&event(*delivery), None))
                .collect::<Result<_, _>>()?;
            done.position = Some(self.append(endpoint, records).await?);
            done.settled += deliveries.len();
        }
        Ok(done)
    }
}
