//! How the server stops: what it waits for, and for how long (LV-11, CF-49).

use std::time::{Duration, Instant};

use crate::environment::{chosen, duration};

/// What is kept of the grace for closing the log and the read models.
const RESERVE: Duration = Duration::from_secs(2);

/// The times of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Everything must be over within this.
    pub grace: Duration,
    /// So long requests are still taken while load balancers learn that there is an end.
    pub drain: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace: Duration::from_secs(25), drain: Duration::from_secs(5) }
    }
}

impl Shutdown {
    /// Reads `SHUTDOWN_GRACE` and `DRAIN_DELAY`.
    pub fn from_environment() -> anyhow::Result<Self> {
        let read = |name, default: Duration| {
            let millis = chosen(None, name, duration)?;
            anyhow::Ok(millis.map_or(default, |millis| Duration::from_millis(millis.unsigned_abs())))
        };
        let Self { grace, drain } = Self::default();
        let (grace, drain) = (read("SHUTDOWN_GRACE", grace)?, read("DRAIN_DELAY", drain)?);
        Ok(Self { grace, drain: drain.min(grace) })
    }

    /// How long what is under way may take once the delay is over: requests and attempts, at the same time.
    pub fn under_way(&self) -> Duration {
        self.grace.saturating_sub(self.drain).saturating_sub(RESERVE)
    }

    /// What is left of that for attempts at `now`, when the stop began at `began`.
    pub fn left(&self, began: Instant, now: Instant) -> Duration {
        (self.drain + self.under_way()).saturating_sub(now.duration_since(began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cf_49_an_attempt_may_take_its_whole_timeout_and_all_is_over_within_the_grace() {
        let Shutdown { grace, drain } = Shutdown::default();
        let longest_attempt = Duration::from_secs(15);
        assert!(Shutdown::default().under_way() >= longest_attempt);
        let began = Instant::now();
        for (grace, drain) in
            [(grace, drain), (Duration::from_secs(3), Duration::from_secs(3)), (drain, Duration::ZERO)]
        {
            let shutdown = Shutdown { grace, drain };
            let end = shutdown.drain + shutdown.under_way();
            assert!(end <= grace, "{shutdown:?}");
            assert_eq!(shutdown.left(began, began + drain), shutdown.under_way());
            assert_eq!(shutdown.left(began, began + grace + RESERVE), Duration::ZERO);
        }
    }
}
