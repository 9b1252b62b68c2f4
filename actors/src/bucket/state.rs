//! What is true about one bucket, and how each event changes it.

use std::sync::Arc;

use mainspring_eventlog::Position;
use mainspring_schemas::{ContactId, Timestamp, definition::BucketDefinition, event::BucketEvent};

use crate::rules::Rule;

/// A back-fill, running or through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backfill {
    /// The criteria it decides.
    pub criteria_hash: String,
    /// How many contacts there were to look at.
    pub total: u64,
    /// How many are decided.
    pub processed: u64,
    /// The last contact decided.
    pub cursor: Option<ContactId>,
    /// Whether it is through.
    pub completed: bool,
}

/// One bucket, as the replay of its stream gives it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BucketState {
    /// The newest definition.
    pub definition: Option<Arc<BucketDefinition>>,
    /// Digest of its criteria.
    pub criteria_hash: String,
    /// Whether the definition went away.
    pub retired: bool,
    /// The operator's switch; wins over the definition (BK-200).
    pub switch: Option<bool>,
    /// The record and the instant since which members must be decided by the definition: A.
    pub activated: Option<(Position, Timestamp)>,
    /// The newest back-fill.
    pub backfill: Option<Backfill>,
    /// When anything last changed.
    pub updated_at: Timestamp,
    /// Position of its newest record that changes the rules.
    pub revision: Position,
    /// Version of its last record.
    pub version: Option<u64>,
}

impl BucketState {
    /// Whether the bucket decides anything.
    pub fn enabled(&self) -> bool {
        let defined = self.definition.as_ref().is_some_and(|definition| definition.enabled);
        !self.retired && self.switch.unwrap_or(defined)
    }

    /// Whether contacts are still being decided by the definition in force.
    pub fn is_building(&self) -> bool {
        self.enabled() && !self.backfill.as_ref().is_some_and(|fill| fill.completed)
    }

    /// The bucket as a rule; `None` if it is not defined now.
    pub fn rule(&self) -> Option<Rule> {
        let definition = self.definition.clone().filter(|_| !self.retired)?;
        let (position, at) = self.activated?;
        Some(Rule::new(definition, self.enabled(), position, at))
    }

    /// Brings the state to where it is after an event that stands at `position`.
    pub fn apply(&mut self, event: &BucketEvent, version: u64, position: Position) {
        self.version = Some(version);
        match event {
            BucketEvent::Defined(defined) => {
                self.definition = Some(Arc::new(defined.definition.clone()));
                self.criteria_hash.clone_from(&defined.criteria_hash);
                self.retired = false;
                if defined.re_evaluates || self.activated.is_none() {
                    self.activated = Some((position, defined.at));
                    self.backfill = None;
                }
                self.revision = position;
                self.updated_at = defined.at;
            }
            BucketEvent::Retired(retired) => {
                self.retired = true;
                self.revision = position;
                self.updated_at = retired.at;
            }
            BucketEvent::Switched(switched) => {
                let before = self.enabled();
                self.switch = Some(switched.enabled);
                if switched.enabled && !before {
                    self.activated = Some((position, switched.at));
                    self.backfill = None;
                }
                self.revision = position;
                self.updated_at = switched.at;
            }
            BucketEvent::BackfillStarted(started) => {
                self.backfill = Some(Backfill {
                    criteria_hash: started.criteria_hash.clone(),
                    total: started.total,
                    processed: 0,
                    cursor: None,
                    completed: false,
                });
            }
            BucketEvent::BackfillAdvanced(advanced) => {
                if let Some(fill) = &mut self.backfill {
                    fill.processed = advanced.processed;
                    fill.cursor = Some(advanced.cursor);
                }
            }
            BucketEvent::BackfillCompleted(completed) => {
                if let Some(fill) = &mut self.backfill {
                    fill.processed = completed.processed;
                    fill.completed = true;
                }
            }
        }
    }
}
