//! Who may start an attempt now: the limits of OB-150, shared so that a slow endpoint delays only itself (W3).

/// What a lane brings along when it asks for a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claimant {
    /// Its attempts in flight.
    pub in_flight: usize,
    /// Whether its receiver fails all the time: it gets one attempt at a time (OB-151).
    pub failing: bool,
    /// Whether its receiver keeps a slot for long.
    pub slow: bool,
}

/// The limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    total: usize,
    per_endpoint: usize,
}

impl Slots {
    pub(super) fn new(total: usize, per_endpoint: usize) -> Self {
        Self { total, per_endpoint }
    }

    /// Whether the lane itself is at its limit, however many slots are free.
    pub(super) fn lane_is_full(&self, claimant: Claimant) -> bool {
        let most = if claimant.failing { 1 } else { self.per_endpoint };
        claimant.in_flight >= most
    }

    /// Whether nobody may start, whoever asks.
    pub(super) fn are_gone(&self, in_use: usize) -> bool {
        in_use >= self.total
    }

    /// What slow lanes may hold together at most: half of the slots.
    pub(super) fn most_for_slow(&self) -> usize {
        self.total.div_ceil(2)
    }

    /// What slow lanes get before quick ones: without it they would get nothing as long as the quick ones have a backlog.
    pub(super) fn kept_for_slow(&self) -> usize {
        self.total.div_ceil(8)
    }

    /// Whether a lane that is not at its own limit may start. The last quarter is for lanes with nothing in flight:
    /// a few endpoints that begin to hang at the same moment cannot take everything.
    pub(super) fn may_start(&self, claimant: Claimant, in_use: usize) -> bool {
        let last_quarter = in_use >= self.total - self.total / 4;
        !self.are_gone(in_use) && (claimant.in_flight == 0 || !last_quarter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Claimant = Claimant { in_flight: 0, failing: false, slow: false };

    #[test]
    fn ob_150_limits_overall_and_per_endpoint() {
        let slots = Slots::new(64, 8);
        assert!(!slots.lane_is_full(Claimant { in_flight: 7, ..FRESH }));
        assert!(slots.lane_is_full(Claimant { in_flight: 8, ..FRESH }));
        assert!(slots.may_start(FRESH, 63) && !slots.may_start(FRESH, 64));
    }

    #[test]
    fn ob_151_a_failing_endpoint_gets_one_attempt_at_a_time() {
        let slots = Slots::new(64, 8);
        let failing = Claimant { failing: true, ..FRESH };
        assert!(!slots.lane_is_full(failing));
        assert!(slots.lane_is_full(Claimant { in_flight: 1, ..failing }));
    }

    #[test]
    fn w3_some_slots_are_kept_for_endpoints_without_any() {
        let slots = Slots::new(64, 8);
        let greedy = Claimant { in_flight: 7, ..FRESH };
        assert!(slots.may_start(greedy, 47) && !slots.may_start(greedy, 48));
        assert!(slots.may_start(FRESH, 48));
        assert_eq!((slots.kept_for_slow(), slots.most_for_slow()), (8, 32));
        let single = Slots::new(1, 8);
        assert!(single.may_start(FRESH, 0) && !single.may_start(FRESH, 1));
    }
}
