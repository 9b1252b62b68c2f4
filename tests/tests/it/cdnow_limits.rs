//! The real purchases of an online shop again, under entry limits, shortest and longest stays and counts: every single
//! transition against a calculation that knows the sentences of the specification and none of the engine's code.

use std::collections::{BTreeMap, BTreeSet};

use mainspring_schemas::{
    Timestamp,
    event::{ContactEvent, DomainEvent},
};

use crate::{
    cdnow::{DAY, import_with, orders},
    journal,
};

/// When a contact should be inside.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// Ordered within the window.
    Seen,
    /// Ordered before, but not within the window.
    Lapsed,
    /// So many orders, ever.
    AtLeast(usize),
    /// Fewer orders than that within the window.
    LessThan(usize),
    /// Exactly so many orders within the window.
    Exactly(usize),
    /// No order within the window, or at most one within twice the window.
    Rarely,
}

/// Which joins are announced.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Unlimited,
    Once,
    /// Not for so many days after the last stay.
    Period(i64),
}

/// A bucket; all lengths in days, 0 for none.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    id: &'static str,
    wanted: Wanted,
    window: i64,
    limit: Limit,
    shortest: i64,
    longest: i64,
}

const PLAIN: Bucket =
    Bucket { id: "", wanted: Wanted::Seen, window: 0, limit: Limit::Unlimited, shortest: 0, longest: 0 };

const BUCKETS: [Bucket; 13] = [
    Bucket { id: "once", window: 60, limit: Limit::Once, ..PLAIN },
    Bucket { id: "per-period", window: 30, limit: Limit::Period(90), ..PLAIN },
    Bucket { id: "once-lapsed", wanted: Wanted::Lapsed, window: 45, limit: Limit::Once, ..PLAIN },
    Bucket { id: "shortest", window: 10, shortest: 25, ..PLAIN },
    Bucket { id: "shortest-count", wanted: Wanted::LessThan(2), window: 14, shortest: 21, ..PLAIN },
    Bucket { id: "longest", wanted: Wanted::AtLeast(2), longest: 45, ..PLAIN },
    Bucket { id: "longest-lapsed", wanted: Wanted::Lapsed, window: 60, longest: 30, ..PLAIN },
    Bucket { id: "both", window: 20, shortest: 30, longest: 40, limit: Limit::Period(50), ..PLAIN },
    Bucket { id: "less", wanted: Wanted::LessThan(3), window: 60, ..PLAIN },
    Bucket { id: "less-longest", wanted: Wanted::LessThan(2), window: 30, longest: 75, ..PLAIN },
    Bucket { id: "exactly", wanted: Wanted::Exactly(2), window: 60, ..PLAIN },
    Bucket { id: "exactly-once", wanted: Wanted::Exactly(1), window: 30, limit: Limit::Once, ..PLAIN },
    Bucket { id: "rarely", wanted: Wanted::Rarely, window: 30, longest: 20, ..PLAIN },
];

impl Bucket {
    /// What an operator would write.
    fn definition(&self) -> String {
        let within = format!("event: order.placed, within: {}d", self.window);
        let criteria = match self.wanted {
            Wanted::Seen => format!("{{{within}, exists: true}}"),
            Wanted::Lapsed => format!("{{all: [{{event: order.placed}}, {{{within}, exists: false}}]}}"),
            Wanted::AtLeast(n) => format!("{{event: order.placed, count: {{gte: {n}}}}}"),
            Wanted::LessThan(n) => format!("{{{within}, count: {{lt: {n}}}}}"),
            Wanted::Exactly(n) => format!("{{{within}, count: {{eq: {n}}}}}"),
            Wanted::Rarely => format!(
                "{{any: [{{{within}, exists: false}}, \
                 {{event: order.placed, within: {}d, count: {{lte: 1}}}}]}}",
                2 * self.window
            ),
        };
        let mut text = format!("id: {0}\nname: {0}\nenabled: true\ncriteria: {criteria}\n", self.id);
        match self.limit {
            Limit::Unlimited => {}
            Limit::Once => text.push_str("entryLimit: once\n"),
            Limit::Period(days) => {
                text.push_str(&format!("entryLimit: once_per_period\nentryPeriod: {days}d\n"));
            }
        }
        for (name, days) in [("minDwell", self.shortest), ("maxDwell", self.longest)] {
            if days > 0 {
                text.push_str(&format!("{name}: {days}d\n"));
            }
        }
        text
    }

    fn holds(&self, orders: &[i64], now: i64) -> bool {
        let within = |days: i64| orders.iter().filter(|at| **at >= now - days * DAY).count();
        let recent = within(self.window);
        match self.wanted {
            Wanted::Seen => recent > 0,
            Wanted::Lapsed => !orders.is_empty() && recent == 0,
            Wanted::AtLeast(n) => orders.len() >= n,
            Wanted::LessThan(n) => recent < n,
            Wanted::Exactly(n) => recent == n,
            Wanted::Rarely => recent == 0 || within(2 * self.window) <= 1,
        }
    }
}

/// One customer's life with one bucket.
struct Life<'a> {
    bucket: &'a Bucket,
    entered_at: Option<i64>,
    left_at: Option<i64>,
    stays: u32,
    /// The longest stay ended one, and the criteria were true ever since (BK-141).
    timed_out: bool,
    instants: BTreeSet<i64>,
    lines: Vec<String>,
}

