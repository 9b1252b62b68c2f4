//! Random histories against a slow, obvious model that looks at everything at every instant of interest.

use mainspring_schemas::{
    Timestamp,
    criteria::{CompositeOperator, Criteria, EventCheck, EventLeaf, Facts, evaluate},
    definition::{BucketDefinition, EntryLimit},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::{HOUR, Person, T0, definitions};

/// What may stand in a random definition set; each is one idea.
pub const POOL: [&str; 12] = [
    "criteria: {event: a, within: 3h, exists: true}",
    "criteria: {event: a, within: 5h, exists: false}",
    "criteria: {all: [{event: a, exists: true}, {event: a, within: 4h, exists: false}]}",
    "criteria: {event: b, within: 6h, count: {gte: 3}}",
    "criteria: {event: b, within: 2h, count: {lt: 2}}",
    "criteria: {event: b, within: 4h, count: {eq: 1}}, entryLimit: once",
    "criteria: {any: [{event: a, within: 2h, exists: false}, {event: b, within: 3h, exists: false}]}, maxDwell: 40m",
    "criteria: {prop: plan, eq: pro}, minDwell: 2h",
    "criteria: {event: a, within: 1h, exists: true}, minDwell: 3h, maxDwell: 5h",
    "criteria: {event: a, count: {gte: 2}}, maxDwell: 2h, entryLimit: once_per_period, entryPeriod: 4h",
    "criteria: {all: [{prop: plan, neq: free}, {event: b, within: 5h, count: {gte: 1}}]}",
    "criteria: {event: b, within: 3h, exists: false}, maxDwell: 90m, reconcileJoins: false",
];

#[derive(Clone, Debug)]
enum Step {
    /// After so many minutes: an event, dated so many minutes earlier.
    Event { after: i64, name: &'static str, dated: i64 },
    /// After so many minutes: the plan changes.
    Plan { after: i64, plan: Option<&'static str> },
    /// The contact is put aside and read again.
    Restart { from_a_snapshot: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let after = prop_oneof![Just(0_i64), 1_i64..400, Just(60), Just(180)];
    let step = prop_oneof![
        6 => (after.clone(), prop_oneof![Just("a"), Just("b"), Just("c")], prop_oneof![4 => Just(0_i64), 1 => -60_i64..600])
            .prop_map(|(after, name, dated)| Step::Event { after, name, dated }),
        2 => (after, prop_oneof![Just(Some("pro")), Just(Some("free")), Just(None)])
            .prop_map(|(after, plan)| Step::Plan { after, plan }),
        1 => any::<bool>().prop_map(|from_a_snapshot| Step::Restart { from_a_snapshot }),
    ];
    prop::collection::vec(step, 1..40)
}

/// The whole history, as plainly as can be.
#[derive(Default)]
struct Facts1 {
    events: Vec<(&'static str, Timestamp)>,
    by_name: [Vec<Timestamp>; 3],
    plan: Option<Value>,
}

impl Facts1 {
    fn add(&mut self, name: &'static str, at: i64) {
        self.events.push((name, Timestamp(at)));
        for (slot, known) in self.by_name.iter_mut().zip(["a", "b", "c"]) {
            *slot = self.events.iter().filter(|(n, _)| *n == known).map(|(_, at)| *at).collect();
            slot.sort();
        }
    }
}

impl Facts for Facts1 {
    fn property(&self, name: &str) -> Option<&Value> {
        if name == "plan" { self.plan.as_ref() } else { None }
    }

    fn occurrences(&self, event: &str) -> &[Timestamp] {
        ["a", "b", "c"].iter().position(|known| *known == event).map_or(&[], |index| &self.by_name[index])
    }
}

/// Evaluates by counting, not by searching.
fn holds(criteria: &Criteria, facts: &Facts1, now: i64) -> bool {
    match criteria {
        Criteria::Event(leaf) => leaf_holds(leaf, facts, now),
        Criteria::Composite(composite) => {
            let mut parts = composite.conditions.iter().map(|part| holds(part, facts, now));
            match composite.operator {
                CompositeOperator::And => parts.all(|part| part),
                CompositeOperator::Or => parts.any(|part| part),
            }
        }
        other => evaluate(other, facts, Timestamp(now)),
    }
}

fn leaf_holds(leaf: &EventLeaf, facts: &Facts1, now: i64) -> bool {
    let from = leaf.within.as_ref().map_or(i64::MIN, |within| now - within.millis());
    let n = facts.events.iter().filter(|(name, at)| *name == leaf.event_name && at.0 >= from).count() as f64;
    match leaf.check {
        EventCheck::Exists => n > 0.0,
        EventCheck::NotExists => n == 0.0,
        EventCheck::Count => {
            use mainspring_schemas::criteria::CountOperator::{Eq, Gt, Gte, Lt, Lte};
            let value = leaf.value.as_ref().map(|value| value.as_f64()).unwrap();
            match leaf.operator.unwrap() {
                Gt => n > value,
                Gte => n >= value,
                Lt => n < value,
                Lte => n <= value,
                Eq => n == value,
            }
        }
    }
}

fn windowed<'c>(criteria: &'c Criteria, leaves: &mut Vec<&'c EventLeaf>) {
    criteria.walk(&mut |node| {
        if let Criteria::Event(leaf) = node
            && leaf.within.is_some()
        {
            leaves.push(leaf);
        }
    });
}

fn names(criteria: &Criteria, touched: &str, plan: bool) -> bool {
    let mut found = false;
    criteria.walk(&mut |node| match node {
        Criteria::Event(leaf) => found |= leaf.event_name == touched,
        Criteria::Property(_) => found |= plan,
        _ => {}
    });
    found
}

#[derive(Clone, Debug)]
struct Stay {
    epoch: u32,
    entered: i64,
    end: Option<i64>,
}

#[derive(Default)]
struct Standing {
    stay: Option<Stay>,
    stays: u32,
    left: Option<i64>,
    timed_out: bool,
}

struct Model {
    buckets: Vec<BucketDefinition>,
    standings: Vec<Standing>,
    facts: Facts1,
    now: i64,
    lines: Vec<String>,
}

impl Model {
    fn new(buckets: Vec<BucketDefinition>) -> Self {
        let standings = buckets.iter().map(|_| Standing::default()).collect();
        Self { buckets, standings, facts: Facts1::default(), now: T0, lines: Vec::new() }
    }

    fn note(&mut self, text: String) {
        let after = self.now - T0;
        let (hours, millis) = (after.div_euclid(HOUR), after.rem_euclid(HOUR));
        let when = if millis == 0 { format!("{hours}h") } else { format!("{hours}h+{millis}ms") };
        self.lines.push(format!("{when} {text}"));
    }

    fn millis(duration: &Option<mainspring_schemas::duration::DurationSpec>) -> Option<i64> {
        duration.as_ref().map(|duration| duration.millis())
    }

    fn join(&mut self, index: usize, source: &str) {
        let now = self.now;
        let (bucket, standing) = (&self.buckets[index], &mut self.standings[index]);
        let prior = standing.stays;
        let announced = prior == 0
            || match bucket.entry_limit.unwrap_or_default() {
                EntryLimit::Unlimited => true,
                EntryLimit::Once => false,
                EntryLimit::OncePerPeriod => match (Self::millis(&bucket.entry_period), standing.left) {
                    (Some(period), Some(left)) => now - left >= period,
                    _ => true,
                },
            };
        standing.stays += 1;
        let epoch = standing.stays;
        standing.stay = Some(Stay {
            epoch,
            entered: now,
            end: Self::millis(&bucket.max_dwell).map(|longest| now + longest),
        });
        let silent = if announced { "" } else { " silent" };
        let id = bucket.id.clone();
        self.note(format!("+{id} #{epoch} {source}{silent}"));
    }

    fn leave(&mut self, index: usize, source: &str, reason: &str) {
        let standing = &mut self.standings[index];
        let Some(stay) = standing.stay.take() else { return };
        standing.left = Some(self.now);
        standing.timed_out = reason == "maxDwell";
        let id = self.buckets[index].id.clone();
        self.note(format!("-{id} #{} {source} {reason}", stay.epoch));
    }

    /// What the clock decides at `self.now`.
    fn tick(&mut self) {
        for index in 0..self.buckets.len() {
            let criteria = self.buckets[index].criteria.clone();
            let floor = Self::millis(&self.buckets[index].min_dwell).unwrap_or(0);
            match self.standings[index].stay.clone() {
                Some(stay) if stay.end.is_some_and(|end| end <= self.now) => {
                    self.leave(index, "reconcile", "maxDwell")
                }
                Some(stay)
                    if !holds(&criteria, &self.facts, self.now) && self.now - stay.entered >= floor =>
                {
                    self.leave(index, "reconcile", "criteria");
                }
                Some(_) => {}
                None => {
                    let mut leaves = Vec::new();
                    windowed(&criteria, &mut leaves);
                    let flips = leaves.iter().any(|leaf| {
                        leaf_holds(leaf, &self.facts, self.now) != leaf_holds(leaf, &self.facts, self.now - 1)
                    });
                    let again =
                        !self.standings[index].timed_out || !holds(&criteria, &self.facts, self.now - 1);
                    let allowed = self.buckets[index].reconcile_joins != Some(false);
                    if flips && again && allowed && holds(&criteria, &self.facts, self.now) {
                        self.join(index, "reconcile");
                    }
                }
            }
        }
    }

    fn pass_until(&mut self, until: i64) {
        loop {
            let mut next = i64::MAX;
            for (bucket, standing) in self.buckets.iter().zip(&self.standings) {
                let mut leaves = Vec::new();
                windowed(&bucket.criteria, &mut leaves);
                let ends = leaves.iter().flat_map(|leaf| {
                    let within = leaf.within.as_ref().unwrap().millis();
                    self.facts.events.iter().map(move |(_, at)| at.0 + within + 1)
                });
                let floor = Self::millis(&bucket.min_dwell).unwrap_or(0);
                let stay =
                    standing.stay.iter().flat_map(|stay| [stay.end, Some(stay.entered + floor)]).flatten();
                next = ends.chain(stay).filter(|at| *at > self.now).fold(next, i64::min);
            }
            if next > until {
                break;
            }
            self.now = next;
            self.tick();
        }
        self.now = until;
    }

    fn decide(&mut self, event: &str, plan: bool) {
        for index in 0..self.buckets.len() {
            let criteria = self.buckets[index].criteria.clone();
            if !names(&criteria, event, plan) {
                continue;
            }
            let floor = Self::millis(&self.buckets[index].min_dwell).unwrap_or(0);
            let is = holds(&criteria, &self.facts, self.now);
            match self.standings[index].stay.clone() {
                None if is => self.join(index, "event"),
                Some(stay) if !is && self.now - stay.entered >= floor => {
                    self.leave(index, "event", "criteria")
                }
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Whatever happens, whenever the contact is put aside, every transition equals that of the model, at its instant.
    #[test]
    fn every_transition_equals_the_models(
        picked in prop::collection::vec(0..POOL.len(), 1..6),
        steps in steps(),
        on_the_datas_clock in any::<bool>(),
    ) {
        let yaml: String = picked
            .iter()
            .enumerate()
            .map(|(index, pick)| format!("\n  - {{id: b{index}, name: B, enabled: true, {}}}", POOL[*pick]))
            .collect();
        let mut person = Person::new(&yaml);
        let mut model = Model::new(definitions(&yaml));
        let mut lines = person.event(T0, "c", json!({}));
        model.facts.add("c", T0);
        model.decide("c", false);
        let mut now = T0;
        for step in steps {
            match step {
                Step::Event { after, name, dated } => {
                    now += after * 60_000;
                    let occurred = now - dated * 60_000;
                    if on_the_datas_clock && dated == 0 {
                        lines.extend(person.imported_event(now, name));
                    } else {
                        lines.extend(person.dated(now, name, occurred));
                    }
                    model.pass_until(now);
                    model.facts.add(name, if on_the_datas_clock && dated == 0 { now } else { occurred });
                    model.decide(name, false);
                }
                Step::Plan { after, plan } => {
                    now += after * 60_000;
                    lines.extend(person.put(now, json!({ "plan": plan })));
                    model.pass_until(now);
                    model.facts.plan = plan.map(Value::from);
                    model.decide("", true);
                }
                Step::Restart { from_a_snapshot } => person.restart(from_a_snapshot),
            }
        }
        lines.extend(person.pass_until(now + 30 * HOUR));
        model.pass_until(now + 30 * HOUR);
        prop_assert_eq!(lines, model.lines);
    }
}
