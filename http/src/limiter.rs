//! A sliding window per key. A refused request costs nothing, and the wait that is named is the real one (RL-07, RL-10).

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::error::ApiError;

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

    /// Takes a slot for `key`; returns limit and slots left, `None` without a limit.
    pub fn take(&self, key: &str, now: Instant) -> Result<Option<(u32, u32)>, ApiError> {
        let Some(limit) = self.limit else { return Ok(None) };
        let mut all = self.taken.lock();
        if all.len() > MANY_KEYS {
            all.retain(|_, taken| taken.back().is_some_and(|last| now.duration_since(*last) < WINDOW));
        }
        let taken = all.entry(key.to_owned()).or_default();
        while taken.front().is_some_and(|first| now.duration_since(*first) >= WINDOW) {
            taken.pop_front();
        }
        if taken.len() as u64 >= u64::from(limit) {
            let wait =
                taken.front().map_or(WINDOW, |first| WINDOW.saturating_sub(now.duration_since(*first)));
            return Err(ApiError::Limited {
                limit,
                retry_after: wait.as_millis().div_ceil(1000).max(1) as u64,
            });
        }
        taken.push_back(now);
        Ok(Some((limit, limit - taken.len() as u32)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rl_10_refused_requests_cost_nothing_and_the_wait_is_exact() {
        let limiter = Limiter::new(Some(2));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(limiter.take("k", at(0)).unwrap(), Some((2, 1)));
        assert_eq!(limiter.take("k", at(10)).unwrap(), Some((2, 0)));
        for second in 11..60 {
            let refused = limiter.take("k", at(second)).unwrap_err();
            assert!(matches!(refused, ApiError::Limited { retry_after, .. } if retry_after == 60 - second));
        }
        assert!(limiter.take("other", at(30)).is_ok(), "RL-08");
        assert_eq!(limiter.take("k", at(60)).unwrap(), Some((2, 0)));
    }
}
