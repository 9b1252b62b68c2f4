//! Decoded records between the thread that reads the log and the one that writes the tables.

use std::{collections::VecDeque, time::Duration};

use parking_lot::{Condvar, Mutex};

use crate::{error::Result, step::Step};

/// What may wait, in records and deliveries: enough that reading never stands still during a commit.
const WAITING: usize = 16_384;

/// A bounded queue of batches.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Result<Vec<Step>>>,
    weight: usize,
    closed: bool,
}

impl Backlog {
    /// Adds a batch, or why there is none; waits for room. `false` if it is closed.
    pub fn push(&self, batch: Result<Vec<Step>>) -> bool {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| state.weight >= WAITING && !state.closed);
        if state.closed {
            return false;
        }
        state.weight += batch.as_ref().map_or(0, |steps| weight(steps));
        state.batches.push_back(batch);
        self.changed.notify_all();
        true
    }

    /// Takes whole batches until at least `enough` records and deliveries are there, or no more wait; nothing if nothing came
    /// within `patience`, and `None` if it is closed and empty.
    pub fn take(&self, enough: usize, patience: Duration) -> Result<Option<Vec<Step>>> {
        let mut state = self.state.lock();
        let nothing = |state: &mut State| state.batches.is_empty() && !state.closed;
        self.changed.wait_while_for(&mut state, nothing, patience);
        if state.batches.is_empty() && state.closed {
            return Ok(None);
        }
        let (mut steps, mut taken) = (Vec::new(), 0);
        while taken < enough {
            // What came before an error is written first.
            if !steps.is_empty() && matches!(state.batches.front(), Some(Err(_))) {
                break;
            }
            let Some(batch) = state.batches.pop_front() else { break };
            let batch = batch?;
            let weight = weight(&batch);
            state.weight -= weight;
            taken += weight;
            match steps.is_empty() {
                true => steps = batch,
                false => steps.extend(batch),
            }
        }
        self.changed.notify_all();
        Ok(Some(steps))
    }

    /// Waits for a while, or until it is closed.
    pub fn pause(&self, time: Duration) {
        let mut state = self.state.lock();
        self.changed.wait_while_for(&mut state, |state| !state.closed, time);
    }

    /// Nothing is added any more; what waits can still be taken.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// Closes it when the guard is dropped, whatever ends a thread.
    pub fn close_at_end(&self) -> impl Drop {
        Closing(self)
    }
}

fn weight(steps: &[Step]) -> usize {
    steps.iter().map(|step| 1 + step.deliveries.len()).sum()
}

struct Closing<'a>(&'a Backlog);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
