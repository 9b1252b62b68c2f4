//! What waits for the writer.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::{Append, AppendError, OnDurable};

/// One submission.
pub(super) enum Waiting {
    /// To be written.
    Append {
        append: Append,
        /// Length of its frame.
        length: usize,
        on_durable: OnDurable,
    },
    /// Only to be answered, from the writer's thread as every answer is.
    Refused { error: AppendError, on_durable: OnDurable },
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    bytes: usize,
    closing: bool,
    gone: bool,
}

/// The queue between callers and the writer.
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    limit: usize,
}

/// Memory an append takes besides what its frame will hold.
const OVERHEAD: usize = 256;

impl Queue {
    pub fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), arrived: Condvar::new(), limit }
    }

    /// Puts a submission at the end; an append that finds the queue full is put there as refused.
    ///
    /// Gives the callback back if no writer is there any more.
    pub fn push(&self, item: Waiting) -> Result<(), OnDurable> {
        let mut state = self.state.lock();
        if state.closing || state.gone {
            return Err(match item {
                Waiting::Append { on_durable, .. } | Waiting::Refused { on_durable, .. } => on_durable,
            });
        }
        let mut dropped = None;
        let item = match item {
            Waiting::Append { append, length, on_durable } => {
                let bytes = length + OVERHEAD;
                if state.bytes > 0 && state.bytes + bytes > self.limit {
                    dropped = Some(append);
                    let error =
                        AppendError::Unavailable(Arc::from("too many appends are waiting for the disk"));
                    Waiting::Refused { error, on_durable }
                } else {
                    state.bytes += bytes;
                    Waiting::Append { append, length, on_durable }
                }
            }
            refused @ Waiting::Refused { .. } => refused,
        };
        state.waiting.push(item);
        drop(state);
        self.arrived.notify_one();
        drop(dropped);
        Ok(())
    }

    /// Waits for submissions and takes all of them, leaving an empty vector's memory in their place; `false` = closed
    /// and nothing is left.
    pub fn take(&self, into: &mut Vec<Waiting>) -> bool {
        into.clear();
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.closing {
                state.gone = true;
                return false;
            }
            self.arrived.wait(&mut state);
        }
        std::mem::swap(&mut state.waiting, into);
        state.bytes = 0;
        true
    }

    /// Lets the writer finish what is there and go.
    pub fn close(&self) {
        self.state.lock().closing = true;
        self.arrived.notify_all();
    }

    /// Answers nothing that waits, by dropping it: the writer is gone.
    pub fn abandon(&self) {
        let mut state = self.state.lock();
        state.gone = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop(waiting);
    }
}
