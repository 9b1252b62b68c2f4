//! What the outbound worker asks, answered by the read models and the engine.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use compact_str::CompactString;
use mainspring_actors::{Engine, api::EngineError, endpoint::EndpointState, entropy::Entropy};
use mainspring_outbound::ports::{
    Clock, DeliveryQueue, DisableReason, Endpoint, Endpoints, FirstAfter, Fresh, HeldDelivery, OutcomeLog,
    Page, PageQuery, PortError, Position, QueuedDelivery, Random, RetryAfter, Standing, Wanted,
};
use mainspring_projections::{DueDelivery, FirstAttempts, HandOver, PAGE_BYTES, ProjectionError, ReadModels};
use mainspring_schemas::{ContactId, DeliveryId, EndpointId, Timestamp, event::delivery::Attempted};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::attempts::Attempts;

/// The delivery queue of the read models, and what comes before they show it.
#[derive(Clone, Debug)]
pub struct Queue {
    /// The read models.
    pub models: ReadModels,
    /// New deliveries.
    pub hand_over: HandOver,
}

impl Queue {
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&ReadModels) -> Result<T, ProjectionError> + Send + 'static,
    ) -> Result<T, PortError> {
        let models = self.models.clone();
        tokio::task::spawn_blocking(move || question(&models))
            .await
            .map_err(PortError::new)?
            .map_err(PortError::new)
    }
}

fn asked(wanted: Wanted) -> FirstAttempts {
    match wanted {
        Wanted::All => FirstAttempts::All,
        Wanted::Heads => FirstAttempts::Heads,
        Wanted::TestsOnly => FirstAttempts::Tests,
    }
}

fn is_cut_short(page: &[DueDelivery]) -> bool {
    page.iter().map(|due| due.body.len()).sum::<usize>() >= PAGE_BYTES
}

fn queued(due: DueDelivery) -> QueuedDelivery {
    QueuedDelivery {
        id: due.id,
        position: due.position(),
        endpoint: due.endpoint,
        message: due.message,
        event_type: CompactString::from(due.event_type),
        contact: due.contact,
        body: due.body,
        attempts: due.attempts,
        schedule_attempts: due.schedule_attempts,
        requeues: due.requeues,
        replay: due.replay,
        due_at: due.due_at,
    }
}

#[async_trait]
impl DeliveryQueue for Queue {
    fn position(&self) -> watch::Receiver<Position> {
        self.models.changed()
    }

    async fn fresh(&self) -> Fresh {
        let fresh = self.hand_over.next().await;
        Fresh {
            deliveries: fresh.deliveries.into_iter().map(queued).collect(),
            missed: fresh.missed.into_iter().collect(),
            erased: fresh.erased,
        }
    }

    async fn endpoints_changed(&self, since: Option<Position>) -> Result<Vec<EndpointId>, PortError> {
        self.ask(move |models| models.changed_endpoints(since)).await
    }

    async fn first_attempts(
        &self,
        endpoint: EndpointId,
        wanted: Wanted,
        after: Option<FirstAfter>,
        limit: usize,
    ) -> Result<Vec<QueuedDelivery>, PortError> {
        let wanted = asked(wanted);
        let after = after.map(|FirstAfter(position, _)| position);
        let found = self.ask(move |models| models.first_attempts(endpoint, wanted, after, limit)).await?;
        Ok(found.into_iter().map(queued).collect())
    }

    async fn retries(
        &self,
        endpoint: EndpointId,
        wanted: Wanted,
        now: Timestamp,
        after: Option<RetryAfter>,
        limit: usize,
    ) -> Result<Vec<QueuedDelivery>, PortError> {
        let after = after.map(|RetryAfter(due, id)| (due, id));
        let found =
            self.ask(move |models| models.retries(endpoint, asked(wanted), now, after, limit)).await?;
        Ok(found.into_iter().map(queued).collect())
    }

    async fn page(&self, endpoint: EndpointId, query: PageQuery) -> Result<Page, PortError> {
        let PageQuery { wanted, now, first_after, retry_after, limit } = query;
        let first_after = first_after.map(|FirstAfter(position, _)| position);
        let retry_after = retry_after.map(|RetryAfter(due, id)| (due, id));
        // One visit to the database instead of three.
        self.ask(move |models| {
            let first = models.first_attempts(endpoint, asked(wanted), first_after, limit)?;
            let mut cut_short = is_cut_short(&first);
            let first = first.into_iter().map(queued).collect();
            if wanted == Wanted::TestsOnly {
                return Ok(Page { first, cut_short, ..Page::default() });
            }
            let retries = models.retries(endpoint, asked(wanted), now, retry_after, limit)?;
            cut_short |= is_cut_short(&retries);
            let retries = retries.into_iter().map(queued).collect();
            Ok(Page { first, retries, next_retry: models.next_retry(endpoint, now)?, cut_short })
        })
        .await
    }

    async fn next_retry(&self, endpoint: EndpointId, now: Timestamp) -> Result<Option<Timestamp>, PortError> {
        self.ask(move |models| models.next_retry(endpoint, now)).await
    }

