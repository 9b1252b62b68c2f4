//! The worker's ports in memory: a log, a queue that follows it with a chosen lag, endpoints, and virtual time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use mainspring_outbound::{
    ports::{
        Clock, DeliveryQueue, DisableReason, Endpoint, Endpoints, FirstAfter, Fresh, HeldDelivery,
        OutcomeLog, PortError, Position, QueuedDelivery, Random, RetryAfter, Standing, Wanted,
    },
    secret,
};
use mainspring_schemas::{
    ContactId, DeliveryId, EndpointId, MessageId, RecordId, Timestamp,
    catalog::WEBHOOK_TEST,
    endpoint_health::EndpointHealth,
    event::{
        delivery::{AttemptResult, Attempted},
        endpoint::{EndpointSettings, SigningSecret},
    },
};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use uuid::Uuid;

/// What the log of this world can hold.
#[derive(Clone, Debug)]
pub enum Entry {
    Enqueued(QueuedDelivery),
    Erased(ContactId),
    Attempted(EndpointId, Attempted),
    Discarded(DeliveryId),
    Requeued(DeliveryId, Timestamp),
}

#[derive(Default)]
struct State {
    log: Vec<Entry>,
    projected: usize,
    first: BTreeMap<(EndpointId, Position, DeliveryId), QueuedDelivery>,
    retries: BTreeMap<(EndpointId, Timestamp, DeliveryId), QueuedDelivery>,
    /// Where each pending delivery's row stands: its due instant, if it is a retry.
    rows: HashMap<DeliveryId, (EndpointId, Position, Option<Timestamp>)>,
    changed: BTreeMap<Position, EndpointId>,
    /// What ended, for those who ask again.
    ended: HashMap<DeliveryId, QueuedDelivery>,
    /// Attempts under way, as the worker tells.
    sending: HashSet<DeliveryId>,
    recorded: HashSet<(DeliveryId, u32)>,
    health: HashMap<EndpointId, EndpointHealth>,
    created: HashMap<DeliveryId, Timestamp>,
    tests: HashSet<DeliveryId>,
    erased: HashSet<DeliveryId>,
    fresh: Fresh,
    handed_over: HashSet<DeliveryId>,
}

impl State {
    /// Hands a new delivery over if no more than `room` wait, otherwise says that there is one.
    fn hand_over(&mut self, delivery: &QueuedDelivery, room: usize) {
        self.handed_over.insert(delivery.id);
        let fresh = &mut self.fresh;
        let missed = fresh.missed.iter_mut().find(|(endpoint, _)| *endpoint == delivery.endpoint);
        match missed {
            Some((_, position)) => *position = delivery.position,
            None if fresh.deliveries.len() >= room => {
                fresh.missed.push((delivery.endpoint, delivery.position));
            }
            None => fresh.deliveries.push(delivery.clone()),
        }
    }
}

impl State {
    fn project(&mut self, up_to: usize) {
        while self.projected < up_to {
            let position = self.projected as Position + 1;
            match self.log[self.projected].clone() {
                Entry::Enqueued(delivery) => {
                    let endpoint = delivery.endpoint;
                    if delivery.event_type == WEBHOOK_TEST {
                        self.tests.insert(delivery.id);
                    }
                    self.rows.insert(delivery.id, (endpoint, delivery.position, None));
                    if !self.handed_over.contains(&delivery.id) {
                        self.changed.insert(position, endpoint);
                    }
                    self.first.insert((endpoint, delivery.position, delivery.id), delivery);
                }
                Entry::Attempted(endpoint, attempted) => self.apply(position, endpoint, &attempted),
                Entry::Discarded(id) => {
                    let (row, _) = self.take(id).expect("an end of a delivery that is not pending");
                    self.ended.insert(id, row);
                }
                Entry::Erased(contact) => {
                    let rows = self.first.values().chain(self.retries.values());
                    let about = rows.filter(|row| row.contact == Some(contact)).map(|row| row.id);
                    for id in about.collect::<Vec<_>>() {
                        self.take(id);
                        self.erased.insert(id);
                    }
                }
                Entry::Requeued(delivery, at) => self.requeue(position, delivery, at),
            }
            self.projected += 1;
        }
    }

    /// Takes a pending delivery out of its line, with its due instant if it stood among the retries.
    fn take(&mut self, id: DeliveryId) -> Option<(QueuedDelivery, Option<Timestamp>)> {
        let (endpoint, created, due) = self.rows.remove(&id)?;
        let row = match due {
            None => self.first.remove(&(endpoint, created, id)),
            Some(due) => self.retries.remove(&(endpoint, due, id)),
        };
        Some((row.expect("the row of a pending delivery"), due))
    }

