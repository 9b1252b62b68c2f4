//! Questions about endpoints and deliveries.

use mainspring_eventlog::Position;
use mainspring_schemas::{ContactId, DeliveryId, EndpointId, RecoveryId, Timestamp};
use uuid::Uuid;

use super::ReadModels;
use crate::{
    delivery_queue::{
        self, DeadLetter, DeadLetterFilter, Delivery, DeliveryCounts, DeliveryDetail, DeliveryFilter,
        DeliveryStats, DueDelivery, Endpoint, Expirable, FirstAttempts, QueueFigures, Recoverable, Recovery,
        RecoverySpan,
    },
    error::Result,
    page::Order,
};

/// Questions about endpoints and deliveries. All of them fail only if the database does.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl ReadModels {
    /// An endpoint by its id; a deleted one says so.
    pub fn endpoint(&self, endpoint: EndpointId) -> Result<Option<Endpoint>> {
        self.ask(|connection| delivery_queue::endpoint(connection, endpoint))
    }

    /// A page of the endpoints there are, newest first (OB-170).
    pub fn endpoints(&self, include_disabled: bool, limit: usize, offset: usize) -> Result<Vec<Endpoint>> {
        self.ask(|connection| delivery_queue::endpoints(connection, include_disabled, limit, offset))
    }

    /// How many endpoints there are.
    pub fn endpoint_count(&self, include_disabled: bool) -> Result<u64> {
        self.ask(|connection| delivery_queue::endpoint_total(connection, include_disabled))
    }

    /// Ids of all endpoints that are not deleted.
    pub fn endpoint_ids(&self) -> Result<Vec<EndpointId>> {
        self.ask(delivery_queue::endpoint_ids)
    }

    /// Keys that sealed the credentials of deleted endpoints: every start sees to it that they are destroyed (OB-86).
    pub fn destroyed_endpoint_keys(&self) -> Result<Vec<Uuid>> {
        self.ask(delivery_queue::destroyed_endpoint_keys)
    }

    /// Endpoints with anything pending that is not held, due now or later.
    pub fn pending_endpoints(&self) -> Result<Vec<EndpointId>> {
        self.ask(delivery_queue::pending_endpoints)
    }

    /// Deliveries to an endpoint that are due at `now`, in log order, after a place in the queue (OB-120). Of a
    /// disabled endpoint only tests are due.
    pub fn due_deliveries(
        &self,
        endpoint: EndpointId,
        now: Timestamp,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<DueDelivery>> {
        self.ask(|connection| delivery_queue::due(connection, endpoint, now, after, limit))
    }

    /// Endpoints with anything pending, held or not, whose queue changed at position `since` or later; with `None`, at
    /// any time.
    pub fn changed_endpoints(&self, since: Option<Position>) -> Result<Vec<EndpointId>> {
        self.ask(|connection| delivery_queue::changed_endpoints(connection, since))
    }

    /// Pending deliveries to an endpoint without an attempt so far, in log order, after those of the record at a
    /// position (OB-131).
    pub fn first_attempts(
        &self,
        endpoint: EndpointId,
        wanted: FirstAttempts,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<DueDelivery>> {
        self.ask(|connection| delivery_queue::first_attempts(connection, endpoint, wanted, after, limit))
    }

    /// Pending deliveries to an endpoint with attempts behind them that are due by `until`, soonest first, after the
    /// given one of that order. Asks nothing about the endpoint being disabled.
    pub fn retries(
        &self,
        endpoint: EndpointId,
        wanted: FirstAttempts,
        until: Timestamp,
        after: Option<(Timestamp, DeliveryId)>,
        limit: usize,
    ) -> Result<Vec<DueDelivery>> {
        self.ask(|connection| delivery_queue::retries(connection, endpoint, wanted, until, after, limit))
    }

    /// When an endpoint's next retry is due that is not due yet at `now`.
    pub fn next_retry(&self, endpoint: EndpointId, now: Timestamp) -> Result<Option<Timestamp>> {
        self.ask(|connection| delivery_queue::next_retry(connection, endpoint, now))
    }

    /// The first pending delivery about a contact to an endpoint, in log order; no test.
    pub fn next_of_contact(&self, endpoint: EndpointId, contact: ContactId) -> Result<Option<DueDelivery>> {
        self.ask(|connection| delivery_queue::next_of_contact(connection, endpoint, contact))
    }

    /// Pending deliveries to an endpoint but tests, oldest first, with the instants they were made at (OB-88).
    pub fn held_deliveries(
        &self,
        endpoint: EndpointId,
        limit: usize,
    ) -> Result<Vec<(DeliveryId, Timestamp)>> {
        self.ask(|connection| delivery_queue::held(connection, endpoint, limit))
    }

    /// When the next attempt of all is due; may be in the past.
    pub fn next_due(&self) -> Result<Option<Timestamp>> {
        self.ask(delivery_queue::next_due)
    }

    /// When an endpoint's next attempt is due; may be in the past.
    pub fn next_due_of(&self, endpoint: EndpointId) -> Result<Option<Timestamp>> {
        self.ask(|connection| delivery_queue::next_due_of(connection, endpoint))
    }

    /// A page of deliveries, after a place in the queue (OB-180).
    pub fn deliveries(
        &self,
        filter: &DeliveryFilter,
        order: Order,
        cursor: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Delivery>> {
        self.ask(|connection| delivery_queue::deliveries(connection, filter, order, cursor, limit))
    }

    /// A delivery with its envelope and attempts (OB-181).
    pub fn delivery(&self, delivery: DeliveryId) -> Result<Option<DeliveryDetail>> {
        self.ask(|connection| delivery_queue::detail(connection, delivery))
    }

    /// Deliveries by state, of one endpoint or of all.
    pub fn delivery_counts(&self, endpoint: Option<EndpointId>) -> Result<DeliveryCounts> {
        self.ask(|connection| delivery_queue::counts(connection, endpoint))
    }

    /// How the queue as a whole is doing (HE-04).
    pub fn queue_figures(&self, now: Timestamp) -> Result<QueueFigures> {
        self.ask(|connection| delivery_queue::queue_figures(connection, now))
    }

    /// A page of dead letters, newest first (OB-155).
    pub fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        limit: usize,
        offset: usize,
    ) -> Result<Vec<DeadLetter>> {
        self.ask(|connection| delivery_queue::dead_letters(connection, filter, limit, offset))
    }

    /// The oldest dead letters that a filter leaves, in the order of the log (DL-05).
    pub fn oldest_dead_letters(
        &self,
        filter: &DeadLetterFilter,
        limit: usize,
    ) -> Result<Vec<(EndpointId, DeliveryId)>> {
        self.ask(|connection| delivery_queue::oldest_dead_letters(connection, filter, limit))
    }

    /// How many dead letters a filter leaves.
    pub fn dead_letter_count(&self, filter: &DeadLetterFilter) -> Result<u64> {
        self.ask(|connection| delivery_queue::dead_letter_total(connection, filter))
    }

    /// Deliveries of a span that can be made again, caused by records from `from` on and below `end`, in log order.
    /// Neither tests nor what is about the erased (OB-161).
    pub fn recoverable(
        &self,
        span: &RecoverySpan,
        from: Position,
        end: Position,
        limit: usize,
    ) -> Result<Vec<Recoverable>> {
        self.ask(|connection| delivery_queue::recoverable(connection, span, from, end, limit))
    }

    /// How many these are, from the beginning.
    pub fn recoverable_total(&self, span: &RecoverySpan, end: Position) -> Result<u64> {
        self.ask(|connection| delivery_queue::recoverable_total(connection, span, end))
    }

    /// Whether a message needs no delivery: it has one, or whom it is about was erased.
    pub fn needs_no_delivery(&self, delivery: DeliveryId, contact: Option<ContactId>) -> Result<bool> {
        self.ask(|connection| delivery_queue::is_known(connection, delivery, contact))
    }

    /// Up to which instant of recording an endpoint's deliveries may have been forgotten (OB-163).
    pub fn forgot_until(&self, endpoint: EndpointId) -> Result<Option<Timestamp>> {
        self.ask(|connection| delivery_queue::forgot_until(connection, endpoint))
    }

    /// How many deliveries of an endpoint wait for the first attempt of their schedule; counts no further than `most`.
    pub fn untried(&self, endpoint: EndpointId, most: usize) -> Result<usize> {
        self.ask(|connection| delivery_queue::untried(connection, endpoint, most))
    }

    /// A recovery and how far it is (OB-161).
    pub fn recovery(&self, recovery: RecoveryId) -> Result<Option<Recovery>> {
        self.ask(|connection| delivery_queue::recovery(connection, recovery))
    }

    /// Recoveries that are not over, oldest first.
    pub fn running_recoveries(&self) -> Result<Vec<Recovery>> {
        self.ask(delivery_queue::running_recoveries)
    }

    /// What may be forgotten, at most `most` deliveries of each endpoint: what was delivered or discarded until
    /// `ended`, and what failed until `failed` (OB-163).
    pub fn expirable(&self, ended: Timestamp, failed: Timestamp, most: usize) -> Result<Vec<Expirable>> {
        self.ask(|connection| delivery_queue::expirable(connection, ended, failed, most))
    }

    /// What happened at an endpoint since an instant (OB-162).
    pub fn delivery_stats(&self, endpoint: EndpointId, since: Timestamp) -> Result<DeliveryStats> {
        self.ask(|connection| delivery_queue::stats(connection, endpoint, since))
    }
}
