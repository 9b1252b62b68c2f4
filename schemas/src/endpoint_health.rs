//! How an endpoint is doing, as its outcomes tell (OB-145, OB-151, OB-152). One rule for whoever sends and whoever shows.

use crate::{
    Timestamp,
    event::delivery::{AttemptResult, Attempted},
};

/// Consecutive failures from which an endpoint is failing (OB-151).
pub const FAILING: u32 = 5;

/// A failure that took less is a quick one: it held no connection for long, but many of them are a burden (OB-151).
const QUICK_MS: u32 = 10_000;

/// So many quick failures in a row slow first attempts down (OB-151).
const QUICK_IN_A_ROW: u32 = 3;

/// Failed attempts without which nothing is disabled, however long it takes (OB-152).
const FAILURES_TO_DISABLE: u32 = 20;

/// What the outcomes of an endpoint's deliveries add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointHealth {
    /// Failed attempts since the last success.
    pub consecutive_failures: u32,
    /// How many of the last ones of them were quick, in a row.
    pub quick_failures: u32,
    /// When the first of the consecutive failures was known.
    pub failing_since: Option<Timestamp>,
    /// When the last failure was known, also before the last success.
    pub last_failure_at: Option<Timestamp>,
    /// Until when the receiver wants nothing to be sent (OB-145).
    pub throttled_until: Option<Timestamp>,
}

impl EndpointHealth {
    /// Takes an outcome in. A fault of the configuration says nothing about the receiver (OB-141), nor does a delivery
    /// that needed no request (OB-124). Tests are not to be handed in (OB-177).
    pub fn attempted(&mut self, attempted: &Attempted) {
        self.throttled_until = self.throttled_until.max(attempted.throttled_until);
        match attempted.result {
            AttemptResult::Delivered if attempted.response_status.is_some() => self.clear(),
            AttemptResult::Delivered => {}
            AttemptResult::Retry { .. } | AttemptResult::Failed => {
                if attempted.error_class.as_deref() == Some("config") {
                    return;
                }
                let quick = attempted.duration_ms < QUICK_MS;
                self.quick_failures = if quick { self.quick_failures.saturating_add(1) } else { 0 };
                self.consecutive_failures = self.consecutive_failures.saturating_add(1);
                self.failing_since.get_or_insert(attempted.at);
                self.last_failure_at = Some(attempted.at);
            }
        }
    }

    /// Forgets the failures: a success, or an operator who enabled the endpoint again (OB-152).
    pub fn clear(&mut self) {
        self.consecutive_failures = 0;
        self.quick_failures = 0;
        self.failing_since = None;
    }

    /// Whether at most one attempt may be in flight (OB-151).
    pub fn is_failing(&self) -> bool {
        self.consecutive_failures >= FAILING
    }

    /// Whether first attempts are to be spaced (OB-151).
    pub fn fails_quickly(&self) -> bool {
        self.is_failing() && self.quick_failures >= QUICK_IN_A_ROW
    }

    /// Whether a receiver that asked for patience still wants it at `now`.
    pub fn is_throttled(&self, now: Timestamp) -> bool {
        self.throttled_until.is_some_and(|until| now < until)
    }

    /// From when on a further failure disables a failing endpoint; `span` in milliseconds, 0 = never (OB-152).
    pub fn disables_at(&self, span: i64) -> Option<Timestamp> {
        self.failing_since.filter(|_| span > 0 && self.is_failing()).map(|since| since.plus(span))
    }

    /// Whether its last failure was one too many (OB-152). Only an attempt that failed speaks against a receiver: an
    /// endpoint that has nothing to send is never disabled by the mere passing of time.
    pub fn is_beyond_hope(&self, span: i64) -> bool {
        self.consecutive_failures >= FAILURES_TO_DISABLE
            && self.disables_at(span).is_some_and(|end| self.last_failure_at.is_some_and(|last| end <= last))
    }

