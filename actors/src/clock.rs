//! Where the engine's time comes from.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use mainspring_schemas::Timestamp;

/// The engine's time.
pub trait Clock: Send + Sync + 'static {
    /// The current instant. Never goes backwards.
    fn now(&self) -> Timestamp;

    /// Whether time passes by itself, so that timers must be waited for; otherwise somebody advances it.
    fn is_live(&self) -> bool;
}

/// How soon it is noticed that a clock jumped, or that the machine slept.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// Waits until so much time has passed, on the machine's timer or on the clock: a clock that jumps takes the wait along
/// (BK-151).
pub(crate) async fn pass(clock: &dyn Clock, time: Duration) {
    let until = clock.now().plus(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    let mut left = time;
    while !left.is_zero() && clock.now() < until {
        let step = left.min(TICK);
        tokio::time::sleep(step).await;
        left -= step;
    }
}

/// The machine's clock; a step backwards is waited out instead of shown (LV-15).
#[derive(Debug, Default)]
pub struct SystemClock {
    newest: AtomicI64,
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for the time")]
    fn now(&self) -> Timestamp {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.newest.fetch_max(now, Ordering::Relaxed).max(now))
    }

    fn is_live(&self) -> bool {
        true
    }
}

/// A clock that stands still until it is advanced: imports on the data's own clock, and tests.
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { now: AtomicI64::new(now.0) }
    }

    /// Moves the clock to `now`, never backwards.
    pub fn advance_to(&self, now: Timestamp) {
        self.now.fetch_max(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn is_live(&self) -> bool {
        false
    }
}