    async fn next_of_contact(
        &self,
        endpoint: EndpointId,
        contact: ContactId,
    ) -> Result<Option<QueuedDelivery>, PortError> {
        let found = self.ask(move |models| models.next_of_contact(endpoint, contact)).await?;
        Ok(found.map(queued))
    }

    async fn standing(&self, endpoint: EndpointId) -> Result<Standing, PortError> {
        self.ask(move |models| {
            let health = models.endpoint(endpoint)?.map(|endpoint| endpoint.health).unwrap_or_default();
            Ok(Standing { health, pending: models.delivery_counts(Some(endpoint))?.pending })
        })
        .await
    }

    async fn held(&self, endpoint: EndpointId, limit: usize) -> Result<Vec<HeldDelivery>, PortError> {
        let held = self.ask(move |models| models.held_deliveries(endpoint, limit)).await?;
        Ok(held.into_iter().map(|(id, created_at)| HeldDelivery { id, created_at }).collect())
    }
}

/// An endpoint as the engine has it, and as the worker wants it.
type Known = (Arc<EndpointState>, Arc<Endpoint>);

/// The engine's endpoints, live.
pub struct LiveEndpoints {
    engine: Engine,
    /// The worker asks several times per attempt, and they rarely change.
    known: Mutex<HashMap<EndpointId, Known>>,
}

impl LiveEndpoints {
    /// The endpoints of an engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine, known: Mutex::default() }
    }
}

impl Endpoints for LiveEndpoints {
    fn get(&self, endpoint: EndpointId) -> Option<Arc<Endpoint>> {
        let mut known = self.known.lock();
        let Some(state) = self.engine.endpoints().live(endpoint) else {
            known.remove(&endpoint);
            return None;
        };
        if let Some((of, known)) = known.get(&endpoint)
            && Arc::ptr_eq(of, &state)
        {
            return Some(Arc::clone(known));
        }
        let fresh = Arc::new(Endpoint {
            settings: state.settings.clone(),
            secrets: state.secrets.clone(),
            enabled: state.disabled.is_none(),
            disabled_at: state.disabled.as_ref().map(|(_, at)| *at),
            enabled_at: state.enabled_at,
        });
        known.insert(endpoint, (state, Arc::clone(&fresh)));
        Some(fresh)
    }

    fn revision(&self) -> watch::Receiver<u64> {
        self.engine.endpoints().revision()
    }
}

/// Where outcomes go: the engine's log.
pub struct Outcomes {
    engine: Engine,
    attempts: Attempts,
}

impl Outcomes {
    /// Records in the engine's log and counts what it recorded.
    pub fn new(engine: Engine, attempts: Attempts) -> Self {
        Self { engine, attempts }
    }
}

#[async_trait]
impl OutcomeLog for Outcomes {
    async fn record(
        &self,
        endpoint: EndpointId,
        contact: Option<ContactId>,
        outcome: &Attempted,
    ) -> Result<Position, PortError> {
        let Some(live) = self.engine.endpoints().live(endpoint) else {
            return Ok(self.engine.log().durable_end());
        };
        let recorded = self.engine.endpoints().record_attempt(endpoint, outcome.clone(), contact).await;
        let position = recorded.map_err(PortError::new)?;
        self.attempts.recorded(&live.settings.kind, outcome);
        // The queue's position is that of the next record: it shows this one when it is past it.
        Ok(position + 1)
    }

    async fn discard(
        &self,
        endpoint: EndpointId,
        at: Timestamp,
        deliveries: &[DeliveryId],
    ) -> Result<Position, PortError> {
        if self.engine.endpoints().live(endpoint).is_none() {
            return Ok(self.engine.log().durable_end());
        }
        let discarded = self.engine.endpoints().discard_held(endpoint, at, deliveries).await;
        discarded.map(|position| position + 1).map_err(PortError::new)
    }

    fn began(&self, delivery: DeliveryId) {
        self.engine.endpoints().attempt_began(delivery);
    }

    fn settled(&self, delivery: DeliveryId) {
        self.engine.endpoints().attempt_settled(delivery);
    }

    async fn disable(
        &self,
        endpoint: EndpointId,
        _at: Timestamp,
        reason: DisableReason,
    ) -> Result<(), PortError> {
        match self.engine.endpoints().disable(endpoint, reason.as_str()).await {
            Ok(()) | Err(EngineError::NotFound) => Ok(()),
            Err(error) => Err(PortError::new(error)),
        }
    }
}

/// The engine's clock.
pub struct EngineClock(pub Engine);

impl Clock for EngineClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

/// Jitter from the operating system's randomness.
#[derive(Default)]
pub struct Jitter(Mutex<Entropy>);

impl Random for Jitter {
    fn unit(&self) -> f64 {
        let bits = u64::from_be_bytes(self.0.lock().bytes()) >> 11;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
        let fraction = bits as f64 / (1_u64 << 53) as f64;
        fraction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_a_fraction() {
        let jitter = Jitter::default();
        let mean = (0..10_000)
            .map(|_| jitter.unit())
            .inspect(|unit| assert!((0.0..1.0).contains(unit)))
            .sum::<f64>();
        assert!((4_500.0..5_500.0).contains(&mean), "{mean}");
    }
}
