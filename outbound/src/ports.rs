//! What the workers need of the rest of the system, as traits: nothing here knows a database, a log or an actor.
//!
//! The binary implements them. All are object safe; the worker holds each behind an `Arc`.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use compact_str::CompactString;
use mainspring_schemas::{
    ContactId, DeliveryId, EndpointId, MessageId, Timestamp,
    endpoint_health::EndpointHealth,
    event::{
        delivery::Attempted,
        endpoint::{EndpointSettings, SigningSecret},
    },
};
use tokio::sync::watch;

/// Place of a record in the whole log (the same number as the log's own `Position`).
pub type Position = u64;

/// A port could not do its work now: the same call may succeed later.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PortError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

impl PortError {
    /// Wraps whatever went wrong behind the port.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// A delivery that waits for its first or next attempt (status `pending`, section 8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedDelivery {
    /// Which delivery.
    pub id: DeliveryId,
    /// To whom.
    pub endpoint: EndpointId,
    /// The message id every attempt carries (OB-50).
    pub message: MessageId,
    /// The catalog type, or `webhook.test`.
    pub event_type: CompactString,
    /// Whom it is about, if anybody.
    pub contact: Option<ContactId>,
    /// The envelope, rendered once when the event happened and never again (OB-52).
    pub body: Bytes,
    /// Position of the record that caused it: the order of first attempts (OB-131).
    pub position: Position,
    /// Attempts made so far.
    pub attempts: u32,
    /// Attempts made on the current schedule: fewer than `attempts` if an operator asked for it again (OB-160).
    pub schedule_attempts: u32,
    /// How often an operator asked for it again; recorded with the outcome, so that the outcome of an attempt that began
    /// before the newest request does not stand in for it.
    pub requeues: u32,
    /// Whether the receiver has it already and is sent it again as part of a span of time (OC-93).
    pub replay: bool,
    /// When the next attempt is due; of no meaning for a first attempt, because that is due at once.
    pub due_at: Timestamp,
}

/// Which attempts are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of them: the endpoint is enabled.
    All,
    /// Only those whose contact has no earlier delivery pending at the endpoint, and those about nobody: its deliveries
    /// are ordered by contact.
    Heads,
    /// Only `webhook.test`: the endpoint is disabled and everything else is held (OB-88, OB-177).
    TestsOnly,
}

/// Where a listing of first attempts goes on: strictly after this delivery, by (position, id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FirstAfter(pub Position, pub DeliveryId);

/// Where a listing of retries goes on: strictly after this delivery, by (due instant, an order of the queue's own).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetryAfter(pub Timestamp, pub DeliveryId);

/// How an endpoint stands when the worker meets it: counters survive a restart (OB-151).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How it is doing.
    pub health: EndpointHealth,
    /// Deliveries that wait for an attempt.
    pub pending: u64,
}

/// A delivery that waits while its endpoint is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldDelivery {
    /// Which delivery.
    pub id: DeliveryId,
    /// When it came to be.
    pub created_at: Timestamp,
}

/// Which deliveries of an endpoint are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageQuery {
    /// Which of them.
    pub wanted: Wanted,
    /// Until when retries are due.
    pub now: Timestamp,
    /// Where first attempts go on.
    pub first_after: Option<FirstAfter>,
    /// Where retries go on.
    pub retry_after: Option<RetryAfter>,
    /// Most of each sort. Fewer may come, if their bodies are large; then the answer says so.
    pub limit: usize,
}

/// The answer to a [`PageQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// First attempts, by (position, id).
    pub first: Vec<QueuedDelivery>,
    /// Retries that are due, soonest first; none if only tests are wanted.
    pub retries: Vec<QueuedDelivery>,
    /// When the next retry beyond those that are due is.
    pub next_retry: Option<Timestamp>,
    /// There may be more first attempts, or more retries that are due, though these are fewer than asked for.
    pub cut_short: bool,
}

