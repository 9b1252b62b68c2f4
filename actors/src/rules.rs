//! The definitions in force, compiled for deciding: which buckets an ingest touches, and what each demands.

use std::{collections::HashMap, sync::Arc};

use compact_str::CompactString;
use mainspring_eventlog::Position;
use mainspring_schemas::{
    BucketId, Timestamp,
    criteria::{CompositeOperator, Criteria, EventCheck, EventLeaf, Touches},
    definition::{BucketDefinition, EntryLimit, Pace, Schedule},
    duration::DurationSpec,
};

/// When stays dwell, ready to decide by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DwellSchedule {
    /// Its name within the bucket (BK-121).
    pub label: CompactString,
    /// Once or again and again.
    pub pace: Pace,
    /// The age, or the time from one fire to the next, in milliseconds.
    pub length: i64,
    /// Since when it decides: whatever is older falls due then, once (BK-135, BK-138, BK-201).
    pub since: Timestamp,
    /// How stays catch up that are older.
    pub catch_up: CatchUp,
}

/// How stays that were past the threshold of a schedule when it came fire for the first time (BK-138).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatchUp {
    /// All at the instant since which the schedule decides.
    AtOnce,
    /// Each at an instant of its own, which a pass over the contacts gives to it.
    InTurn {
        /// Whether the pass is on its way: who has no instant yet waits for one. Once it is through, who was overlooked
        /// need not wait.
        giving: bool,
    },
}

impl DwellSchedule {
    fn new(schedule: &Schedule, since: Timestamp) -> Self {
        let (label, length) = (schedule.label(), schedule.length.millis());
        Self { label, pace: schedule.pace, length, since, catch_up: CatchUp::AtOnce }
    }
}

/// One bucket's definition, ready to decide by.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The definition as authored, in long form.
    pub definition: Arc<BucketDefinition>,
    /// What it demands.
    pub criteria: Criteria,
    /// Whether it decides at all (BK-200).
    pub enabled: bool,
    /// The record since which members must be decided by it (BK-188).
    pub activated_position: Position,
    /// The instant of that record: A.
    pub activated_at: Timestamp,
    /// The shortest stay before a leave, in milliseconds (BK-92).
    pub min_dwell: i64,
    /// Since when it is no longer than that.
    pub min_dwell_since: Timestamp,
    /// The longest stay, in milliseconds (BK-140).
    pub max_dwell: Option<i64>,
    /// Since when there is a longest stay: stays that have no end yet get one as of this instant (BK-142).
    pub max_dwell_since: Timestamp,
    /// When stays dwell, in definition order; empty while that is held (BK-135).
    pub dwell: Vec<DwellSchedule>,
    /// The quiet time between announced joins, in milliseconds (BK-85).
    pub entry_period: Option<i64>,
    /// Whether the clock alone may make a contact join (BK-156).
    pub clock_joins: bool,
    /// Since when it may.
    pub clock_joins_since: Timestamp,
    /// A single event leaf's event: back-fill looks only at contacts that ever fired it (BK-186).
    pub floor_event: Option<CompactString>,
    /// The event whose newest occurrence anchors the dwell of back-filled members (BK-187).
    pub anchor_event: Option<CompactString>,
}

impl Rule {
    /// Compiles a definition.
    pub fn new(
        definition: Arc<BucketDefinition>,
        enabled: bool,
        activated_position: Position,
        activated_at: Timestamp,
    ) -> Self {
        let criteria = definition.criteria.clone();
        let millis = |duration: &Option<DurationSpec>| duration.as_ref().map(DurationSpec::millis);
        Self {
            enabled,
            activated_position,
            activated_at,
            min_dwell: millis(&definition.min_dwell).unwrap_or(0),
            min_dwell_since: Timestamp(i64::MIN),
            max_dwell: millis(&definition.max_dwell),
            max_dwell_since: activated_at,
            dwell: definition
                .schedules()
                .map(|schedule| DwellSchedule::new(schedule, activated_at))
                .collect(),
            entry_period: millis(&definition.entry_period),
            clock_joins: definition.reconcile_joins != Some(false),
            clock_joins_since: Timestamp(i64::MIN),
            floor_event: single_event(&criteria),
            anchor_event: anchor_event(&criteria),
            criteria,
            definition,
        }
    }

