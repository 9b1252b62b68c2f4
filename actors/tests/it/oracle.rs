//! A slow, obvious model of one contact's memberships: it looks at everything at every instant of interest.

use std::collections::BTreeSet;

use mainspring_schemas::{
    Timestamp,
    criteria::{CompositeOperator, Criteria, EventCheck, EventLeaf, Facts, evaluate},
    definition::{Action, BucketDefinition, EntryLimit, Pace, Reaction, Trigger},
    duration::DurationSpec,
    event::contact::LeaveReason,
};
use serde_json::Value;

use crate::harness::{T0, when};

/// The events there are.
const NAMES: [&str; 3] = ["a", "b", "c"];

/// How many generations of reactions may follow from one decision.
const GENERATIONS: usize = 8;

/// The whole history, as plainly as can be.
#[derive(Default)]
struct History {
    events: Vec<(&'static str, Timestamp)>,
    by_name: [Vec<Timestamp>; 3],
    plan: Option<Value>,
}

impl History {
    fn add(&mut self, name: &'static str, at: i64) {
        self.events.push((name, Timestamp(at)));
        for (slot, known) in self.by_name.iter_mut().zip(NAMES) {
            *slot = self.events.iter().filter(|(n, _)| *n == known).map(|(_, at)| *at).collect();
            slot.sort();
        }
    }
}

impl Facts for History {
    fn property(&self, name: &str) -> Option<&Value> {
        if name == "plan" { self.plan.as_ref() } else { None }
    }