impl<'a> Life<'a> {
    /// Looks at every instant at which an answer could change.
    fn of(bucket: &'a Bucket, orders: &[i64], until: i64) -> Vec<String> {
        let mut instants: BTreeSet<i64> = orders.iter().copied().collect();
        if bucket.window > 0 {
            let ends = |at| [1, 2].map(|times| at + times * bucket.window * DAY + 1);
            instants.extend(orders.iter().copied().flat_map(ends));
        }
        let lines = Vec::new();
        let mut life =
            Self { bucket, entered_at: None, left_at: None, stays: 0, timed_out: false, instants, lines };
        while let Some(now) = life.instants.pop_first().filter(|now| *now <= until) {
            // The clock speaks before the first order of an instant, and each order is decided by itself.
            let before = orders.iter().filter(|at| **at < now).count();
            let after = orders.iter().filter(|at| **at <= now).count();
            if before > 0 {
                life.look(&orders[..before], now, "reconcile");
            }
            for seen in before + 1..=after {
                life.timed_out = false;
                life.look(&orders[..seen], now, "event");
            }
        }
        life.lines
    }

    fn look(&mut self, orders: &[i64], now: i64, source: &str) {
        let Bucket { shortest, longest, .. } = *self.bucket;
        let holds = self.bucket.holds(orders, now);
        self.timed_out &= holds;
        match self.entered_at {
            None if holds && !self.timed_out => self.enter(now, source),
            Some(entered) if longest > 0 && now >= entered + longest * DAY => {
                self.leave(now, source, "maxDwell");
                self.timed_out = true;
            }
            Some(entered) if !holds && now >= entered + shortest * DAY => self.leave(now, source, "criteria"),
            _ => {}
        }
    }

    fn enter(&mut self, now: i64, source: &str) {
        let announced = match (self.bucket.limit, self.left_at) {
            (Limit::Unlimited, _) | (_, None) => true,
            (Limit::Once, Some(_)) => false,
            (Limit::Period(days), Some(left)) => now - left >= days * DAY,
        };
        self.stays += 1;
        self.entered_at = Some(now);
        let Bucket { shortest, longest, .. } = *self.bucket;
        // The deadlines of the stay are worth a look; at others nothing comes of it.
        self.instants
            .extend([shortest, longest].iter().filter(|days| **days > 0).map(|days| now + days * DAY));
        self.lines.push(format!("{} + #{} {source} announced={announced}", Timestamp(now), self.stays));
    }

    fn leave(&mut self, now: i64, source: &str, reason: &str) {
        self.entered_at = None;
        self.left_at = Some(now);
        self.lines.push(format!("{} - #{} {source} {reason} announced=true", Timestamp(now), self.stays));
    }
}

/// Transitions by bucket and customer, in order.
type Transitions = BTreeMap<(String, String), Vec<String>>;

fn found(entries: Vec<journal::Entry>) -> Transitions {
    let mut found = Transitions::new();
    for entry in entries {
        let (bucket, user, line) = match entry.event {
            DomainEvent::Contact(ContactEvent::BucketEntered(e)) => {
                let line = format!("{} + #{} {} announced={}", e.at, e.epoch, e.source.as_str(), e.announced);
                (e.bucket, e.user_key, line)
            }
            DomainEvent::Contact(ContactEvent::BucketLeft(e)) => {
                let (source, reason) = (e.source.as_str(), e.reason.as_str());
                let line = format!("{} - #{} {source} {reason} announced={}", e.at, e.epoch, e.announced);
                (e.bucket, e.user_key, line)
            }
            _ => continue,
        };
        found.entry((bucket.to_string(), user.to_string())).or_default().push(line);
    }
    found
}

#[tokio::test]
async fn bk_85_bk_92_bk_140_bk_156_every_transition_of_an_import_is_the_calculated_one() {
    let end = "1998-12-24T18:00:00Z";
    let until = end.parse::<Timestamp>().unwrap().0;
    let directory = tempfile::tempdir().unwrap();
    let (definitions, data) = (directory.path().join("definitions"), directory.path().join("data"));
    std::fs::create_dir(&definitions).unwrap();
    let mut expected = Transitions::new();
    let orders = orders();
    for bucket in &BUCKETS {
        std::fs::write(definitions.join(format!("{}.yaml", bucket.id)), bucket.definition()).unwrap();
        for (customer, times) in &orders {
            let lines = Life::of(bucket, times, until);
            if !lines.is_empty() {
                expected.insert((bucket.id.to_owned(), customer.clone()), lines);
            }
        }
    }
    let output = import_with(&definitions, &data, end).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = found(journal::read(&data).await);
    for (key, lines) in &expected {
        assert_eq!(found.get(key), Some(lines), "{key:?}, orders {:?}", orders[&key.1]);
    }
    assert_eq!(found.len(), expected.len(), "nobody else moved");
    // What the data does not contain is not proved by it.
    for (id, words) in [
        ("once", "event announced=false"),
        ("once-lapsed", "reconcile announced=false"),
        ("per-period", "#2 event announced=true"),
        ("per-period", "#2 event announced=false"),
        ("shortest", "reconcile criteria"),
        ("longest", "#2 event announced=true"),
        ("longest-lapsed", "reconcile maxDwell"),
        ("longest-lapsed", "#2 reconcile announced=true"),
        ("less", "#2 reconcile announced=true"),
        ("less-longest", "reconcile maxDwell"),
        ("exactly", "#2 reconcile announced=true"),
        ("exactly-once", "reconcile announced=false"),
        ("rarely", "#2 reconcile announced=true"),
    ] {
        let has = |((bucket, _), lines): (&(String, String), &Vec<String>)| {
            bucket == id && lines.iter().any(|line| line.contains(words))
        };
        assert!(expected.iter().any(has), "the data has no case of {id}: {words}");
    }
}