    /// The bucket's id.
    pub fn bucket(&self) -> &BucketId {
        &self.definition.id
    }

    /// How often joins are announced.
    pub fn entry_limit(&self) -> EntryLimit {
        self.definition.entry_limit.unwrap_or_default()
    }
}

fn single_event(criteria: &Criteria) -> Option<CompactString> {
    match criteria {
        Criteria::Event(leaf) => Some(leaf.event_name.clone()),
        _ => None,
    }
}

/// A single windowed event leaf, or the lapsed-active shape: both legs on one event, in either order (BK-156, BK-187).
fn anchor_event(criteria: &Criteria) -> Option<CompactString> {
    match criteria {
        Criteria::Event(leaf) if leaf.within.is_some() => single_event(criteria),
        Criteria::Composite(composite) if composite.operator == CompositeOperator::And => {
            let [Criteria::Event(a), Criteria::Event(b)] = composite.conditions.as_slice() else {
                return None;
            };
            let lapsed = |ever: &EventLeaf, absent: &EventLeaf| {
                ever.event_name == absent.event_name
                    && ever.check == EventCheck::Exists
                    && ever.within.is_none()
                    && absent.check == EventCheck::NotExists
                    && absent.within.is_some()
            };
            (lapsed(a, b) || lapsed(b, a)).then(|| a.event_name.clone())
        }
        _ => None,
    }
}

/// All definitions in force at one position of the log, in definition order.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Position of the newest definition record.
    pub revision: Position,
    /// The rules; their index is their place in definition order.
    pub rules: Vec<Rule>,
    by_event: HashMap<CompactString, Vec<u32>>,
    by_property: HashMap<CompactString, Vec<u32>>,
    wildcard: Vec<u32>,
}

impl Rules {
    /// Indexes the rules for candidate narrowing (BK-40).
    pub fn new(revision: Position, rules: Vec<Rule>) -> Self {
        let mut set = Self { revision, rules, ..Self::default() };
        for (index, rule) in (0_u32..).zip(&set.rules) {
            if !rule.enabled {
                continue;
            }
            let touches = Touches::of(&rule.criteria);
            for event in &touches.events {
                set.by_event.entry(event.clone()).or_default().push(index);
            }
            for property in &touches.properties {
                set.by_property.entry(property.clone()).or_default().push(index);
            }
            if touches.wildcard {
                set.wildcard.push(index);
            }
        }
        set
    }

    /// The rule at a place of the definition order.
    pub fn rule(&self, index: u32) -> Option<&Rule> {
        self.rules.get(index as usize)
    }

    /// Adds the rules that an event of this name touches (BK-41).
    pub fn touched_by_event(&self, name: &str, candidates: &mut Vec<u32>) {
        candidates.extend_from_slice(self.by_event.get(name).map_or(&[], Vec::as_slice));
        candidates.extend_from_slice(&self.wildcard);
    }

    /// Adds the rules that a property of this name touches (BK-42, BK-43).
    pub fn touched_by_property(&self, name: &str, candidates: &mut Vec<u32>) {
        candidates.extend_from_slice(self.by_property.get(name).map_or(&[], Vec::as_slice));
    }

    /// Adds the rule of a bucket.
    pub fn touched_by_stay(&self, bucket: &BucketId, candidates: &mut Vec<u32>) {
        let index = (0_u32..).zip(&self.rules).find(|(_, rule)| rule.enabled && rule.bucket() == bucket);
        candidates.extend(index.map(|(index, _)| index));
    }

    /// Adds the rules that touch everything.
    pub fn wildcards(&self, candidates: &mut Vec<u32>) {
        candidates.extend_from_slice(&self.wildcard);
    }
}