    /// Whether an earlier delivery about the same contact is pending.
    fn is_behind(&self, row: &QueuedDelivery) -> bool {
        let earlier = |other: &QueuedDelivery| {
            other.endpoint == row.endpoint && other.contact == row.contact && other.position < row.position
        };
        row.contact.is_some() && self.first.values().chain(self.retries.values()).any(earlier)
    }

    fn may_pass(&self, wanted: Wanted, row: &QueuedDelivery) -> bool {
        match wanted {
            Wanted::All => true,
            Wanted::Heads => !self.is_behind(row),
            Wanted::TestsOnly => row.event_type == WEBHOOK_TEST,
        }
    }

    fn wait(&mut self, position: Position, row: QueuedDelivery) {
        let (endpoint, id, due) = (row.endpoint, row.id, row.due_at);
        self.rows.insert(id, (endpoint, row.position, Some(due)));
        self.retries.insert((endpoint, due, id), row);
        self.changed.insert(position, endpoint);
    }

    fn requeue(&mut self, position: Position, id: DeliveryId, at: Timestamp) {
        let ended = self.ended.remove(&id);
        let (mut row, first) = match ended {
            Some(row) => (row, false),
            None => self.take(id).map(|(row, due)| (row, due.is_none())).expect("a delivery"),
        };
        if first {
            // It waits for its first attempt anyway.
            self.rows.insert(id, (row.endpoint, row.position, None));
            self.first.insert((row.endpoint, row.position, id), row);
            return;
        }
        (row.requeues, row.schedule_attempts, row.due_at) = (row.requeues + 1, 0, at);
        self.wait(position, row);
    }

    fn apply(&mut self, position: Position, endpoint: EndpointId, attempted: &Attempted) {
        let id = attempted.delivery;
        if !self.tests.contains(&id) {
            self.health.entry(endpoint).or_default().attempted(attempted);
        }
        if self.erased.contains(&id) {
            return;
        }
        let (mut row, _) = self.take(id).expect("an outcome of a delivery that is not pending");
        assert_eq!((row.endpoint, attempted.attempt), (endpoint, row.attempts + 1), "numbered without a gap");
        let outrun = attempted.requeues < row.requeues;
        row.attempts = attempted.attempt;
        row.schedule_attempts += 1;
        match attempted.result {
            AttemptResult::Delivered => drop(self.ended.insert(id, row)),
            _ if outrun => {
                row.schedule_attempts = 0;
                self.wait(position, row);
            }
            AttemptResult::Failed => drop(self.ended.insert(id, row)),
            AttemptResult::Retry { next_at } => {
                row.due_at = next_at;
                self.wait(position, row);
            }
        }
    }
}

/// Log, queue and endpoints in one.
pub struct World {
    state: Mutex<State>,
    position: watch::Sender<Position>,
    endpoints: Mutex<HashMap<EndpointId, Arc<Endpoint>>>,
    revision: watch::Sender<u64>,
    /// How far the queue lags behind the log.
    pub lag: Duration,
    /// Called before an outcome is recorded.
    pub durability: Option<Box<dyn Fn() -> futures_util::future::BoxFuture<'static, ()> + Send + Sync>>,
    /// How long an answer of the queue travels, in milliseconds, getting older on its way.
    pub read_ms: AtomicU64,
    /// How many new deliveries may wait to be handed over; with `usize::MAX` none is, and all are found in the queue.
    pub hand_over_room: AtomicUsize,
    news: Notify,
    /// How many more calls of the log fail.
    pub refusals: AtomicU64,
    next: AtomicU64,
    clock: RuntimeClock,
    /// Whom the worker disabled, when and why.
    pub disabled: Mutex<Vec<(EndpointId, Timestamp, DisableReason)>>,
    me: std::sync::Weak<World>,
}

impl World {
    pub fn new(lag: Duration) -> Arc<Self> {
        Self::with(lag, None)
    }

