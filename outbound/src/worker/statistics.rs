//! Counters of a worker, for operators and benchmarks. Without ids: they may become labels.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use hdrhistogram::Histogram;
use mainspring_schemas::event::delivery::AttemptResult;
use parking_lot::Mutex;
use tokio::time::Duration;

/// Live counters.
pub(super) struct Statistics {
    started: AtomicU64,
    delivered: AtomicU64,
    retried: AtomicU64,
    failed: AtomicU64,
    recorded: AtomicU64,
    in_flight: AtomicI64,
    port_errors: AtomicU64,
    latencies: Mutex<Histogram<u64>>,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Attempts begun.
    pub started: u64,
    /// Attempts that delivered.
    pub delivered: u64,
    /// Attempts after which another follows.
    pub retried: u64,
    /// Attempts after which none follows: dead letters.
    pub failed: u64,
    /// Outcomes the log has.
    pub recorded: u64,
    /// Attempts under way.
    pub in_flight: u64,
    /// Calls of the queue or the log that failed and were or will be repeated.
    pub port_errors: u64,
    /// How long attempts took.
    pub latencies: Latencies,
}

/// Durations of attempts in microseconds, to two digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// Median.
    pub p50: u64,
    /// 95th percentile.
    pub p95: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Longest.
    pub max: u64,
}

impl Default for Statistics {
    fn default() -> Self {
        Self {
            started: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            recorded: AtomicU64::new(0),
            in_flight: AtomicI64::new(0),
            port_errors: AtomicU64::new(0),
            latencies: Mutex::new(empty_histogram()),
        }
    }
}

#[expect(clippy::expect_used, reason = "two digits are always in range")]
fn empty_histogram() -> Histogram<u64> {
    Histogram::new(2).expect("two digits are in range")
}

impl Statistics {
    pub(super) fn attempt_started(&self) {
        self.started.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(super) fn attempt_ended(&self, result: &AttemptResult, took: Duration) {
        self.in_flight.fetch_sub(1, Relaxed);
        let counter = match result {
            AttemptResult::Delivered => &self.delivered,
            AttemptResult::Retry { .. } => &self.retried,
            AttemptResult::Failed => &self.failed,
        };
        counter.fetch_add(1, Relaxed);
        // A histogram that grows takes every value; one it cannot take would only be missing from the figures.
        let _ = self.latencies.lock().record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn outcome_recorded(&self) {
        self.recorded.fetch_add(1, Relaxed);
    }

    pub(super) fn port_failed(&self) {
        self.port_errors.fetch_add(1, Relaxed);
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let latencies = self.latencies.lock();
        let at = |quantile| latencies.value_at_quantile(quantile);
        Snapshot {
            started: self.started.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            retried: self.retried.load(Relaxed),
            failed: self.failed.load(Relaxed),
            recorded: self.recorded.load(Relaxed),
            in_flight: u64::try_from(self.in_flight.load(Relaxed)).unwrap_or(0),
            port_errors: self.port_errors.load(Relaxed),
            latencies: Latencies { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: latencies.max() },
        }
    }
}