/// What happened a moment ago, each list in the order of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    /// Deliveries that came to be.
    pub deliveries: Vec<QueuedDelivery>,
    /// Endpoints with further new deliveries, up to these positions: the queue shows them when it is past those.
    pub missed: Vec<(EndpointId, Position)>,
    /// Contacts that were erased, and where the log says so: what is pending about them may be ended or rewritten (OB-163).
    pub erased: Vec<(ContactId, Position)>,
}

/// The pending deliveries, as a projection of the log knows them (OB-64).
///
/// It may lag the log: the worker remembers every outcome it recorded until [`position`](Self::position) has passed
/// it, and never sends a delivery whose row does not reflect that yet. Three promises make this safe:
///
/// * every answer reflects the log at least up to the position published before the call;
/// * the published position never goes backwards while a worker runs (rebuild it behind a stopped worker);
/// * when the worker starts, the queue has caught up with the log.
///
/// A delivery that ended may become pending again (OB-160). Its row then comes as a retry, never as a first attempt, and
/// never before the outcome that ended it is reflected: so the worker, which keeps its claim until then, cannot take the
/// one for the other.
///
/// Only `pending` rows are listed: never terminal ones, never those of deleted endpoints. All calls are read-only and
/// may be dropped half-way.
#[async_trait]
pub trait DeliveryQueue: Send + Sync + 'static {
    /// The position up to which rows reflect the log, and its advances.
    fn position(&self) -> watch::Receiver<Position>;

    /// What came to be since the last call, perhaps before the queue shows it; never ready if there is nothing. Every
    /// delivery that the queue shows after a worker started, and did not show then, is either told of here, in the order
    /// of the log for each endpoint, or its endpoint is named by
    /// [`endpoints_changed`](Self::endpoints_changed). The latter is what the default relies on.
    ///
    /// # Cancel safety
    /// Nothing is taken before the future is ready.
    async fn fresh(&self) -> Fresh {
        std::future::pending().await
    }

    /// Endpoints with at least one pending delivery whose row was inserted or changed after `since`, but for rows that
    /// [`fresh`](Self::fresh) tells of; with `None`, all endpoints with a pending delivery. May name more than that, never
    /// less.
    async fn endpoints_changed(&self, since: Option<Position>) -> Result<Vec<EndpointId>, PortError>;

    /// Pending deliveries of one endpoint with no attempt so far and never requeued, by (position, id), at most `limit`.
    async fn first_attempts(
        &self,
        endpoint: EndpointId,
        wanted: Wanted,
        after: Option<FirstAfter>,
        limit: usize,
    ) -> Result<Vec<QueuedDelivery>, PortError>;

    /// Pending deliveries of one endpoint with at least one attempt, or requeued, and due at or before `now`, soonest
    /// first, at most `limit`. Never asked for [`Wanted::TestsOnly`].
    async fn retries(
        &self,
        endpoint: EndpointId,
        wanted: Wanted,
        now: Timestamp,
        after: Option<RetryAfter>,
        limit: usize,
    ) -> Result<Vec<QueuedDelivery>, PortError>;

    /// First attempts, retries and the next retry at once: what a lane reads most of the time.
    async fn page(&self, endpoint: EndpointId, query: PageQuery) -> Result<Page, PortError> {
        let PageQuery { wanted, now, first_after, retry_after, limit } = query;
        let first = self.first_attempts(endpoint, wanted, first_after, limit).await?;
        if wanted == Wanted::TestsOnly {
            return Ok(Page { first, ..Page::default() });
        }
        let retries = self.retries(endpoint, wanted, now, retry_after, limit).await?;
        Ok(Page { first, retries, next_retry: self.next_retry(endpoint, now).await?, cut_short: false })
    }

    /// When the endpoint's next retry after `now` is due.
    async fn next_retry(&self, endpoint: EndpointId, now: Timestamp) -> Result<Option<Timestamp>, PortError>;

    /// The first pending delivery about a contact to an endpoint, in log order, whatever its attempts; no test.
    async fn next_of_contact(
        &self,
        endpoint: EndpointId,
        contact: ContactId,
    ) -> Result<Option<QueuedDelivery>, PortError>;

    /// How an endpoint stands.
    async fn standing(&self, endpoint: EndpointId) -> Result<Standing, PortError>;

    /// Pending deliveries of one endpoint but tests, oldest first, at most `limit` (OB-88).
    async fn held(&self, endpoint: EndpointId, limit: usize) -> Result<Vec<HeldDelivery>, PortError>;
}