    pub fn with(
        lag: Duration,
        durability: Option<Box<dyn Fn() -> futures_util::future::BoxFuture<'static, ()> + Send + Sync>>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            state: Mutex::default(),
            position: watch::channel(0).0,
            endpoints: Mutex::default(),
            revision: watch::channel(0).0,
            lag,
            durability,
            read_ms: AtomicU64::new(0),
            hand_over_room: AtomicUsize::new(4_096),
            news: Notify::new(),
            refusals: AtomicU64::new(0),
            next: AtomicU64::new(1),
            clock: RuntimeClock::new(),
            disabled: Mutex::default(),
            me: me.clone(),
        })
    }

    pub fn endpoint(&self, url: &str) -> EndpointId {
        let id = EndpointId(Uuid::from_u128(u128::from(self.next.fetch_add(1, SeqCst))));
        let settings = EndpointSettings {
            url: url.to_owned(),
            description: None,
            event_types: vec!["*".to_owned()],
            kind: "webhook".to_owned(),
            ..EndpointSettings::default()
        };
        let secrets = vec![SigningSecret { secret: secret::generate([7; 32]), expires_at: None }];
        self.endpoints
            .lock()
            .insert(id, Arc::new(Endpoint { settings, secrets, enabled: true, ..Endpoint::default() }));
        self.revision.send_modify(|revision| *revision += 1);
        id
    }

    pub fn change(&self, id: EndpointId, change: impl FnOnce(&mut Endpoint)) {
        change(Arc::make_mut(self.endpoints.lock().get_mut(&id).unwrap()));
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// An operator disables the endpoint now.
    pub fn disable_by_hand(&self, id: EndpointId) {
        let now = self.clock.now();
        self.change(id, |endpoint| {
            endpoint.enabled = false;
            endpoint.disabled_at = Some(now);
        });
    }

    /// An operator enables it again now.
    pub fn enable(&self, id: EndpointId) {
        let now = self.clock.now();
        self.state.lock().health.entry(id).or_default().clear();
        self.change(id, |endpoint| {
            endpoint.enabled = true;
            endpoint.disabled_at = None;
            endpoint.enabled_at = Some(now);
        });
    }

    pub fn delete(&self, id: EndpointId) {
        self.endpoints.lock().remove(&id);
        self.revision.send_modify(|revision| *revision += 1);
    }

    pub fn enqueue(&self, endpoint: EndpointId, event_type: &str) -> DeliveryId {
        self.enqueue_about(endpoint, event_type, None)
    }

    pub fn enqueue_about(
        &self,
        endpoint: EndpointId,
        event_type: &str,
        contact: Option<ContactId>,
    ) -> DeliveryId {
        let number = self.next.fetch_add(1, SeqCst);
        let message = MessageId::of(RecordId(Uuid::from_u128(u128::from(number))), event_type);
        let id = DeliveryId::of(&message, endpoint);
        let body = format!(
            r#"{{"id":"{message}","type":"{event_type}","timestamp":"2026-06-15T12:00:00.000Z","data":{{"n":{number}}}}}"#
        );
        self.state.lock().created.insert(id, self.clock.now());
        self.append(|position| {
            Entry::Enqueued(QueuedDelivery {
                id,
                endpoint,
                message,
                event_type: event_type.into(),
                contact,
                body: Bytes::from(body),
                position,
                attempts: 0,
                schedule_attempts: 0,
                requeues: 0,
                replay: false,
                due_at: Timestamp(0),
            })
        });
        id
    }

    /// Nothing more is told about a contact.
    pub fn erase(&self, contact: ContactId) {
        self.append(|_| Entry::Erased(contact));
    }

    /// What an operator's request does: `false` if an attempt is under way. `racing` asks without looking.
    pub fn requeue(&self, delivery: DeliveryId, at: Timestamp, racing: bool) -> bool {
        if !racing && self.state.lock().sending.contains(&delivery) {
            return false;
        }
        self.append(|_| Entry::Requeued(delivery, at));
        true
    }

    /// Whether the log says that a delivery has ended.
    pub fn has_ended(&self, delivery: DeliveryId) -> bool {
        let last = self.state.lock().log.iter().rev().find_map(|entry| match entry {
            Entry::Attempted(_, attempted) if attempted.delivery == delivery => {
                Some(!matches!(attempted.result, AttemptResult::Retry { .. }))
            }
            Entry::Requeued(id, _) if *id == delivery => Some(false),
            _ => None,
        });
        last.unwrap_or(false)
    }

    fn append(&self, entry: impl FnOnce(Position) -> Entry) -> Position {
        let position = {
            let mut state = self.state.lock();
            let position = state.log.len() as Position;
            let entry = entry(position);
            match (&entry, self.hand_over_room.load(SeqCst)) {
                (_, usize::MAX) => {}
                (Entry::Enqueued(delivery), room) => state.hand_over(delivery, room),
                (Entry::Erased(contact), _) => state.fresh.erased.push((*contact, position)),
                _ => {}
            }
            state.log.push(entry);
            position + 1
        };
        self.news.notify_one();
        if self.lag.is_zero() {
            self.project(position);
        } else {
            let (me, lag) = (self.me.upgrade().unwrap(), self.lag);
            tokio::spawn(async move {
                tokio::time::sleep(lag).await;
                me.project(position);
            });
        }
        position
    }

    fn project(&self, up_to: Position) {
        self.state.lock().project(usize::try_from(up_to).unwrap());
        self.position.send_if_modified(|position| {
            let advanced = *position < up_to;
            *position = up_to.max(*position);
            advanced
        });
    }

    /// Reads the whole log, as the queue does before a worker starts.
    pub fn catch_up(&self) {
        {
            let mut state = self.state.lock();
            state.sending.clear();
            state.fresh = Fresh::default();
        }
        let end = self.state.lock().log.len() as Position;
        self.project(end);
    }

    /// Deletes the queue and derives it anew from the log.
    pub fn rebuild(&self) {
        let mut state = self.state.lock();
        let (log, recorded) = (std::mem::take(&mut state.log), std::mem::take(&mut state.recorded));
        let created = std::mem::take(&mut state.created);
        *state = State { log, recorded, created, ..State::default() };
        drop(state);
        self.catch_up();
    }

    /// All outcomes in log order.
    pub fn outcomes(&self) -> Vec<Attempted> {
        let outcome = |entry: &Entry| match entry {
            Entry::Attempted(_, attempted) => Some(attempted.clone()),
            _ => None,
        };
        self.state.lock().log.iter().filter_map(outcome).collect()
    }

    /// The outcomes of one delivery.
    pub fn outcomes_of(&self, delivery: DeliveryId) -> Vec<Attempted> {
        self.outcomes().into_iter().filter(|outcome| outcome.delivery == delivery).collect()
    }

    /// Deliveries that were discarded, in log order.
    pub fn discarded(&self) -> Vec<DeliveryId> {
        let discarded = |entry: &Entry| match entry {
            Entry::Discarded(delivery) => Some(*delivery),
            _ => None,
        };
        self.state.lock().log.iter().filter_map(discarded).collect()
    }

    /// Deliveries that wait for an attempt.
    pub fn pending(&self) -> usize {
        let mut state = self.state.lock();
        let end = state.log.len();
        state.project(end);
        state.rows.len()
    }
}

