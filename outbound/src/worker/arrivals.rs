//! New deliveries of one lane that come directly, before the queue shows them.
//!
//! A lane either *follows*: everything before has been read, so what arrives comes next. Or it is behind: what arrives
//! is kept until reading has come so far, or left to the queue if that is too much.

use std::collections::VecDeque;

use crate::ports::{Position, QueuedDelivery};

/// What became of the deliveries that came directly.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    following: bool,
    /// What arrived while reading was behind, without a gap up to the newest.
    ahead: VecDeque<QueuedDelivery>,
    /// How large their bodies are.
    bytes: usize,
    /// Up to here deliveries came that were not kept: the queue has them.
    missed: Option<Position>,
    /// The newest that came.
    newest: Option<Position>,
    /// What the log says below this was read from the queue, to the last row.
    read_to: Position,
}

impl Arrivals {
    /// A delivery came to be. It is given back if it comes next; otherwise it is kept, if there is `room` for so many.
    pub(super) fn offer(&mut self, delivery: QueuedDelivery, room: usize) -> Option<QueuedDelivery> {
        let position = delivery.position;
        if position < self.read_to {
            // The queue was read since, and knows better what became of it.
            return None;
        }
        self.newest = Some(position);
        if room == 0 || self.ahead.len() >= room {
            self.miss(position);
        } else if self.following {
            return Some(delivery);
        } else {
            self.bytes += delivery.body.len();
            self.ahead.push_back(delivery);
        }
        None
    }

    /// Deliveries up to a position are to be found in the queue.
    pub(super) fn miss(&mut self, position: Position) {
        self.fall_behind();
        self.newest = self.newest.max(Some(position));
        self.missed = self.newest;
    }

    /// The lane reads the queue again from the start.
    pub(super) fn start_over(&mut self) {
        self.fall_behind();
        self.missed = self.newest;
        self.read_to = 0;
    }

    fn fall_behind(&mut self) {
        self.following = false;
        self.ahead.clear();
        self.bytes = 0;
    }

    /// How large the bodies are that it keeps.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the queue must get further before everything can be read.
    pub(super) fn waits(&self) -> bool {
        self.missed.is_some()
    }

    /// Whether a queue that shows what the log says below `shown` has everything that was left to it.
    pub(super) fn can_be_read(&self, shown: Position) -> bool {
        self.missed.is_some_and(|missed| missed < shown)
    }

    /// First attempts were read to the last row, from a queue that shows what the log says below `shown`. Returns what
    /// comes next; `follows` says whether the lane takes what arrives.
    pub(super) fn caught_up(&mut self, shown: Position, follows: bool) -> VecDeque<QueuedDelivery> {
        if self.missed.is_some_and(|missed| missed >= shown) {
            return VecDeque::new();
        }
        self.missed = None;
        self.read_to = self.read_to.max(shown);
        self.following = follows;
        self.bytes = 0;
        let mut ahead = std::mem::take(&mut self.ahead);
        // What the queue showed already stands in it as it is now.
        ahead.retain(|delivery| follows && delivery.position >= shown);
        ahead
    }

    /// Whether anything kept is about somebody.
    pub(super) fn any(&self, mut about: impl FnMut(&QueuedDelivery) -> bool) -> bool {
        self.ahead.iter().any(&mut about)
    }
}