    fn occurrences(&self, event: &str) -> &[Timestamp] {
        NAMES.iter().position(|known| *known == event).map_or(&[], |index| &self.by_name[index])
    }
}

/// Evaluates by counting, not by searching.
fn holds(criteria: &Criteria, facts: &History, now: i64) -> bool {
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

fn leaf_holds(leaf: &EventLeaf, facts: &History, now: i64) -> bool {
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

/// Whether the clock alone changes the truth of a leaf at an instant.
fn flips_at(leaf: &EventLeaf, facts: &History, now: i64) -> bool {
    leaf_holds(leaf, facts, now) != leaf_holds(leaf, facts, now - 1)
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
    /// The ordinals that the schedules fired last, in definition order.
    fired: Vec<i64>,
}

#[derive(Default)]
struct Standing {
    stay: Option<Stay>,
    stays: u32,
    left: Option<i64>,
    timed_out: bool,
}

/// What sets a reaction off.
enum Moment {
    Entered,
    Left(LeaveReason),
    /// By the schedule at this place.
    Dwelled(usize),
}

/// The model.
pub struct Model {
    buckets: Vec<BucketDefinition>,
    standings: Vec<Standing>,
    facts: History,
    now: i64,
    /// Everything that happened, as [`crate::harness::line`] says it.
    pub lines: Vec<String>,
    /// Buckets that reactions touched.
    touched: BTreeSet<usize>,
    generation: usize,
    /// The newest instant at which anything was decided.
    decided: i64,
    /// Whether dwells wait for the end of [`Model::wake`].
    asleep: bool,
}

fn millis(duration: &Option<DurationSpec>) -> Option<i64> {
    duration.as_ref().map(|duration| duration.millis())
}

impl Model {
    pub fn new(buckets: Vec<BucketDefinition>) -> Self {
        let standings = buckets.iter().map(|_| Standing::default()).collect();
        Self {
            buckets,
            standings,
            facts: History::default(),
            now: T0,
            lines: Vec::new(),
            touched: BTreeSet::new(),
            generation: 0,
            decided: T0,
            asleep: false,
        }
    }

    /// An event arrives now.
    pub fn event(&mut self, name: &'static str, occurred: i64) {
        self.facts.add(name, occurred);
        self.decide(name, false);
    }

    /// The plan changes now.
    pub fn plan(&mut self, plan: Option<&str>) {
        self.facts.plan = plan.map(Value::from);
        self.decide("", true);
    }

    /// Time passes, and everything is decided at its instant.
    pub fn pass_until(&mut self, until: i64) {
        loop {
            let next = self.instants().into_iter().filter(|at| *at > self.now).min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.now = next;
            self.tick();
        }
        self.now = until;
    }

    /// Everything falls due while the engine is down; then it wakes. Only what dwells is late.
    pub fn wake(&mut self, until: i64) {
        self.asleep = true;
        self.pass_until(until);
        self.asleep = false;
        let mut fires = Vec::new();
        for (index, place) in self.schedules() {
            if let Some((at, _)) = self.due(index, place) {
                fires.push((at, index, place));
            }
        }
        fires.sort_unstable();
        for (_, index, place) in fires {
            self.dwell(index, place);
        }
    }

    fn note(&mut self, at: i64, text: String) {
        self.lines.push(format!("{} {text}", when(Timestamp(at))));
    }

    fn join(&mut self, index: usize, source: &str) {
        self.join_if_audible(index, source, true);
    }

    fn join_if_audible(&mut self, index: usize, source: &str, audible: bool) {
        let now = self.now;
        self.decided = now;
        let (bucket, standing) = (&self.buckets[index], &mut self.standings[index]);
        let prior = standing.stays;
        let by_limit = prior == 0
            || match bucket.entry_limit.unwrap_or_default() {
                EntryLimit::Unlimited => true,
                EntryLimit::Once => false,
                EntryLimit::OncePerPeriod => match (millis(&bucket.entry_period), standing.left) {
                    (Some(period), Some(left)) => now - left >= period,
                    _ => true,
                },
            };
        let announced = audible && by_limit;
        standing.stays += 1;
        let epoch = standing.stays;
        standing.stay = Some(Stay {
            epoch,
            entered: now,
            end: millis(&bucket.max_dwell).map(|longest| now + longest),
            fired: bucket.schedules().map(|_| 0).collect(),
        });
        let silent = if announced { "" } else { " silent" };
        let id = bucket.id.clone();
        self.note(now, format!("+{id} #{epoch} {source}{silent}"));
        if announced {
            self.react(index, epoch, &Moment::Entered);
        }
    }

    fn leave(&mut self, index: usize, source: &str, reason: LeaveReason) {
        let standing = &mut self.standings[index];
        let Some(stay) = standing.stay.take() else { return };
        standing.left = Some(self.now);
        self.decided = self.now;
        standing.timed_out = reason == LeaveReason::MaxDwell;
        let id = self.buckets[index].id.clone();
        self.note(self.now, format!("-{id} #{} {source} {}", stay.epoch, reason.as_str()));
        self.react(index, stay.epoch, &Moment::Left(reason));
    }

    fn decide(&mut self, event: &str, plan: bool) {
        for index in 0..self.buckets.len() {
            if names(&self.buckets[index].criteria, event, plan) {
                self.decide_one(index);
            }
        }
        self.cascade();
    }

    fn decide_one(&mut self, index: usize) {
        if !self.buckets[index].enabled {
            return;
        }
        let floor = millis(&self.buckets[index].min_dwell).unwrap_or(0);
        let is = holds(&self.buckets[index].criteria, &self.facts, self.now);
        match self.standings[index].stay.clone() {
            None if is => self.join(index, "event"),
            Some(stay) if !is && self.now - stay.entered >= floor => {
                self.leave(index, "event", LeaveReason::Criteria);
            }
            _ => {}
        }
    }

    /// Every instant at which the clock may decide something.
    fn instants(&self) -> Vec<i64> {
        let mut all = Vec::new();
        for (bucket, standing) in self.buckets.iter().zip(&self.standings) {
            let mut leaves = Vec::new();
            windowed(&bucket.criteria, &mut leaves);
            for leaf in leaves {
                let within = leaf.within.as_ref().unwrap().millis();
                all.extend(self.facts.events.iter().map(|(_, at)| at.0 + within + 1));
            }
            if let Some(stay) = &standing.stay {
                all.extend(stay.end);
                all.push(stay.entered + millis(&bucket.min_dwell).unwrap_or(0));
                for schedule in bucket.schedules() {
                    let length = schedule.length.millis();
                    all.push(stay.entered + ((self.now - stay.entered) / length + 1) * length);
                }
            }
        }
        all
    }

    /// What the clock decides now: membership of every bucket, then dwells.
    fn tick(&mut self) {
        for index in 0..self.buckets.len() {
            self.tick_one(index);
            self.cascade();
        }
        if !self.asleep {
            for (index, place) in self.schedules() {
                self.dwell(index, place);
            }
        }
    }

    fn tick_one(&mut self, index: usize) {
        if !self.buckets[index].enabled {
            return;
        }
        let criteria = self.buckets[index].criteria.clone();
        let floor = millis(&self.buckets[index].min_dwell).unwrap_or(0);
        match self.standings[index].stay.clone() {
            Some(stay) if stay.end.is_some_and(|end| end <= self.now) => {
                self.leave(index, "reconcile", LeaveReason::MaxDwell);
            }
            Some(stay) if !holds(&criteria, &self.facts, self.now) && self.now - stay.entered >= floor => {
                self.leave(index, "reconcile", LeaveReason::Criteria);
            }
            Some(_) => {}
            None => {
                let mut leaves = Vec::new();
                windowed(&criteria, &mut leaves);
                let flips = leaves.iter().any(|leaf| flips_at(leaf, &self.facts, self.now));
                let again = !self.standings[index].timed_out || !holds(&criteria, &self.facts, self.now - 1);
                let allowed = self.buckets[index].reconcile_joins != Some(false);
                if flips && again && allowed && holds(&criteria, &self.facts, self.now) {
                    self.join(index, "reconcile");
                }
            }
        }
    }

    /// A definition changes now, in anything but its criteria.
    pub fn redefine(&mut self, index: usize, definition: BucketDefinition) {
        let before = std::mem::replace(&mut self.buckets[index], definition);
        if self.buckets[index].enabled && !before.enabled {
            self.back_fill(index);
        }
        self.tick_one(index);
        let clock_came =
            before.reconcile_joins == Some(false) && self.buckets[index].reconcile_joins != Some(false);
        if clock_came && self.buckets[index].enabled && self.standings[index].stay.is_none() {
            self.join_whom_the_clock_left_out(index);
        }
    }

    fn back_fill(&mut self, index: usize) {
        let bucket = self.buckets[index].clone();
        let is = holds(&bucket.criteria, &self.facts, self.now);
        let fired = match &bucket.criteria {
            Criteria::Event(leaf) => self.facts.events.iter().any(|(name, _)| *name == leaf.event_name),
            _ => true,
        };
        let floor = millis(&bucket.min_dwell).unwrap_or(0);
        match self.standings[index].stay.clone() {
            None if is && fired => self.join_if_audible(index, "backfill", false),
            Some(stay) if !(is && fired) && self.now - stay.entered >= floor => {
                self.leave(index, "backfill", LeaveReason::Criteria);
            }
            _ => {}
        }
    }

    fn join_whom_the_clock_left_out(&mut self, index: usize) {
        let criteria = self.buckets[index].criteria.clone();
        let mut leaves = Vec::new();
        windowed(&criteria, &mut leaves);
        let flipped = leaves.iter().any(|leaf| {
            let within = leaf.within.as_ref().unwrap().millis();
            let ages = self.facts.events.iter().map(|(_, at)| at.0 + within + 1);
            ages.filter(|at| *at <= self.now).any(|at| flips_at(leaf, &self.facts, at))
        });
        let again = !self.standings[index].timed_out || !holds(&criteria, &self.facts, self.now - 1);
        if flipped && again && holds(&criteria, &self.facts, self.now) {
            self.join(index, "reconcile");
        }
    }

    /// Buckets with the places of their schedules.
    fn schedules(&self) -> Vec<(usize, usize)> {
        let places = |(index, bucket): (usize, &BucketDefinition)| {
            (0..bucket.schedules().count()).map(move |place| (index, place))
        };
        self.buckets.iter().enumerate().flat_map(places).collect()
    }

    /// The instant and ordinal of the fire of a schedule that is due now and was not fired.
    fn due(&self, index: usize, place: usize) -> Option<(i64, i64)> {
        let stay = self.standings[index].stay.as_ref()?;
        let schedule = self.buckets[index].schedules().nth(place)?;
        let length = schedule.length.millis();
        let passed = (self.now - stay.entered) / length;
        let ordinal = if schedule.pace == Pace::After { passed.min(1) } else { passed };
        (ordinal > stay.fired[place]).then(|| (stay.entered + ordinal * length, ordinal))
    }

    fn dwell(&mut self, index: usize, place: usize) {
        let Some((at, ordinal)) = self.due(index, place) else { return };
        let Some(stay) = &mut self.standings[index].stay else { return };
        stay.fired[place] = ordinal;
        let epoch = stay.epoch;
        let bucket = &self.buckets[index];
        let label = bucket.schedules().nth(place).unwrap().label();
        let text = format!("~{} #{epoch} {label} x{ordinal}", bucket.id);
        self.note(at, text);
        // What follows is not older than anything that is decided already.
        self.decided = self.decided.max(at);
        let now = std::mem::replace(&mut self.now, self.decided);
        self.react(index, epoch, &Moment::Dwelled(place));
        self.cascade();
        self.now = now;
    }

    fn react(&mut self, index: usize, epoch: u32, moment: &Moment) {
        let bucket = self.buckets[index].clone();
        let mut place = 0;
        for reaction in &bucket.reactions {
            let passes = match (&reaction.trigger, moment) {
                (Trigger::Enter { first_entry_only }, Moment::Entered) => {
                    Some(!first_entry_only || epoch == 1)
                }
                (Trigger::Leave { reasons }, Moment::Left(reason)) => {
                    Some(reasons.is_empty() || reasons.contains(reason))
                }
                (Trigger::Dwell(_), Moment::Dwelled(fired)) => (*fired == place).then_some(true),
                _ => None,
            };
            place += usize::from(reaction.schedule().is_some());
            let Some(passes) = passes else { continue };
            let outcome = match (passes, self.generation < GENERATIONS) {
                (false, _) => "filtered",
                (true, false) => "cascade",
                (true, true) => "ran",
            };
            self.note(self.now, format!("{} {outcome}", reaction.id(&bucket.id)));
            if outcome == "ran" {
                self.run(reaction);
            }
        }
    }

    fn run(&mut self, reaction: &Reaction) {
        for action in &reaction.actions {
            match action {
                Action::Set(patch) => {
                    let plan = patch["plan"].as_str();
                    if self.facts.plan.as_ref().and_then(Value::as_str) == plan {
                        continue;
                    }
                    let change = match plan {
                        Some(plan) => format!("set {{\"plan\":\"{plan}\"}}"),
                        None => "set {} -plan".to_owned(),
                    };
                    self.note(self.now, change);
                    self.facts.plan = plan.map(Value::from);
                    self.touch("", true);
                }
                Action::Track { event, .. } => {
                    let name = NAMES.into_iter().find(|name| name == event).unwrap();
                    self.note(self.now, format!("track {name}"));
                    self.facts.add(name, self.now);
                    self.touch(name, false);
                }
                Action::Send { name, .. } => self.note(self.now, format!("send {name}")),
            }
        }
    }

    fn touch(&mut self, event: &str, plan: bool) {
        for (index, bucket) in self.buckets.iter().enumerate() {
            if names(&bucket.criteria, event, plan) {
                self.touched.insert(index);
            }
        }
    }

    fn cascade(&mut self) {
        while !self.touched.is_empty() {
            self.generation += 1;
            for index in std::mem::take(&mut self.touched) {
                self.decide_one(index);
            }
        }
        self.generation = 0;
    }
}
