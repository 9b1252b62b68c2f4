//! Reading one lane's next deliveries from the queue.

use std::{sync::Arc, time::Duration};

use mainspring_schemas::{ContactId, EndpointId, Timestamp};

use super::{Ports, scheduler::Message, statistics::Statistics};
use crate::ports::{
    FirstAfter, PageQuery, PortError, Position, QueuedDelivery, RetryAfter, Standing, Wanted,
};

/// Pause after the queue could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// What a lane wants to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub wanted: Wanted,
    pub first_after: Option<FirstAfter>,
    pub retry_after: Option<RetryAfter>,
    /// Most rows of each sort.
    pub page: usize,
    /// Contacts whose next delivery may leave, of a lane that is ordered by contact.
    pub freed: Vec<ContactId>,
    /// Whether to ask how the endpoint stands.
    pub standing: bool,
    /// The queue shows at least what the log says below this.
    pub shown: Position,
    /// Which start of reading this belongs to.
    pub generation: u64,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub first: Vec<QueuedDelivery>,
    pub retries: Vec<QueuedDelivery>,
    /// When the next retry beyond these is due.
    pub next_retry: Option<Timestamp>,
    /// There may be more, though these are fewer than a page.
    pub cut_short: bool,
    /// The next deliveries of the freed contacts, due now or later.
    pub next_of_freed: Vec<QueuedDelivery>,
    /// How the endpoint stands, if that was asked.
    pub standing: Option<Standing>,
}

/// Reads a page; no rows in the message if the queue failed.
pub(super) async fn page(
    ports: Ports,
    statistics: Arc<Statistics>,
    endpoint: EndpointId,
    plan: Plan,
) -> Message {
    match read(&ports, endpoint, &plan).await {
        Ok(rows) => Message::Loaded { endpoint, plan, rows: Some(Box::new(rows)) },
        Err(error) => {
            pause(&statistics, &error).await;
            Message::Loaded { endpoint, plan, rows: None }
        }
    }
}

async fn read(ports: &Ports, endpoint: EndpointId, plan: &Plan) -> Result<Rows, PortError> {
    let Plan { wanted, first_after, retry_after, page, .. } = *plan;
    let mut rows = Rows::default();
    if plan.standing {
        rows.standing = Some(ports.queue.standing(endpoint).await?);
    }
    let query = PageQuery { wanted, now: ports.clock.now(), first_after, retry_after, limit: page };
    let page = ports.queue.page(endpoint, query).await?;
    (rows.first, rows.retries, rows.next_retry) = (page.first, page.retries, page.next_retry);
    rows.cut_short = page.cut_short;
    for contact in &plan.freed {
        rows.next_of_freed.extend(ports.queue.next_of_contact(endpoint, *contact).await?);
    }
    Ok(rows)
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

pub(super) async fn pause(statistics: &Statistics, error: &PortError) {
    statistics.port_failed();
    tracing::warn!(%error, "could not read the delivery queue, trying again");
    tokio::time::sleep(PAUSE).await;
}
