//! How far the queue has been read for one lane, and how much to read next.

use std::collections::VecDeque;

use mainspring_schemas::{ContactId, Timestamp};

use super::{
    arrivals::Arrivals,
    load::{Plan, Rows},
};
use crate::ports::{FirstAfter, Position, QueuedDelivery, RetryAfter, Wanted};

/// Rows read at once: a lane that empties a page within a second gets a bigger one, another a smaller one, so that
/// the bodies of a thousand hanging endpoints do not fill the memory.
const PAGE: std::ops::RangeInclusive<usize> = 16..=512;

/// How many pages of deliveries a lane holds that came directly.
const PAGES_AHEAD: usize = 4;

/// How large the bodies may be that a lane holds before nothing more comes directly.
const BYTES_AHEAD: usize = 1 << 20;

/// What has been read, and what may be left.
#[derive(Debug)]
pub(super) struct Reading {
    /// A question is open; only one is at a time, because claims are forgotten only in between.
    pub under_way: bool,
    /// There may be rows that were not read.
    more: bool,
    /// Something changed since the current pass over the retries began, so another one is due.
    changed: bool,
    first_after: Option<FirstAfter>,
    retry_after: Option<RetryAfter>,
    arrivals: Arrivals,
    /// Until the queue shows the record at this position, what it shows is not to be acted on.
    not_before: Option<Position>,
    /// How often it started over: what was asked for before does not count.
    generation: u64,
    page: usize,
    page_was_full: bool,
    began: Timestamp,
    /// Contacts whose delivery is settled, with where that stands in the log: the next may follow.
    freed: Vec<(Position, ContactId)>,
}

impl Reading {
    pub(super) fn new() -> Self {
        Self {
            under_way: false,
            more: false,
            changed: false,
            first_after: None,
            retry_after: None,
            arrivals: Arrivals::default(),
            not_before: None,
            generation: 0,
            page: *PAGE.start(),
            page_was_full: false,
            began: Timestamp(0),
            freed: Vec::new(),
        }
    }

    /// The queue may hold something new.
    pub(super) fn mark(&mut self) {
        self.more = true;
        self.changed = true;
    }

    /// Everything is to be read again from the start.
    pub(super) fn start_over(&mut self) {
        self.first_after = None;
        self.retry_after = None;
        self.freed.clear();
        self.arrivals.start_over();
        self.generation += 1;
        self.mark();
    }

    /// A delivery came to be. It is given back if it comes next; `takes` says whether the lane sends whatever comes,
    /// `buffered` how many it holds, and `bytes` how large these are.
    pub(super) fn offer(
        &mut self,
        delivery: QueuedDelivery,
        takes: bool,
        buffered: usize,
        bytes: usize,
    ) -> Option<QueuedDelivery> {
        let takes = takes && bytes + self.arrivals.bytes() < BYTES_AHEAD;
        let room = if takes { (PAGES_AHEAD * self.page).saturating_sub(buffered) } else { 0 };
        let next = self.arrivals.offer(delivery, room)?;
        let after = FirstAfter(next.position, next.id);
        if self.first_after.is_some_and(|first_after| after <= first_after) {
            return None;
        }
        self.first_after = Some(after);
        Some(next)
    }

    /// Deliveries up to a position are to be found in the queue.
    pub(super) fn miss(&mut self, position: Position) {
        self.arrivals.miss(position);
    }

    /// Whether the queue has everything by now that was left to it.
    pub(super) fn can_read_missed(&self, position: Position) -> bool {
        self.arrivals.can_be_read(position)
    }

    /// Whether anything that waits for reading to come so far is of this sort.
    pub(super) fn any_ahead(&self, sort: impl FnMut(&QueuedDelivery) -> bool) -> bool {
        self.arrivals.any(sort)
    }

    /// Everything is to be read again from the start, when the queue shows the record at a position.
    pub(super) fn start_over_after(&mut self, position: Position) {
        self.not_before = self.not_before.max(Some(position));
        self.start_over();
    }

    /// The delivery of a contact is settled as of a position.
    pub(super) fn free(&mut self, position: Position, contact: ContactId) {
        self.freed.push((position, contact));
    }

    /// Whether something waits for the queue to get further.
    pub(super) fn waits_for_queue(&self) -> bool {
        !self.freed.is_empty() || self.arrivals.waits() || self.not_before.is_some()
    }

    /// What to read now, if anything.
    pub(super) fn plan(
        &mut self,
        wanted: Wanted,
        buffered: usize,
        now: Timestamp,
        position: Position,
    ) -> Option<Plan> {
        self.not_before = self.not_before.filter(|not_before| *not_before >= position);
        if self.not_before.is_some() {
            return None;
        }
        let ready = |freed: &&(Position, ContactId)| freed.0 <= position;
        let anything = self.more || self.freed.iter().any(|freed| ready(&freed));
        if !anything || buffered > self.page / 2 {
            return None;
        }
        if self.page_was_full {
            let quick = now.since(self.began) < 1_000;
            let page = if quick { self.page * 2 } else { self.page / 2 };
            self.page = page.clamp(*PAGE.start(), *PAGE.end());
        }
        if self.retry_after.is_none() {
            self.changed = false;
        }
        self.under_way = true;
        self.began = now;
        let freed = self.freed.iter().filter(ready).take(self.page).map(|(_, contact)| *contact).collect();
        let (first_after, retry_after, page) = (self.first_after, self.retry_after, self.page);
        let (shown, generation) = (position, self.generation);
        Some(Plan { wanted, first_after, retry_after, page, freed, standing: false, shown, generation })
    }

    /// Whether a page was asked for as it would be now.
    pub(super) fn begun_by(&self, plan: &Plan) -> bool {
        plan.generation == self.generation
    }

    /// Notes how far a page got. Returns the deliveries behind it that came directly.
    pub(super) fn advance(&mut self, plan: &Plan, rows: &Rows) -> VecDeque<QueuedDelivery> {
        let rows_are_cut = rows.cut_short;
        let full = |rows: &[QueuedDelivery]| rows.len() >= plan.page || rows_are_cut;
        let (full_first, full_retries) = (full(&rows.first), full(&rows.retries));
        if let Some(last) = rows.first.last() {
            self.first_after = self.first_after.max(Some(FirstAfter(last.position, last.id)));
        }
        let last_retry = rows.retries.last().map(|last| RetryAfter(last.due_at, last.id));
        self.retry_after = if full_retries { last_retry } else { None };
        self.page_was_full = full_first || full_retries;
        self.more = self.page_was_full || self.changed;
        // Freed anew meanwhile, a contact stands here twice: only the one that was answered goes.
        for contact in &plan.freed {
            if let Some(place) = self.freed.iter().position(|(_, freed)| freed == contact) {
                self.freed.remove(place);
            }
        }
        if full_first {
            return VecDeque::new();
        }
        let ahead = self.arrivals.caught_up(plan.shown, plan.wanted == Wanted::All);
        if let Some(last) = ahead.back() {
            self.first_after = self.first_after.max(Some(FirstAfter(last.position, last.id)));
        }
        ahead
    }
}
