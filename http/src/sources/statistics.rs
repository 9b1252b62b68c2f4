//! What a source received and what became of it, since the process started (WS-97, WS-98).

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use mainspring_schemas::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;

const HOUR: i64 = 3_600_000;

/// Hours that are remembered one by one, the current one included.
const HOURS: i64 = 24;

/// How often each thing happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Requests.
    pub received: u64,
    /// Requests that came from the provider.
    pub verified: u64,
    /// Requests that nobody had to prove (WS-20).
    pub unauthenticated: u64,
    /// Requests refused, for whatever reason.
    pub rejected: u64,
    /// Payloads that mean nothing here.
    pub skipped: u64,
    /// Events stored.
    pub ingested: u64,
    /// Events known already.
    pub duplicate: u64,
    /// Events that could not be stored; the provider was told to come again.
    pub failed: u64,
}

/// What became of a request in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Refused, with the reason for operators.
    Rejected(&'static str),
    /// It means nothing here.
    Skipped,
    /// Its event is stored, or its person erased.
    Ingested,
    /// Its event was stored before.
    Duplicate,
    /// Its event could not be stored.
    Failed,
}

/// The figures of a source.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// When the newest request came.
    pub last_received_at: Option<Timestamp>,
    /// When the newest refused request came.
    pub last_rejected_at: Option<Timestamp>,
    /// Why it was refused.
    pub last_reject_reason: Option<&'static str>,
    /// The last 24 hours, in steps of an hour.
    pub counts24h: Counts,
    /// Since the process started.
    pub counts: Counts,
    /// Why requests were refused, since the process started.
    pub rejected_by_reason: BTreeMap<&'static str, u64>,
    /// Mean time until the answer, in milliseconds.
    pub latency_ms_mean: Option<f64>,
    /// Longest time until an answer, in milliseconds.
    pub latency_ms_max: Option<f64>,
    /// Requests answered.
    #[serde(skip)]
    pub answers: u64,
    /// Time until the answers, all together.
    #[serde(skip)]
    pub answer_time: Duration,
    /// Our clock minus the provider's in the newest signed timestamp, in seconds. Includes the way here.
    pub clock_difference_secs: Option<f64>,
}

/// Counts what a source receives.
#[derive(Debug, Default)]
pub struct Statistics(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    figures: Figures,
    /// Counts by the number of the hour, ascending.
    hours: VecDeque<(i64, Counts)>,
    longest: Duration,
}

impl Inner {
    fn count(&mut self, now: Timestamp, count: impl Fn(&mut Counts)) {
        let hour = now.0.div_euclid(HOUR);
        if self.hours.back().is_none_or(|(newest, _)| *newest < hour) {
            self.hours.push_back((hour, Counts::default()));
        }
        while self.hours.front().is_some_and(|(oldest, _)| *oldest <= hour - HOURS) {
            self.hours.pop_front();
        }
        if let Some((_, counts)) = self.hours.back_mut() {
            count(counts);
        }
        count(&mut self.figures.counts);
    }
}

impl Statistics {
    pub(super) fn received(&self, now: Timestamp) {
        let mut inner = self.0.lock();
        inner.figures.last_received_at = Some(now);
        inner.count(now, |counts| counts.received += 1);
    }

    pub(super) fn verified(&self, now: Timestamp, signed_at: Option<Timestamp>) {
        let mut inner = self.0.lock();
        inner.count(now, |counts| counts.verified += 1);
        if let Some(signed_at) = signed_at {
            inner.figures.clock_difference_secs = Some(now.since(signed_at) as f64 / 1000.0);
        }
    }

    pub(super) fn unauthenticated(&self, now: Timestamp) {
        self.0.lock().count(now, |counts| counts.unauthenticated += 1);
    }

    pub(super) fn ended(&self, now: Timestamp, ending: Ending, took: Duration) {
        let mut inner = self.0.lock();
        inner.figures.answers += 1;
        inner.figures.answer_time += took;
        inner.longest = inner.longest.max(took);
        inner.count(now, |counts| match ending {
            Ending::Rejected(_) => counts.rejected += 1,
            Ending::Skipped => counts.skipped += 1,
            Ending::Ingested => counts.ingested += 1,
            Ending::Duplicate => counts.duplicate += 1,
            Ending::Failed => counts.failed += 1,
        });
        if let Ending::Rejected(reason) = ending {
            inner.figures.last_rejected_at = Some(now);
            inner.figures.last_reject_reason = Some(reason);
            *inner.figures.rejected_by_reason.entry(reason).or_default() += 1;
        }
    }

    /// The figures as of `now`.
    pub fn figures(&self, now: Timestamp) -> Figures {
        let mut inner = self.0.lock();
        // Forgets hours that are over.
        inner.count(now, |_| {});
        let mut figures = inner.figures.clone();
        for (_, hour) in &inner.hours {
            let all = &mut figures.counts24h;
            all.received += hour.received;
            all.verified += hour.verified;
            all.unauthenticated += hour.unauthenticated;
            all.rejected += hour.rejected;
            all.skipped += hour.skipped;
            all.ingested += hour.ingested;
            all.duplicate += hour.duplicate;
            all.failed += hour.failed;
        }
        if figures.answers > 0 {
            let mean = figures.answer_time.as_secs_f64() / figures.answers as f64;
            figures.latency_ms_mean = Some(mean * 1000.0);
            figures.latency_ms_max = Some(inner.longest.as_secs_f64() * 1000.0);
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ws_97_ws_98_figures_of_a_day_and_since_the_start() {
        let statistics = Statistics::default();
        let at = |hour: i64| Timestamp(hour * HOUR + 5);
        for hour in [0, 1, 23, 24] {
            statistics.received(at(hour));
            statistics.verified(at(hour), Some(at(hour).plus(-1500)));
            statistics.ended(at(hour), Ending::Ingested, Duration::from_millis(2));
        }
        statistics.received(at(24));
        statistics.ended(at(24), Ending::Rejected("malformed_json"), Duration::from_millis(4));
        let figures = statistics.figures(at(24));
        assert_eq!((figures.counts.received, figures.counts24h.received), (5, 4), "the first hour is over");
        assert_eq!((figures.counts24h.ingested, figures.counts24h.rejected), (3, 1));
        assert_eq!(figures.last_rejected_at, Some(at(24)));
        assert_eq!(figures.last_reject_reason, Some("malformed_json"));
        assert_eq!(figures.rejected_by_reason, BTreeMap::from([("malformed_json", 1)]));
        assert_eq!(figures.clock_difference_secs, Some(1.5));
        assert_eq!(figures.latency_ms_max, Some(4.0));
        assert_eq!(statistics.figures(at(100)).counts24h, Counts::default());
    }
}
