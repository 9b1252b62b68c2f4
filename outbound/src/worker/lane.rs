//! One endpoint's deliveries as far as the worker holds them: what is read, in flight, recorded, held or blocked.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet, VecDeque},
};

use mainspring_schemas::{
    ContactId, DeliveryId, Timestamp, catalog::WEBHOOK_TEST, endpoint_health::EndpointHealth,
    event::delivery::AttemptResult, event::endpoint::Ordering,
};

use super::{
    alert::Alert,
    attempt::Made,
    hold::{Ended, HoldPlan},
    load::{Plan, Rows},
    pace::{Pace, SPREAD_MS},
    reading::Reading,
    slots::Claimant,
};
use crate::{
    destination::Registry,
    outcome::Health,
    ports::{DisableReason, Endpoint, Position, QueuedDelivery, Standing, Wanted},
};

/// An attempt that takes this long makes its endpoint a slow one, in milliseconds.
const SLOW_MS: i64 = 1_000;

/// Distance of first attempts to an endpoint that fails quickly, in milliseconds (OB-151).
const SPACING_MS: i64 = 1_000;

/// Operators hear of deliveries that were given up once in so many milliseconds per endpoint (OB-153).
const EXHAUSTED_EVERY_MS: i64 = 3_600_000;

/// What may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// Everything.
    Open,
    /// Everything, one delivery of a contact after another.
    Ordered,
    /// Only tests: the endpoint is disabled or its kind unknown; the rest is held (OB-88, OB-204).
    TestsOnly,
    /// Nothing: there is no such endpoint.
    Closed,
}

impl Gate {
    fn of(endpoint: Option<&Endpoint>, destinations: &Registry, disabling: bool) -> Self {
        match endpoint {
            None => Self::Closed,
            Some(endpoint)
                if !endpoint.enabled || disabling || !destinations.is_registered(&endpoint.settings.kind) =>
            {
                Self::TestsOnly
            }
            Some(endpoint) => match endpoint.settings.ordering {
                Ordering::None => Self::Open,
                Ordering::Contact => Self::Ordered,
            },
        }
    }

    fn wanted(self) -> Wanted {
        match self {
            Self::Open => Wanted::All,
            Self::Ordered => Wanted::Heads,
            Self::TestsOnly | Self::Closed => Wanted::TestsOnly,
        }
    }
}

/// The deliveries of one endpoint.
#[derive(Debug)]
pub(super) struct Lane {
    gate: Gate,
    first: VecDeque<QueuedDelivery>,
    retries: VecDeque<QueuedDelivery>,
    /// How large the bodies of all these are.
    bytes: usize,
    retries_turn: bool,
    claims: HashSet<DeliveryId>,
    /// Positions with the deliveries whose outcomes stand there.
    recorded: BinaryHeap<Reverse<(Position, DeliveryId)>>,
    /// When each attempt in flight began.
    began: Vec<Timestamp>,
    last_was_slow: bool,
    health: EndpointHealth,
    /// Whether `health` is what the log says, and whether the backlog is to be counted.
    standing_known: bool,
    pace: Pace,
    last_first: Option<Timestamp>,
    next_retry: Option<Timestamp>,
    reading: Reading,
    disabled_at: Option<Timestamp>,
    enabled_at: Option<Timestamp>,
    /// When to look at what is held for too long.
    look_at_held: Option<Timestamp>,
    exhausted_told: Option<Timestamp>,
    /// It is about to be disabled.
    pub disabling: bool,
    /// Whether it stands in a line for slots.
    pub queued: bool,
    /// The alarm set for it.
    pub alarm: Option<Timestamp>,
}

impl Lane {
    pub(super) fn new() -> Self {
        Self {
            gate: Gate::Open,
            first: VecDeque::new(),
            retries: VecDeque::new(),
            bytes: 0,
            retries_turn: false,
            claims: HashSet::new(),
            recorded: BinaryHeap::new(),
            began: Vec::new(),
            last_was_slow: false,
            health: EndpointHealth::default(),
            standing_known: false,
            pace: Pace::default(),
            last_first: None,
            next_retry: None,
            reading: Reading::new(),
            disabled_at: None,
            enabled_at: None,
            look_at_held: None,
            exhausted_told: None,
            disabling: false,
            queued: false,
            alarm: None,
        }
    }

