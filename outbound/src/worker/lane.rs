//! One endpoint's deliveries as far as the worker holds them: what is read, in flight, recorded, held or blocked.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet, VecDeque},
};

use mainspring_schemas::{DeliveryId, Timestamp, catalog::WEBHOOK_TEST, event::delivery::AttemptResult};

use super::{
    attempt::{Made, RecordedAt},
    load::{Page, Plan},
    slots::Claimant,
};
use crate::{
    outcome::Health,
    ports::{FirstAfter, Position, QueuedDelivery, RetryAfter, Wanted},
};

/// An attempt that takes this long makes its endpoint a slow one, in milliseconds.
const SLOW_MS: i64 = 1_000;

/// Rows read at once: a lane that empties a page within a second gets a bigger one, another a smaller one, so that
/// the bodies of a thousand hanging endpoints do not fill the memory.
const PAGE: std::ops::RangeInclusive<usize> = 16..=512;

/// What may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Everything.
    Open,
    /// Only tests: the endpoint is disabled or its kind unknown; the rest is held (OB-88, OB-204).
    TestsOnly,
    /// Nothing: there is no such endpoint.
    Closed,
}

/// The deliveries of one endpoint.
#[derive(Debug)]
pub(super) struct Lane {
    gate: Gate,
    first: VecDeque<QueuedDelivery>,
    retries: VecDeque<QueuedDelivery>,
    retries_turn: bool,
    claims: HashSet<DeliveryId>,
    recorded: BinaryHeap<Reverse<RecordedAt>>,
    /// When each attempt in flight began.
    began: Vec<Timestamp>,
    consecutive_failures: u32,
    last_was_slow: bool,
    blocked_until: Option<Timestamp>,
    next_retry: Option<Timestamp>,
    reading: Reading,
    /// It answered 410 and is about to be disabled.
    pub disabling: bool,
    /// Whether it stands in a line for slots.
    pub queued: bool,
    /// The alarm set for it.
    pub alarm: Option<Timestamp>,
}

/// How far the queue has been read.
#[derive(Debug)]
struct Reading {
    under_way: bool,
    /// There may be rows that were not read.
    more: bool,
    /// Something changed since the current pass over the retries began, so another one is due.
    changed: bool,
    first_after: Option<FirstAfter>,
    retry_after: Option<RetryAfter>,
    page: usize,
    page_was_full: bool,
    began: Timestamp,
}

impl Lane {
    pub(super) fn new() -> Self {
        Self {
            gate: Gate::Open,
            first: VecDeque::new(),
            retries: VecDeque::new(),
            retries_turn: false,
            claims: HashSet::new(),
            recorded: BinaryHeap::new(),
            began: Vec::new(),
            consecutive_failures: 0,
            last_was_slow: false,
            blocked_until: None,
            next_retry: None,
            reading: Reading {
                under_way: false,
                more: false,
                changed: false,
                first_after: None,
                retry_after: None,
                page: *PAGE.start(),
                page_was_full: false,
                began: Timestamp(0),
            },
            disabling: false,
            queued: false,
            alarm: None,
        }
    }

    /// The queue may hold something new.
    pub(super) fn mark(&mut self) {
        self.reading.more = true;
        self.reading.changed = true;
    }

    /// Lets other deliveries pass than before: what was read and may not pass goes back to the queue.
    pub(super) fn set_gate(&mut self, gate: Gate) {
        if self.gate == gate {
            return;
        }
        self.gate = gate;
        for delivery in self.first.drain(..).chain(self.retries.drain(..)) {
            self.claims.remove(&delivery.id);
        }
        self.reading.first_after = None;
        self.reading.retry_after = None;
        self.mark();
    }

    fn wanted(&self) -> Wanted {
        if self.gate == Gate::Open { Wanted::All } else { Wanted::TestsOnly }
    }

    fn buffered(&self) -> usize {
        self.first.len() + self.retries.len()
    }

    /// What to read now, if anything. The caller reads it and hands it to [`absorb`](Self::absorb).
    pub(super) fn plan(&mut self, now: Timestamp, position: Position) -> Option<Plan> {
        let reading = &mut self.reading;
        if reading.under_way {
            return None;
        }
        while self.recorded.peek().is_some_and(|Reverse((recorded, _))| *recorded <= position) {
            if let Some(Reverse((_, delivery))) = self.recorded.pop() {
                self.claims.remove(&delivery);
            }
        }
        let buffered = self.first.len() + self.retries.len();
        let blocked = self.blocked_until.is_some_and(|until| now < until);
        if !reading.more || blocked || self.gate == Gate::Closed || buffered > reading.page / 2 {
            return None;
        }
        if reading.page_was_full {
            let quick = now.since(reading.began) < 1_000;
            let page = if quick { reading.page * 2 } else { reading.page / 2 };
            reading.page = page.clamp(*PAGE.start(), *PAGE.end());
        }
        if reading.retry_after.is_none() {
            reading.changed = false;
        }
        reading.under_way = true;
        reading.began = now;
        let (first_after, retry_after, page) = (reading.first_after, reading.retry_after, reading.page);
        Some(Plan { wanted: self.wanted(), first_after, retry_after, page })
    }