/// An endpoint as it is right now (OB-83).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoint {
    /// Address, kind, configuration.
    pub settings: EndpointSettings,
    /// Its secrets, newest first; which of them sign is judged at signing time (OB-94).
    pub secrets: Vec<SigningSecret>,
    /// Whether deliveries flow; a disabled endpoint's are held (OB-88).
    pub enabled: bool,
    /// Since when it is disabled.
    pub disabled_at: Option<Timestamp>,
    /// When it was last enabled again: its failures before are forgotten, its backlog is spread (OB-152).
    pub enabled_at: Option<Timestamp>,
}

/// The endpoints, live: asked at every attempt, so it must answer from memory.
pub trait Endpoints: Send + Sync + 'static {
    /// The endpoint; `None` if there is none, or no longer.
    fn get(&self, endpoint: EndpointId) -> Option<Arc<Endpoint>>;

    /// A number that changes after any endpoint was created, changed, enabled, disabled or deleted.
    fn revision(&self) -> watch::Receiver<u64>;
}

/// Why the worker disables an endpoint (OB-81).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisableReason {
    /// It answered 410 (OB-141).
    Gone,
    /// It failed for too long (OB-152).
    Failing,
}

impl DisableReason {
    /// The reason as recorded.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }
}

/// Where outcomes become facts. Called concurrently; batching is the implementation's business.
#[async_trait]
pub trait OutcomeLog: Send + Sync + 'static {
    /// Appends one outcome to the endpoint's delivery stream and returns once it is durable, with the value that
    /// [`DeliveryQueue::position`] has reached when its rows show the outcome: until then the delivery must not be sent
    /// again. Must be idempotent by (delivery, attempt): the worker repeats a call that failed. An outcome nobody needs
    /// any more (its endpoint was deleted) is answered with any position of the log so far.
    ///
    /// `contact` is whom the delivery is about: what the receiver answered is part of that contact's data.
    async fn record(
        &self,
        endpoint: EndpointId,
        contact: Option<ContactId>,
        outcome: &Attempted,
    ) -> Result<Position, PortError>;

    /// Ends deliveries that were held for too long (OB-88), all or none; durable when it returns, with a position as
    /// [`record`](Self::record) gives. Ending one again changes nothing.
    async fn discard(
        &self,
        endpoint: EndpointId,
        at: Timestamp,
        deliveries: &[DeliveryId],
    ) -> Result<Position, PortError>;

    /// An attempt of a delivery begins; until [`settled`](Self::settled) nobody may requeue it (OB-160).
    fn began(&self, _delivery: DeliveryId) {}

    /// The outcome of that attempt is recorded.
    fn settled(&self, _delivery: DeliveryId) {}

    /// Disables the endpoint. Once this returned, [`Endpoints::get`] shows it disabled.
    async fn disable(
        &self,
        endpoint: EndpointId,
        at: Timestamp,
        reason: DisableReason,
    ) -> Result<(), PortError>;
}

/// The worker's time.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The current instant.
    fn now(&self) -> Timestamp;

    /// Returns at `at` or shortly after it.
    ///
    /// The default sleeps on the runtime's timer in short stretches and looks at the clock in between, because that
    /// timer stands still while the machine is suspended and knows nothing of a clock that was set.
    async fn sleep_until(&self, at: Timestamp) {
        const STRETCH_MS: i64 = 10_000;
        loop {
            let wait = at.since(self.now()).min(STRETCH_MS);
            let Ok(wait @ 1..) = u64::try_from(wait) else { return };
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }
}

/// The worker's randomness: only for jitter, so any good generator will do.
pub trait Random: Send + Sync + 'static {
    /// A number uniform in [0, 1).
    fn unit(&self) -> f64;
}