    /// A lane that is to be read at once.
    pub(super) fn marked() -> Self {
        let mut lane = Self::new();
        lane.mark();
        lane
    }

    /// The queue may hold something new.
    pub(super) fn mark(&mut self) {
        self.reading.mark();
        if self.disabled_at.is_some() && self.look_at_held.is_none() {
            self.look_at_held = Some(Timestamp(i64::MIN));
        }
    }

    /// Adapts to the endpoint as it is now. When other deliveries may pass than before, what was read and may not pass
    /// goes back to the queue.
    pub(super) fn adapt(&mut self, endpoint: Option<&Endpoint>, destinations: &Registry, now: Timestamp) {
        if let Some(endpoint) = endpoint {
            self.pace.limit(endpoint.settings.rate_limit, now);
            if self.enabled_at != endpoint.enabled_at {
                // Enabling forgets the failures before it (OB-152).
                self.enabled_at = endpoint.enabled_at;
                self.health.clear();
                self.standing_known = false;
            }
        }
        let disabled_at = endpoint.and_then(|endpoint| endpoint.disabled_at);
        if self.disabled_at != disabled_at {
            self.disabled_at = disabled_at;
            self.look_at_held = disabled_at.map(|_| now);
        }
        let gate = Gate::of(endpoint, destinations, self.disabling);
        if self.gate != gate {
            self.gate = gate;
            self.put_back();
        } else if !self.standing_known && self.buffered() > 0 {
            self.put_back();
        }
    }

    /// A delivery came to be: it is taken if it comes next, otherwise the queue has it.
    pub(super) fn arrived(&mut self, delivery: QueuedDelivery) {
        let takes = self.gate == Gate::Open;
        if let Some(next) = self.reading.offer(delivery, takes, self.buffered(), self.bytes)
            && self.claims.insert(next.id)
        {
            self.bytes += next.body.len();
            self.first.push_back(next);
        }
    }

    /// Deliveries up to a position are to be found in the queue.
    pub(super) fn missed(&mut self, position: Position) {
        self.reading.miss(position);
    }

    /// Somebody was erased: what is held about them is to be read again as the queue has it then (OB-163).
    pub(super) fn erased(&mut self, contact: ContactId, position: Position) {
        let about = |delivery: &QueuedDelivery| delivery.contact == Some(contact);
        let held = self.first.iter().chain(&self.retries).any(about) || self.reading.any_ahead(about);
        if held || self.reading.under_way {
            self.put_back();
            self.reading.start_over_after(position);
        }
    }

    fn put_back(&mut self) {
        for delivery in self.first.drain(..).chain(self.retries.drain(..)) {
            self.claims.remove(&delivery.id);
        }
        self.bytes = 0;
        self.reading.start_over();
        let newest = self.recorded.iter().map(|Reverse((recorded, _))| *recorded).max();
        if let Some(newest) = newest.filter(|_| self.gate == Gate::Ordered) {
            // A delivery that has ended would pass for the first one of its contact, and nothing would come after it.
            self.reading.start_over_after(newest.saturating_sub(1));
        }
    }

    fn buffered(&self) -> usize {
        self.first.len() + self.retries.len()
    }

    /// What to read now, if anything. The caller reads it and hands it to [`absorb`](Self::absorb).
    pub(super) fn plan(&mut self, now: Timestamp, position: Position) -> Option<Plan> {
        if self.reading.under_way {
            return None;
        }
        while self.recorded.peek().is_some_and(|Reverse((recorded, _))| *recorded <= position) {
            if let Some(Reverse((_, delivery))) = self.recorded.pop() {
                self.claims.remove(&delivery);
            }
        }
        if self.gate == Gate::Closed || self.health.is_throttled(now) {
            return None;
        }
        if self.reading.can_read_missed(position) {
            self.mark();
        }
        let plan = self.reading.plan(self.gate.wanted(), self.buffered(), now, position)?;
        Some(Plan { standing: !self.standing_known, ..plan })
    }

