//! How fast an endpoint's requests may leave: its rate limit (OB-82), and the minute over which a backlog is spread once
//! the endpoint is enabled again (OB-152).

use mainspring_schemas::Timestamp;

/// How long a backlog is spread over, in milliseconds.
pub(super) const SPREAD_MS: i64 = 60_000;

/// A request, in the unit of the bucket: thousandths, so that a rate per second is a rate per millisecond.
const REQUEST: i64 = 1_000;

/// A bucket holds what flows in within this time, in milliseconds: after a pause only a tenth of a second's requests
/// leave at once, because a receiver that counts per second would refuse a whole second's burst beside the steady flow.
const BURST_MS: i64 = 100;

/// The two together.
#[derive(Debug, Default)]
pub(super) struct Pace {
    bucket: Option<Bucket>,
    spread: Option<Spread>,
}

/// A token bucket.
#[derive(Debug)]
struct Bucket {
    rate: i64,
    /// What it held at `at`.
    level: i64,
    at: Timestamp,
}

/// The n-th of a backlog leaves at its share of the minute.
#[derive(Debug)]
struct Spread {
    since: Timestamp,
    total: i64,
    started: i64,
}

impl Pace {
    /// Sets the rate limit; an unchanged one goes on as it is.
    pub(super) fn limit(&mut self, rate: Option<u16>, now: Timestamp) {
        let rate = rate.map(i64::from);
        if self.bucket.as_ref().map(|bucket| bucket.rate) != rate {
            self.bucket = rate.map(|rate| Bucket { rate, level: Bucket::capacity(rate), at: now });
        }
    }

    /// Spreads a backlog of `total` deliveries over the minute after `since`.
    pub(super) fn spread(&mut self, since: Timestamp, total: u64) {
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        self.spread = (total > 0).then_some(Spread { since, total, started: 0 });
    }

    /// From when on the next request may leave.
    pub(super) fn next(&self, now: Timestamp) -> Timestamp {
        let limited = self.bucket.as_ref().map_or(now, |bucket| bucket.next(now));
        limited.max(self.spread.as_ref().map_or(now, Spread::next))
    }

    /// A request leaves.
    pub(super) fn started(&mut self, now: Timestamp) {
        if let Some(bucket) = &mut self.bucket {
            bucket.level = bucket.level_at(now) - REQUEST;
            bucket.at = now;
        }
        if let Some(spread) = &mut self.spread {
            spread.started += 1;
            if spread.started >= spread.total || now.since(spread.since) >= SPREAD_MS {
                self.spread = None;
            }
        }
    }
}

impl Bucket {
    fn capacity(rate: i64) -> i64 {
        (rate * BURST_MS).max(REQUEST)
    }

    fn level_at(&self, now: Timestamp) -> i64 {
        let flown = self.rate.saturating_mul(now.since(self.at).max(0));
        self.level.saturating_add(flown).min(Self::capacity(self.rate))
    }

    fn next(&self, now: Timestamp) -> Timestamp {
        let missing = (REQUEST - self.level_at(now)).max(0);
        now.plus((missing + self.rate - 1) / self.rate)
    }
}

impl Spread {
    fn next(&self) -> Timestamp {
        let share = i128::from(SPREAD_MS) * i128::from(self.started) / i128::from(self.total);
        self.since.plus(i64::try_from(share).unwrap_or(SPREAD_MS).min(SPREAD_MS))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// When `count` requests leave that all want to at once, each looked at as late as `delays` say.
    fn departures(pace: &mut Pace, count: usize, delays: &[i64]) -> Vec<i64> {
        let mut now = Timestamp(0);
        (0..count)
            .map(|n| {
                now = pace.next(now).plus(delays.get(n).copied().unwrap_or(0));
                pace.started(now);
                now.0
            })
            .collect()
    }

    proptest! {
        #[test]
        fn ob_82_no_second_sees_more_than_the_rate_and_its_burst(
            rate in 1_u16..=1000,
            delays in prop::collection::vec(0_i64..300, 0..60),
        ) {
            let mut pace = Pace::default();
            pace.limit(Some(rate), Timestamp(0));
            let left = departures(&mut pace, 2_500, &delays);
            let most = usize::from(rate) + (usize::from(rate) / 10).max(1);
            for (first, at) in left.iter().enumerate() {
                let within = left[first..].iter().take_while(|other| **other < at + 1000).count();
                prop_assert!(within <= most, "{within} of {most} within the second after {at}");
            }
            let ideal = 2_500_000 / i64::from(rate);
            prop_assert!(*left.last().unwrap() <= ideal + delays.iter().sum::<i64>() + 1_000 + ideal / 10);
        }
    }

    #[test]
    fn ob_152_a_backlog_leaves_evenly_over_a_minute_and_in_no_time_afterwards() {
        let mut pace = Pace::default();
        pace.spread(Timestamp(0), 4);
        assert_eq!(departures(&mut pace, 5, &[]), [0, 15_000, 30_000, 45_000, 45_000]);
        let mut late = Pace::default();
        late.spread(Timestamp(0), 1_000_000);
        assert_eq!(departures(&mut late, 2, &[60_001]), [60_001, 60_001], "the minute is over");
    }

    #[test]
    fn ob_82_another_limit_starts_afresh_and_none_lets_everything_pass() {
        let mut pace = Pace::default();
        pace.limit(Some(1), Timestamp(0));
        assert_eq!(departures(&mut pace, 3, &[]), [0, 1000, 2000]);
        pace.limit(None, Timestamp(2000));
        assert_eq!(departures(&mut pace, 3, &[]), [0, 0, 0]);
    }
}