    /// Whether half of the span is over by its last failure.
    pub fn is_half_way(&self, span: i64) -> bool {
        self.disables_at(span - span / 2)
            .is_some_and(|half| self.last_failure_at.is_some_and(|last| half <= last))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::DeliveryId;

    const DAY: i64 = 86_400_000;

    fn outcome(at: i64, status: Option<u16>, duration_ms: u32) -> Attempted {
        let ok = status.is_some_and(|status| status < 300);
        Attempted {
            at: Timestamp(at),
            delivery: DeliveryId(Uuid::nil()),
            attempt: 1,
            result: if ok { AttemptResult::Delivered } else { AttemptResult::Failed },
            duration_ms,
            response_status: status,
            response_snippet: None,
            error: None,
            error_class: (!ok).then(|| "server_error".to_owned()),
            secret_count: None,
            requeues: 0,
            throttled_until: None,
        }
    }

    fn skipped(at: i64) -> Attempted {
        Attempted { result: AttemptResult::Delivered, error_class: None, ..outcome(at, None, 1) }
    }

    fn after(outcomes: impl IntoIterator<Item = Attempted>) -> EndpointHealth {
        let mut health = EndpointHealth::default();
        outcomes.into_iter().for_each(|outcome| health.attempted(&outcome));
        health
    }

    #[test]
    fn ob_151_failing_from_the_fifth_and_slowed_down_while_the_last_three_were_quick() {
        let failures = |durations: &[u32]| after(durations.iter().map(|ms| outcome(1, Some(500), *ms)));
        assert!(!failures(&[1; 4]).is_failing());
        assert!(failures(&[1; 5]).is_failing() && failures(&[1; 5]).fails_quickly());
        assert!(!failures(&[1, 1, 1, 1, 10_000]).fails_quickly());
        assert!(failures(&[1, 10_000, 9_999, 1, 1]).fails_quickly());
    }

    #[test]
    fn ob_152_needs_twenty_failures_and_the_whole_span() {
        let over =
            |count: i64, span: i64| after((0..count).map(|n| outcome(span * n / (count - 1), Some(500), 1)));
        assert!(over(20, 5 * DAY).is_beyond_hope(5 * DAY));
        assert!(!over(19, 5 * DAY).is_beyond_hope(5 * DAY));
        assert!(!over(100, 5 * DAY - 1).is_beyond_hope(5 * DAY));
        assert!(!over(100, 50 * DAY).is_beyond_hope(0), "0 = never");
        assert!(
            over(20, 5 * DAY / 2).is_half_way(5 * DAY) && !over(20, 5 * DAY / 2 - 1).is_half_way(5 * DAY)
        );
        assert_eq!(over(5, DAY).disables_at(5 * DAY), Some(Timestamp(5 * DAY)));
        assert_eq!((over(4, DAY).disables_at(5 * DAY), over(5, DAY).disables_at(0)), (None, None));
    }

    #[test]
    fn ob_141_what_says_nothing_about_the_receiver_changes_nothing() {
        let mut health = after((0..7).map(|n| outcome(n, Some(500), 1)));
        let before = health;
        health.attempted(&skipped(9));
        health.attempted(&Attempted { error_class: Some("config".into()), ..outcome(9, None, 1) });
        assert_eq!(health, before);
    }

    proptest! {
        #[test]
        fn ob_151_counters_are_those_since_the_last_success(
            statuses in prop::collection::vec(prop::sample::select(vec![200_u16, 500, 404]), 0..40),
        ) {
            let health = after(statuses.iter().zip(0..).map(|(status, at)| outcome(at, Some(*status), 1)));
            let since = statuses.iter().rposition(|status| *status == 200).map_or(0, |last| last + 1);
            let failed = statuses.len() - since;
            prop_assert_eq!(health.consecutive_failures as usize, failed);
            prop_assert_eq!(health.failing_since, (failed > 0).then_some(Timestamp(since as i64)));
        }
    }
}