    /// Takes over what was read; `None` if reading failed.
    pub(super) fn absorb(&mut self, plan: &Plan, rows: Option<Rows>, now: Timestamp) {
        self.reading.under_way = false;
        let Some(rows) = rows else { return self.mark() };
        if let Some(standing) = rows.standing {
            self.learn(standing, now);
        }
        let begun_like_this = plan.wanted == self.gate.wanted() && self.reading.begun_by(plan);
        if !begun_like_this || self.gate == Gate::Closed {
            return self.mark();
        }
        let ahead = self.reading.advance(plan, &rows);
        self.expect_retry(rows.next_retry);
        let (first, retries): (Vec<_>, Vec<_>) =
            rows.next_of_freed.into_iter().partition(|delivery| delivery.attempts + delivery.requeues == 0);
        for delivery in rows.first.into_iter().chain(first).chain(ahead) {
            if self.claims.insert(delivery.id) {
                self.bytes += delivery.body.len();
                self.first.push_back(delivery);
            }
        }
        for delivery in rows.retries.into_iter().chain(retries) {
            if delivery.due_at > now {
                self.expect_retry(Some(delivery.due_at));
            } else if self.claims.insert(delivery.id) {
                self.bytes += delivery.body.len();
                self.retries.push_back(delivery);
            }
        }
    }

    /// Takes over how the endpoint stands.
    fn learn(&mut self, standing: Standing, now: Timestamp) {
        let throttled_until = self.health.throttled_until.max(standing.health.throttled_until);
        // Failures from before it was enabled are forgotten, and those this lane saw itself are in `health` already.
        let since =
            standing.health.failing_since.filter(|since| self.enabled_at.is_none_or(|at| at < *since));
        if since.is_some() && self.health.failing_since.is_none() {
            self.health = standing.health;
        }
        self.health.throttled_until = throttled_until;
        self.standing_known = true;
        let enabled_at =
            self.enabled_at.filter(|at| now.since(*at) < SPREAD_MS && self.disabled_at.is_none());
        if let Some(at) = enabled_at {
            self.pace.spread(at, standing.pending);
        }
    }

    fn expect_retry(&mut self, at: Option<Timestamp>) {
        self.next_retry = sooner(self.next_retry, at);
    }

    /// What to end because it was held for too long, if it is time to look (OB-88).
    pub(super) fn plan_hold(&mut self, now: Timestamp, hold: i64) -> Option<HoldPlan> {
        let disabled_at = self.disabled_at?;
        if self.reading.under_way || self.look_at_held.is_none_or(|at| now < at) {
            return None;
        }
        self.look_at_held = None;
        self.reading.under_way = true;
        Some(HoldPlan { disabled_at, hold, claimed: self.claims.clone() })
    }

    /// Takes over what was ended; `None` if that failed.
    pub(super) fn hold_ended(&mut self, ended: Option<Ended>, now: Timestamp) {
        self.reading.under_way = false;
        if self.disabled_at.is_none() {
            self.look_at_held = None;
        } else {
            let next = ended.as_ref().map_or(Some(now), |ended| ended.next);
            self.look_at_held = sooner(self.look_at_held, next);
        }
        let Some(ended) = ended else { return };
        for delivery in ended.deliveries {
            self.claims.insert(delivery);
            self.recorded.push(Reverse((ended.position, delivery)));
        }
    }

    /// How it stands in the competition for slots.
    pub(super) fn claimant(&self, now: Timestamp) -> Claimant {
        let waiting = self.began.iter().any(|began| now.since(*began) >= SLOW_MS);
        Claimant {
            in_flight: self.began.len(),
            failing: self.health.is_failing(),
            slow: self.last_was_slow || waiting,
        }
    }

    /// From when on a first attempt may be made.
    fn next_first(&self, now: Timestamp) -> Timestamp {
        match self.last_first.filter(|_| self.health.fails_quickly()) {
            Some(last) => last.plus(SPACING_MS),
            None => now,
        }
    }

    /// From when on it has something to send, if it has anything.
    fn next_start(&self, now: Timestamp) -> Option<Timestamp> {
        let sort = match (self.retries.is_empty(), self.first.is_empty()) {
            (false, _) => now,
            (true, false) => self.next_first(now),
            (true, true) => return None,
        };
        let throttled = self.health.throttled_until.unwrap_or(now);
        Some(sort.max(self.pace.next(now)).max(throttled))
    }

    /// Whether it has anything to send at `now`.
    pub(super) fn has_work(&self, now: Timestamp) -> bool {
        self.standing_known && self.next_start(now).is_some_and(|at| at <= now)
    }