    /// Takes over what was read; `None` if reading failed.
    pub(super) fn absorb(&mut self, page: Option<Page>) {
        let wanted = self.wanted();
        let reading = &mut self.reading;
        reading.under_way = false;
        let Some(page) = page else { return self.mark() };
        let begun_like_this = page.plan.wanted == wanted
            && page.plan.first_after == reading.first_after
            && page.plan.retry_after == reading.retry_after;
        if !begun_like_this || self.gate == Gate::Closed {
            return self.mark();
        }
        let full = |rows: &[QueuedDelivery]| rows.len() >= page.plan.page;
        let (full_first, full_retries) = (full(&page.first), full(&page.retries));
        if let Some(last) = page.first.last() {
            reading.first_after = Some(FirstAfter(last.position, last.id));
        }
        let last_retry = page.retries.last().map(|last| RetryAfter(last.due_at, last.id));
        reading.retry_after = if full_retries { last_retry } else { None };
        reading.page_was_full = full_first || full_retries;
        reading.more = reading.page_was_full || reading.changed;
        self.first.extend(page.first.into_iter().filter(|delivery| self.claims.insert(delivery.id)));
        self.retries.extend(page.retries.into_iter().filter(|delivery| self.claims.insert(delivery.id)));
        self.expect_retry(page.next_retry);
    }

    fn expect_retry(&mut self, at: Option<Timestamp>) {
        self.next_retry = match (self.next_retry, at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    /// How it stands in the competition for slots.
    pub(super) fn claimant(&self, now: Timestamp) -> Claimant {
        let waiting = self.began.iter().any(|began| now.since(*began) >= SLOW_MS);
        Claimant {
            in_flight: self.began.len(),
            consecutive_failures: self.consecutive_failures,
            slow: self.last_was_slow || waiting,
        }
    }

    /// Whether it has anything to send at `now`.
    pub(super) fn has_work(&self, now: Timestamp) -> bool {
        self.buffered() > 0 && self.blocked_until.is_none_or(|until| until <= now)
    }

    /// The next delivery to attempt: first attempts in log order (OB-131), alternating with retries, so that neither
    /// a backlog of the one nor of the other holds everything up.
    pub(super) fn begin(&mut self, now: Timestamp) -> Option<QueuedDelivery> {
        self.retries_turn = !self.retries_turn;
        let delivery = if self.retries_turn {
            self.retries.pop_front().or_else(|| self.first.pop_front())
        } else {
            self.first.pop_front().or_else(|| self.retries.pop_front())
        }?;
        debug_assert!(self.gate == Gate::Open || delivery.event_type == WEBHOOK_TEST);
        self.began.push(now);
        Some(delivery)
    }

    /// An attempt is over. What it says about the endpoint holds at once, before it is recorded.
    pub(super) fn end(&mut self, made: &Made) {
        if let Some(index) = self.began.iter().position(|began| *began == made.began) {
            self.began.swap_remove(index);
        }
        self.last_was_slow = made.attempted.at.since(made.began) >= SLOW_MS;
        if let AttemptResult::Retry { next_at } = made.attempted.result {
            self.expect_retry(Some(next_at));
        }
        if made.test {
            return;
        }
        self.blocked_until = self.blocked_until.max(made.outcome.endpoint_blocked_until);
        match made.outcome.health {
            Health::Success => self.consecutive_failures = 0,
            Health::Failure => self.consecutive_failures = self.consecutive_failures.saturating_add(1),
            Health::Gone => self.disabling = true,
            Health::Unchanged => {}
        }
    }

    /// The outcome of a delivery stands in the log; its claim ends when the queue has got so far.
    pub(super) fn recorded(&mut self, delivery: DeliveryId, position: Position) {
        self.recorded.push(Reverse((position, delivery)));
    }

    /// When to look at it again though nothing happens.
    pub(super) fn next_alarm(&self, now: Timestamp) -> Option<Timestamp> {
        match self.blocked_until.filter(|until| now < *until) {
            None if self.gate == Gate::Open => self.next_retry,
            blocked => blocked,
        }
    }

    /// Its alarm rang.
    pub(super) fn ring(&mut self, now: Timestamp) {
        if self.blocked_until.is_some_and(|until| until <= now) {
            self.blocked_until = None;
        }
        if self.next_retry.is_some_and(|at| at <= now) {
            self.next_retry = None;
            self.mark();
        }
    }
}