#[async_trait]
impl DeliveryQueue for World {
    fn position(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    async fn fresh(&self) -> Fresh {
        loop {
            let news = self.news.notified();
            let fresh = std::mem::take(&mut self.state.lock().fresh);
            if fresh != Fresh::default() {
                return fresh;
            }
            news.await;
        }
    }

    async fn endpoints_changed(&self, since: Option<Position>) -> Result<Vec<EndpointId>, PortError> {
        let state = self.state.lock();
        let Some(since) = since else {
            let endpoints: BTreeSet<_> = state.rows.values().map(|row| row.0).collect();
            return Ok(endpoints.into_iter().collect());
        };
        let from = since + 1;
        let mut endpoints: Vec<_> = state.changed.range(from..).map(|(_, endpoint)| *endpoint).collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        Ok(endpoints)
    }

    async fn first_attempts(
        &self,
        endpoint: EndpointId,
        wanted: Wanted,
        after: Option<FirstAfter>,
        limit: usize,
    ) -> Result<Vec<QueuedDelivery>, PortError> {
        let found = {
            let state = self.state.lock();
            let start = (
                endpoint,
                after.map_or(0, |after| after.0),
                after.map_or(DeliveryId(Uuid::nil()), |after| after.1),
            );
            let rows = state.first.range(start..).take_while(|(key, _)| key.0 == endpoint);
            let rows = rows.filter(|(key, _)| **key != start).map(|(_, row)| row);
            let wanted = rows.filter(|row| state.may_pass(wanted, row));
            wanted.take(limit).cloned().collect()
        };
        self.travel().await;
        Ok(found)
    }

    async fn retries(
        &self,
        endpoint: EndpointId,
        wanted: Wanted,
        now: Timestamp,
        after: Option<RetryAfter>,
        limit: usize,
    ) -> Result<Vec<QueuedDelivery>, PortError> {
        let found = {
            let state = self.state.lock();
            let after = after.unwrap_or(RetryAfter(Timestamp(i64::MIN), DeliveryId(Uuid::nil())));
            let start = (endpoint, after.0, after.1);
            let rows = state.retries.range(start..).take_while(|(key, _)| key.0 == endpoint && key.1 <= now);
            let rows = rows.filter(|(key, row)| **key != start && state.may_pass(wanted, row));
            rows.map(|(_, row)| row.clone()).take(limit).collect()
        };
        self.travel().await;
        Ok(found)
    }

    async fn next_retry(&self, endpoint: EndpointId, now: Timestamp) -> Result<Option<Timestamp>, PortError> {
        let state = self.state.lock();
        let start = (endpoint, now.plus(1), DeliveryId(Uuid::nil()));
        let next = state.retries.range(start..).next().filter(|(key, _)| key.0 == endpoint);
        Ok(next.map(|(key, _)| key.1))
    }

    async fn next_of_contact(
        &self,
        endpoint: EndpointId,
        contact: ContactId,
    ) -> Result<Option<QueuedDelivery>, PortError> {
        let found = {
            let state = self.state.lock();
            let rows = state.first.values().chain(state.retries.values());
            let about = rows.filter(|row| {
                row.endpoint == endpoint && row.contact == Some(contact) && row.event_type != WEBHOOK_TEST
            });
            about.min_by_key(|row| row.position).cloned()
        };
        self.travel().await;
        Ok(found)
    }

    async fn standing(&self, endpoint: EndpointId) -> Result<Standing, PortError> {
        let standing = {
            let state = self.state.lock();
            let pending = state.rows.values().filter(|row| row.0 == endpoint).count() as u64;
            Standing { health: state.health.get(&endpoint).copied().unwrap_or_default(), pending }
        };
        self.travel().await;
        Ok(standing)
    }

    async fn held(&self, endpoint: EndpointId, limit: usize) -> Result<Vec<HeldDelivery>, PortError> {
        let mut held: Vec<_> = {
            let state = self.state.lock();
            let rows = state.rows.iter().filter(|(id, row)| row.0 == endpoint && !state.tests.contains(id));
            rows.map(|(id, row)| (row.1, HeldDelivery { id: *id, created_at: state.created[id] })).collect()
        };
        held.sort_by_key(|(position, _)| *position);
        self.travel().await;
        Ok(held.into_iter().map(|(_, held)| held).take(limit).collect())
    }
}

impl Endpoints for World {
    fn get(&self, endpoint: EndpointId) -> Option<Arc<Endpoint>> {
        self.endpoints.lock().get(&endpoint).cloned()
    }

