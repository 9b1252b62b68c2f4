//! One attempt, from envelope to judged outcome; and the recording of that outcome.

use std::{sync::Arc, time::Duration};

use mainspring_schemas::{
    ContactId, EndpointId, Timestamp,
    catalog::WEBHOOK_TEST,
    event::delivery::{AttemptResult, Attempted},
};
use tokio::time::Instant;

use super::{Ports, scheduler::Message, statistics::Statistics};
use crate::{
    destination::{Outgoing, Transformed},
    exchange::Response,
    headers,
    outcome::{Answer, Circumstances, Health, Outcome, judge},
    ports::{DisableReason, Endpoint, QueuedDelivery},
    settings::Settings,
    signature,
};

/// Waits between repetitions of a call to the log; the last one is repeated.
const PATIENCE: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(5)];

/// What an attempt led to.
#[derive(Debug)]
pub(super) struct Made {
    pub endpoint: EndpointId,
    /// Whom the delivery is about.
    pub contact: Option<ContactId>,
    pub began: Timestamp,
    pub attempted: Attempted,
    pub outcome: Outcome,
    /// A test delivery says nothing about the health of its endpoint (OB-177).
    pub test: bool,
}

/// Makes one attempt. The endpoint is the one of this moment (OB-83); the signature is made as the request leaves
/// (OB-105).
pub(super) async fn make(
    ports: Ports,
    settings: Arc<Settings>,
    statistics: Arc<Statistics>,
    endpoint: Arc<Endpoint>,
    delivery: QueuedDelivery,
    began: Timestamp,
) -> Message {
    let started = Instant::now();
    let outgoing = Outgoing { endpoint: &endpoint, delivery: &delivery, now: began };
    let mut secret_count = None;
    let (answer, snippet) = match ports.destinations.transform(&outgoing) {
        Transformed::Skip => (Answer::Skipped, None),
        Transformed::Config(text) => (Answer::Config(text), None),
        Transformed::Request(mut request) => {
            secret_count = Some(signature::count(&request.headers));
            match headers::add(&mut request.headers, &endpoint.settings.headers) {
                Err(text) => (Answer::Config(text.to_owned()), None),
                Ok(()) => {
                    headers::mark_replay(&mut request.headers, delivery.replay);
                    match ports.transport.send(request).await {
                        Err(failure) => (Answer::Failure(failure), None),
                        Ok(response) => {
                            let Response { status, retry_after, snippet, accepted } = response;
                            (Answer::Http { status, retry_after, accepted }, snippet)
                        }
                    }
                }
            }
        }
    };
    let at = ports.clock.now();
    let test = delivery.event_type == WEBHOOK_TEST;
    let mut outcome = judge(
        &answer,
        Circumstances {
            attempts_before: delivery.schedule_attempts,
            now: at,
            schedule: &settings.schedule,
            client_error_attempts: settings.client_error_attempts,
            only_attempt: test,
            unit: ports.random.unit(),
        },
    );
    let goes_elsewhere = |now: Arc<Endpoint>| now.settings.receiver() != endpoint.settings.receiver();
    if outcome.health == Health::Gone && ports.endpoints.get(delivery.endpoint).is_some_and(goes_elsewhere) {
        // It is not who is gone (OB-83).
        outcome.health = Health::Failure;
    }
    statistics.attempt_ended(&outcome.result, started.elapsed());
    let attempted = Attempted {
        at,
        delivery: delivery.id,
        attempt: delivery.attempts.saturating_add(1),
        result: outcome.result.clone(),
        duration_ms: u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX),
        response_status: match answer {
            Answer::Http { status, .. } => Some(status),
            _ => None,
        },
        response_snippet: snippet,
        error: outcome.error.clone(),
        error_class: outcome.error_class.map(str::to_owned),
        secret_count,
        requeues: delivery.requeues,
        // A test says nothing about its endpoint (OB-177).
        throttled_until: outcome.endpoint_blocked_until.filter(|_| !test),
    };
    let (endpoint, contact) = (delivery.endpoint, delivery.contact);
    Message::Attempted(Box::new(Made { endpoint, contact, began, attempted, outcome, test }))
}

/// Records an outcome, for as long as it takes: until the log has it, the delivery must not be sent again.
pub(super) async fn record(
    ports: Ports,
    statistics: Arc<Statistics>,
    endpoint: EndpointId,
    contact: Option<ContactId>,
    attempted: Attempted,
) -> Message {
    let position =
        persist(&statistics, "record an outcome", || ports.log.record(endpoint, contact, &attempted)).await;
    statistics.outcome_recorded();
    let settled = !matches!(attempted.result, AttemptResult::Retry { .. });
    Message::Recorded { endpoint, delivery: attempted.delivery, freed: contact.filter(|_| settled), position }
}

/// Disables an endpoint, for as long as it takes.
pub(super) async fn disable(
    ports: Ports,
    statistics: Arc<Statistics>,
    endpoint: EndpointId,
    at: Timestamp,
    reason: DisableReason,
) -> Message {
    persist(&statistics, "disable an endpoint", || ports.log.disable(endpoint, at, reason)).await;
    Message::Disabled { endpoint }
}

async fn persist<T, F>(statistics: &Statistics, what: &'static str, call: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, crate::ports::PortError>>,
{
    let mut waits = PATIENCE.iter().chain(std::iter::repeat(&PATIENCE[PATIENCE.len() - 1]));
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) => {
                statistics.port_failed();
                tracing::warn!(%error, "could not {what}, trying again");
                tokio::time::sleep(*waits.next().unwrap_or(&PATIENCE[0])).await;
            }
        }
    }
}
