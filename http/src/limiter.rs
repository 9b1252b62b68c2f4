//! A sliding window per key. A refused request costs nothing, and the wait that is named is the real one (RL-07, RL-10).

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{auth::Budget, error::ApiError};

const WINDOW: Duration = Duration::from_secs(60);

/// Keys remembered before idle ones are dropped.
const MANY_KEYS: usize = 10_000;

/// Counts requests per key over the last minute.
pub(crate) struct Limiter {
    limit: Option<u32>,
    taken: Mutex<HashMap<String, VecDeque<Instant>>>,
}

impl Limiter {
    pub fn new(limit: Option<u32>) -> Self {
        Self { limit, taken: Mutex::default() }
    }

    /// Takes a slot for `key`; returns what is left, `None` without a limit.
    pub fn take(&self, key: &str, now: Instant) -> Result<Option<Budget>, ApiError> {
        let Some(limit) = self.limit else { return Ok(None) };
        let mut all = self.taken.lock();
        if all.len() > MANY_KEYS {
            all.retain(|_, taken| taken.back().is_some_and(|last| now.duration_since(*last) < WINDOW));
        }
        let taken = all.entry(key.to_owned()).or_default();
        room(taken, limit, now)?;
        taken.push_back(now);
        Ok(Some(Budget { limit, remaining: limit - taken.len() as u32, reset: WINDOW.as_secs() }))
    }
}

/// Forgets what is over, and says when there is a slot if there is none.
fn room(taken: &mut VecDeque<Instant>, limit: u32, now: Instant) -> Result<(), ApiError> {
    while taken.front().is_some_and(|first| now.duration_since(*first) >= WINDOW) {
        taken.pop_front();
    }
    if (taken.len() as u64) < u64::from(limit) {
        return Ok(());
    }
    let until_free = |taken: Option<&Instant>| {
        let wait = taken.map_or(WINDOW, |at| WINDOW.saturating_sub(now.duration_since(*at)));
        wait.as_millis().div_ceil(1000).max(1) as u64
    };
    let (retry_after, reset) = (until_free(taken.front()), until_free(taken.back()));
    Err(ApiError::Limited { limit, retry_after, reset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rl_10_refused_requests_cost_nothing_and_the_wait_is_exact() {
        let limiter = Limiter::new(Some(2));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let left =
            |second| limiter.take("k", at(second)).unwrap().map(|budget| (budget.limit, budget.remaining));
        assert_eq!(left(0), Some((2, 1)));
        assert_eq!(left(10), Some((2, 0)));
        for second in 11..60 {
            let refused = limiter.take("k", at(second)).unwrap_err();
            assert!(
                matches!(refused, ApiError::Limited { retry_after, reset, .. } if retry_after == 60 - second && reset == 70 - second)
            );
        }
        assert!(limiter.take("other", at(30)).is_ok(), "RL-08");
        assert_eq!(left(60), Some((2, 0)));
    }
}
