//! What the parts of the demo count, and the newest transitions in words.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

/// Transitions that are shown.
const NEWEST: usize = 6;

/// Counters of the customers' side and the receiver's side.
#[derive(Debug)]
pub struct Figures(Mutex<Counts>);

/// The counters at one moment.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Events that were acknowledged.
    pub acknowledged: u64,
    /// Requests that were not.
    pub refused: u64,
    /// How long requests took, in microseconds.
    pub latencies: Histogram<u64>,
    /// Webhooks whose signature was right.
    pub verified: u64,
    /// Webhooks whose signature was wrong.
    pub rejected: u64,
    /// Webhooks that had come before.
    pub repeated: u64,
    /// Messages seen so far.
    messages: HashSet<String>,
    /// The newest transitions.
    pub transitions: VecDeque<String>,
}

impl Figures {
    /// Nothing has happened yet.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(Mutex::new(Counts {
            acknowledged: 0,
            refused: 0,
            latencies: Histogram::new(3)?,
            verified: 0,
            rejected: 0,
            repeated: 0,
            messages: HashSet::new(),
            transitions: VecDeque::new(),
        })))
    }

    /// A request was answered.
    pub fn answered(&self, acknowledged: bool, took: Duration) {
        let mut counts = self.0.lock();
        if acknowledged {
            counts.acknowledged += 1;
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            counts.latencies.saturating_record(micros.max(1));
        } else {
            counts.refused += 1;
        }
    }

    /// A webhook came whose signature was right.
    pub fn verified(&self, message: &str, transition: Option<String>) {
        let mut counts = self.0.lock();
        counts.verified += 1;
        if !counts.messages.insert(message.to_owned()) {
            counts.repeated += 1;
            return;
        }
        if let Some(transition) = transition {
            counts.transitions.push_front(transition);
            counts.transitions.truncate(NEWEST);
        }
    }

    /// A webhook came whose signature was wrong.
    pub fn rejected(&self) {
        self.0.lock().rejected += 1;
    }

    /// Looks at the counters.
    pub fn read<T>(&self, look: impl FnOnce(&Counts) -> T) -> T {
        look(&self.0.lock())
    }
}
