//! A sliding window per key. A refused request costs nothing, and the wait that is named is the real one (RL-07, RL-10).

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{auth::Budget, error::ApiError};

const WINDOW: Duration = Duration::from_secs(60);

/// Keys that are counted one by one. More of them within a minute share one window, so that memory is bounded.
const MOST_KEYS: usize = 10_000;

/// Idle keys are looked for at most this often: that walks over all of them.
const PRUNE_PAUSE: Duration = Duration::from_secs(1);

/// The key that stands for all beyond [`MOST_KEYS`]; no caller has it.
const OTHERS: &str = "\0";

/// Counts requests per key over the last minute.
pub(crate) struct Limiter {
    limit: Option<u32>,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    by_key: HashMap<String, VecDeque<Instant>>,
    pruned_at: Option<Instant>,
}

impl Taken {
    /// The window of a key, or of all others if there is no room for one more.
    fn of(&mut self, key: &str, now: Instant) -> &mut VecDeque<Instant> {
        let is_new = !self.by_key.contains_key(key);
        let is_time = |pruned_at| now.duration_since(pruned_at) >= PRUNE_PAUSE;
        if is_new && self.by_key.len() >= MOST_KEYS && self.pruned_at.is_none_or(is_time) {
            self.pruned_at = Some(now);
            let is_busy = |last: &Instant| now.duration_since(*last) < WINDOW;
            self.by_key.retain(|_, taken| taken.back().is_some_and(is_busy));
        }
        let key = if is_new && self.by_key.len() >= MOST_KEYS { OTHERS } else { key };
        self.by_key.entry(key.to_owned()).or_default()
    }
}

impl Limiter {
    pub fn new(limit: Option<u32>) -> Self {
        Self { limit, taken: Mutex::default() }
    }

    /// Takes a slot for `key`; returns what is left, `None` without a limit.
    pub fn take(&self, key: &str, now: Instant) -> Result<Option<Budget>, ApiError> {
        let Some(limit) = self.limit else { return Ok(None) };
        let mut all = self.taken.lock();
        let taken = all.of(key, now);
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
    #[test]
    fn ws_95_many_keys_cost_bounded_memory_and_rare_walks() {
        let limiter = Limiter::new(Some(2));
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let keys = || limiter.taken.lock().by_key.len();
        for key in 0..MOST_KEYS {
            assert!(limiter.take(&key.to_string(), at(0)).is_ok());
        }
        assert!(limiter.take("one", at(1)).is_ok() && limiter.take("another", at(2)).is_ok());
        assert_eq!(keys(), MOST_KEYS + 1);
        assert!(limiter.take("a third", at(3)).is_err(), "they share one window");
        assert!(limiter.take("7", at(4)).is_ok(), "a key that is known keeps its own");
        assert_eq!(limiter.taken.lock().pruned_at, Some(at(1)), "once a second at most");
        assert!(limiter.take("a third", at(61_000)).is_ok());
        assert_eq!(keys(), 1);
    }
}
