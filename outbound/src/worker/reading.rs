//! How far the queue has been read for one lane, and how much to read next.

use mainspring_schemas::{ContactId, Timestamp};

use super::load::{Plan, Rows};
use crate::ports::{FirstAfter, Position, QueuedDelivery, RetryAfter, Wanted};

/// Rows read at once: a lane that empties a page within a second gets a bigger one, another a smaller one, so that
/// the bodies of a thousand hanging endpoints do not fill the memory.
const PAGE: std::ops::RangeInclusive<usize> = 16..=512;

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
        self.mark();
    }

    /// The delivery of a contact is settled as of a position.
    pub(super) fn free(&mut self, position: Position, contact: ContactId) {
        self.freed.push((position, contact));
    }

    /// Whether a contact's next delivery waits for the queue to get so far.
    pub(super) fn has_freed(&self) -> bool {
        !self.freed.is_empty()
    }

    /// What to read now, if anything.
    pub(super) fn plan(
        &mut self,
        wanted: Wanted,
        buffered: usize,
        now: Timestamp,
        position: Position,
    ) -> Option<Plan> {
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
        Some(Plan { wanted, first_after, retry_after, page, freed, standing: false })
    }

    /// Whether a page was asked for as it would be now.
    pub(super) fn begun_by(&self, plan: &Plan) -> bool {
        plan.first_after == self.first_after && plan.retry_after == self.retry_after
    }

    /// Notes how far a page got.
    pub(super) fn advance(&mut self, plan: &Plan, rows: &Rows) {
        let full = |rows: &[QueuedDelivery]| rows.len() >= plan.page;
        let (full_first, full_retries) = (full(&rows.first), full(&rows.retries));
        if let Some(last) = rows.first.last() {
            self.first_after = Some(FirstAfter(last.position, last.id));
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
    }
}