    fn revision(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }
}

impl World {
    async fn travel(&self) {
        let time = Duration::from_millis(self.read_ms.load(SeqCst));
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
    }

    fn refuse(&self) -> Result<(), PortError> {
        let refused = self.refusals.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        if refused { Err(PortError::new("the log is not available")) } else { Ok(()) }
    }
}

#[async_trait]
impl OutcomeLog for World {
    async fn record(
        &self,
        endpoint: EndpointId,
        _: Option<ContactId>,
        outcome: &Attempted,
    ) -> Result<Position, PortError> {
        self.refuse()?;
        if let Some(durability) = &self.durability {
            durability().await;
        }
        let fresh = self.state.lock().recorded.insert((outcome.delivery, outcome.attempt));
        assert!(fresh, "an attempt is recorded once");
        Ok(self.append(|_| Entry::Attempted(endpoint, outcome.clone())))
    }

    fn began(&self, delivery: DeliveryId) {
        assert!(self.state.lock().sending.insert(delivery), "one attempt at a time (OB-128)");
    }

    fn settled(&self, delivery: DeliveryId) {
        self.state.lock().sending.remove(&delivery);
    }

    async fn discard(
        &self,
        _: EndpointId,
        _: Timestamp,
        deliveries: &[DeliveryId],
    ) -> Result<Position, PortError> {
        self.refuse()?;
        let appended = deliveries.iter().map(|id| self.append(|_| Entry::Discarded(*id)));
        Ok(appended.last().expect("something to end"))
    }

    async fn disable(
        &self,
        endpoint: EndpointId,
        at: Timestamp,
        reason: DisableReason,
    ) -> Result<(), PortError> {
        self.refuse()?;
        self.change(endpoint, |endpoint| {
            endpoint.enabled = false;
            endpoint.disabled_at = Some(at);
        });
        self.disabled.lock().push((endpoint, at, reason));
        Ok(())
    }
}

/// Time that follows the runtime's, so that it can be paused. Starts at 2026-06-15T12:00:00Z.
pub struct RuntimeClock(Instant);

impl RuntimeClock {
    pub fn new() -> Self {
        Self(Instant::now())
    }

    pub fn now_millis(&self) -> i64 {
        self.now().0
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_781_524_800_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

/// No jitter at all: the middle of every range.
pub struct Middle;

impl Random for Middle {
    fn unit(&self) -> f64 {
        0.5
    }
}
