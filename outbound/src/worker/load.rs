//! Reading one lane's next deliveries from the queue.

use std::{sync::Arc, time::Duration};

use mainspring_schemas::{EndpointId, Timestamp};

use super::{Ports, scheduler::Message, statistics::Statistics};
use crate::ports::{FirstAfter, PortError, QueuedDelivery, RetryAfter, Wanted};

/// Pause after the queue could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// What a lane wants to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub wanted: Wanted,
    pub first_after: Option<FirstAfter>,
    pub retry_after: Option<RetryAfter>,
    /// Most rows of each sort.
    pub page: usize,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Page {
    pub plan: Plan,
    pub first: Vec<QueuedDelivery>,
    pub retries: Vec<QueuedDelivery>,
    /// When the next retry beyond these is due.
    pub next_retry: Option<Timestamp>,
}

/// Reads a page; `None` in the message if the queue failed.
pub(super) async fn page(
    ports: Ports,
    statistics: Arc<Statistics>,
    endpoint: EndpointId,
    plan: Plan,
) -> Message {
    let page = match read(&ports, endpoint, plan).await {
        Ok(page) => Some(Box::new(page)),
        Err(error) => {
            pause(&statistics, &error).await;
            None
        }
    };
    Message::Loaded { endpoint, page }
}

async fn read(ports: &Ports, endpoint: EndpointId, plan: Plan) -> Result<Page, PortError> {
    let Plan { wanted, first_after, retry_after, page } = plan;
    let first = ports.queue.first_attempts(endpoint, wanted, first_after, page).await?;
    if wanted == Wanted::TestsOnly {
        return Ok(Page { plan, first, retries: Vec::new(), next_retry: None });
    }
    let now = ports.clock.now();
    let retries = ports.queue.retries(endpoint, now, retry_after, page).await?;
    let next_retry = ports.queue.next_retry(endpoint, now).await?;
    Ok(Page { plan, first, retries, next_retry })
}

/// Finds the lanes that have something new; `None` in the message if the queue failed.
pub(super) async fn changes(ports: Ports, statistics: Arc<Statistics>, since: Option<u64>) -> Message {
    // The position is read before the rows: what changes in between is found again next time.
    let position = *ports.queue.position().borrow();
    let found = match ports.queue.endpoints_changed(since).await {
        Ok(endpoints) => Some((position, endpoints)),
        Err(error) => {
            pause(&statistics, &error).await;
            None
        }
    };
    Message::Changed(found)
}

async fn pause(statistics: &Statistics, error: &PortError) {
    statistics.port_failed();
    tracing::warn!(%error, "could not read the delivery queue, trying again");
    tokio::time::sleep(PAUSE).await;
}
