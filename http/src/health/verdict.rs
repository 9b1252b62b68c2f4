//! What counts as degraded, and what operators are told about it (HE-02, HE-04).

use crate::background::Disk;

/// Room on the disk below which the log may soon be unable to grow.
const LEAST_FREE: u64 = 1 << 30;

/// The same, as one part of so many of the disk.
const LEAST_FREE_PART: u64 = 20;

/// Timers may be so late, in milliseconds.
const LATE_TIMERS: i64 = 5_000;

/// A delivery may be due for so long, in milliseconds.
const LATE_DELIVERIES: i64 = 15 * 60_000;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Signs {
    /// Why no calls are taken.
    pub refusing: Option<String>,
    /// Why the read models do not follow the log.
    pub stopped: Option<String>,
    /// Whether the read models answer.
    pub silent: bool,
    /// Threads that have ended.
    pub ended: Vec<&'static str>,
    /// Room on the disk.
    pub disk: Option<Disk>,
    /// How late timers are, in milliseconds.
    pub timers_late: i64,
    /// For how long a delivery has been due that nobody else holds up, in milliseconds.
    pub deliveries_late: i64,
}

/// What follows from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether somebody should look.
    pub degraded: bool,
    /// What is the matter.
    pub warnings: Vec<String>,
}

impl Signs {
    /// Judges. A thread that has ended is told, but does not degrade (HE-02): what it leaves undone does.
    pub fn verdict(&self) -> Verdict {
        let mut verdict = Verdict::default();
        let mut degraded = |text: String| {
            verdict.degraded = true;
            verdict.warnings.push(text);
        };
        if let Some(reason) = &self.refusing {
            degraded(format!("no calls are taken: {reason}"));
        }
        if let Some(reason) = &self.stopped {
            degraded(format!("the read models stopped: {reason}"));
        }
        if self.silent {
            degraded("the read models do not answer".to_owned());
        }
        if let Some(Disk { free, total }) = self.disk
            && (free < LEAST_FREE || free < total / LEAST_FREE_PART)
        {
            degraded(format!("{} MiB are left on the disk", free >> 20));
        }
        if self.timers_late > LATE_TIMERS {
            degraded(format!("timers are {} s late", self.timers_late / 1000));
        }
        if self.deliveries_late > LATE_DELIVERIES {
            degraded(format!("deliveries have been due for {} minutes", self.deliveries_late / 60_000));
        }
        for name in &self.ended {
            verdict.warnings.push(format!("the thread `{name}` has ended; a restart brings it back"));
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn he_04_each_sign_and_what_it_means() {
        const GIB: u64 = 1 << 30;
        let disk = |free, total| Signs { disk: Some(Disk { free, total }), ..Signs::default() };
        let timers = |timers_late| Signs { timers_late, ..Signs::default() };
        let deliveries = |deliveries_late| Signs { deliveries_late, ..Signs::default() };
        let why = || Some("why".to_owned());
        let cases: [(Signs, Option<&str>); 12] = [
            (Signs::default(), None),
            (Signs { refusing: why(), ..Signs::default() }, Some("no calls are taken: why")),
            (Signs { stopped: why(), ..Signs::default() }, Some("the read models stopped: why")),
            (Signs { silent: true, ..Signs::default() }, Some("the read models do not answer")),
            (disk(GIB, 20 * GIB), None),
            (disk(GIB - 1, GIB), Some("1023 MiB are left on the disk")),
            (disk(2 * GIB, 41 * GIB), Some("2048 MiB are left on the disk")),
            (timers(5000), None),
            (timers(6000), Some("timers are 6 s late")),
            (deliveries(15 * 60_000), None),
            (deliveries(16 * 60_000), Some("deliveries have been due for 16 minutes")),
            (disk(2 * GIB, 40 * GIB), None),
        ];
        for (signs, expected) in cases {
            let Verdict { degraded, warnings } = signs.verdict();
            assert_eq!((degraded, warnings.first().map(String::as_str)), (expected.is_some(), expected));
        }
        let ended = Signs { ended: vec!["outbound"], ..Signs::default() }.verdict();
        assert!(!ended.degraded && ended.warnings[0].contains("`outbound`"), "HE-02");
    }
}