    /// The next delivery to attempt: first attempts in log order (OB-131), alternating with retries, so that neither
    /// a backlog of the one nor of the other holds everything up.
    pub(super) fn begin(&mut self, now: Timestamp) -> Option<QueuedDelivery> {
        self.retries_turn = !self.retries_turn;
        let may_be_first = self.next_first(now) <= now;
        let retry = self.retries_turn || self.first.is_empty() || !may_be_first;
        let delivery = if retry && !self.retries.is_empty() {
            self.retries.pop_front()?
        } else {
            self.last_first = Some(now);
            self.first.pop_front()?
        };
        debug_assert!(self.gate != Gate::TestsOnly || delivery.event_type == WEBHOOK_TEST);
        self.bytes = self.bytes.saturating_sub(delivery.body.len());
        self.pace.started(now);
        self.began.push(now);
        Some(delivery)
    }

    /// An attempt is over. What it says about the endpoint holds at once, before it is recorded. Returns what operators
    /// are to be told; `span` is that of OB-152.
    pub(super) fn end(&mut self, made: &Made, span: i64) -> Vec<Alert> {
        if let Some(index) = self.began.iter().position(|began| *began == made.began) {
            self.began.swap_remove(index);
        }
        let attempted = &made.attempted;
        self.last_was_slow = attempted.at.since(made.began) >= SLOW_MS;
        if let AttemptResult::Retry { next_at } = attempted.result {
            self.expect_retry(Some(next_at));
        }
        if made.test {
            return Vec::new();
        }
        let before = self.health;
        self.health.attempted(attempted);
        let mut alerts = Vec::new();
        if attempted.result == AttemptResult::Failed
            && self.exhausted_told.is_none_or(|told| attempted.at.since(told) >= EXHAUSTED_EVERY_MS)
        {
            self.exhausted_told = Some(attempted.at);
            let class = made.outcome.error_class;
            alerts.push(Alert::Exhausted { delivery: attempted.delivery, class });
        }
        let (was, is) = (&before, &self.health);
        let worse = is.is_failing() && !was.is_failing() || is.is_half_way(span) && !was.is_half_way(span);
        let reason = match made.outcome.health {
            Health::Gone => Some(DisableReason::Gone),
            Health::Failure if is.is_beyond_hope(span) => Some(DisableReason::Failing),
            _ => None,
        };
        match reason.filter(|_| !self.disabling) {
            Some(reason) => {
                self.disabling = true;
                alerts.push(Alert::Disabled { reason });
            }
            None if worse => alerts.push(Alert::Failing {
                failures: is.consecutive_failures,
                disables_at: is.disables_at(span),
            }),
            None => {}
        }
        alerts
    }

    /// The outcome of a delivery stands in the log; its claim ends when the queue has got so far, and the contact it was
    /// the last of may have its next one.
    pub(super) fn recorded(&mut self, delivery: DeliveryId, position: Position, freed: Option<ContactId>) {
        self.recorded.push(Reverse((position, delivery)));
        if let Some(contact) = freed.filter(|_| self.gate == Gate::Ordered) {
            self.reading.free(position, contact);
        }
    }

    /// Whether it is to be looked at when the queue gets further, even if nothing of it changed.
    pub(super) fn waits_for_queue(&self) -> bool {
        self.gate != Gate::Closed && self.reading.waits_for_queue()
    }

    /// When to look at it again though nothing happens.
    pub(super) fn next_alarm(&self, now: Timestamp) -> Option<Timestamp> {
        let wake = match self.health.throttled_until.filter(|until| now < *until) {
            Some(until) => Some(until),
            None => {
                let retry = self.next_retry.filter(|_| self.gate.wanted() != Wanted::TestsOnly);
                sooner(retry, self.next_start(now).filter(|at| now < *at))
            }
        };
        // While a question is open, its answer is the occasion to look.
        sooner(wake, self.look_at_held.filter(|_| !self.reading.under_way))
    }

    /// Its alarm rang.
    pub(super) fn ring(&mut self, now: Timestamp) {
        if self.next_retry.is_some_and(|at| at <= now) {
            self.next_retry = None;
            self.reading.mark();
        }
    }
}

fn sooner(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
