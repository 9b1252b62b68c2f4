//! Why criteria hold, or do not: every node with its truth, every leaf with what was seen.

use serde::Serialize;
use serde_json::Value;

use super::{
    Composite, CompositeOperator, Criteria, EmailLeaf, EventLeaf, Facts, PropertyLeaf,
    evaluate::{event_holds, property_holds},
    next_change::leaf_change,
    window::{counted, window_start},
};
use crate::Timestamp;

/// Most occurrences that an explained leaf lists.
pub const MAX_LISTED: usize = 10;

/// Criteria with the truth of every node, in the shape of their long form.
///
/// Nothing is skipped: also parts that [`super::evaluate`] would not look at any more have their truth.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Explanation {
    /// A property leaf.
    Property(ExplainedProperty),
    /// An event leaf.
    Event(ExplainedEvent),
    /// An email leaf.
    EmailEngagement(ExplainedEmail),
    /// A composite.
    Composite(ExplainedComposite),
}

/// A property leaf and what it saw (BK-31).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedProperty {
    /// The leaf.
    #[serde(flatten)]
    pub leaf: PropertyLeaf,
    /// Whether it holds.
    pub holds: bool,
    /// The contact's value; `None` (`null`) if it has none.
    pub observed: Option<Value>,
}

/// An event leaf and what it saw (BK-32).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedEvent {
    /// The leaf.
    #[serde(flatten)]
    pub leaf: EventLeaf,
    /// Whether it holds.
    pub holds: bool,
    /// How many occurrences it counts.
    pub count: usize,
    /// The oldest instant that counts; `None` without a window.
    pub window_start: Option<Timestamp>,
    /// The newest of the counted occurrences, newest first, at most [`MAX_LISTED`].
    pub newest: Vec<Timestamp>,
    /// The newest occurrence of all, counted or not.
    pub last_occurred_at: Option<Timestamp>,
    /// When its truth changes by the clock alone (BK-150); `None` if never.
    pub changes_at: Option<Timestamp>,
}

/// An email leaf; nothing is known about mail, so none holds (BK-34).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedEmail {
    /// The leaf.
    #[serde(flatten)]
    pub leaf: EmailLeaf,
    /// Whether it holds.
    pub holds: bool,
}

/// A composite and its parts (BK-35).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedComposite {
    /// How the parts combine.
    pub operator: CompositeOperator,
    /// Whether it holds.
    pub holds: bool,
    /// The parts, in order.
    pub conditions: Vec<Explanation>,
}

impl Explanation {
    /// Whether the criteria hold: what [`super::evaluate`] says.
    pub fn holds(&self) -> bool {
        match self {
            Self::Property(leaf) => leaf.holds,
            Self::Event(leaf) => leaf.holds,
            Self::EmailEngagement(leaf) => leaf.holds,
            Self::Composite(composite) => composite.holds,
        }
    }
}

/// Explains what [`super::evaluate`] answers for the same arguments. Pure.
pub fn explain(criteria: &Criteria, facts: &impl Facts, now: Timestamp) -> Explanation {
    match criteria {
        Criteria::Property(leaf) => Explanation::Property(property(leaf, facts)),
        Criteria::Event(leaf) => Explanation::Event(event(leaf, facts, now)),
        Criteria::EmailEngagement(leaf) => {
            Explanation::EmailEngagement(ExplainedEmail { leaf: leaf.clone(), holds: false })
        }
        Criteria::Composite(composite) => Explanation::Composite(combined(composite, facts, now)),
    }
}

fn property(leaf: &PropertyLeaf, facts: &impl Facts) -> ExplainedProperty {
    let observed = facts.property(&leaf.property).filter(|value| !value.is_null()).cloned();
    ExplainedProperty { leaf: leaf.clone(), holds: property_holds(leaf, facts), observed }
}

fn event(leaf: &EventLeaf, facts: &impl Facts, now: Timestamp) -> ExplainedEvent {
    let counted = counted(leaf, facts, now);
    ExplainedEvent {
        leaf: leaf.clone(),
        holds: event_holds(leaf, facts, now),
        count: counted.len(),
        window_start: window_start(leaf, now),
        newest: counted.iter().rev().take(MAX_LISTED).copied().collect(),
        last_occurred_at: facts.occurrences(&leaf.event_name).last().copied(),
        changes_at: leaf_change(leaf, facts, now),
    }
}

fn combined(composite: &Composite, facts: &impl Facts, now: Timestamp) -> ExplainedComposite {
    let conditions: Vec<_> = composite.conditions.iter().map(|part| explain(part, facts, now)).collect();
    let holds = match composite.operator {
        CompositeOperator::And => conditions.iter().all(Explanation::holds),
        CompositeOperator::Or => conditions.iter().any(Explanation::holds),
    };
    ExplainedComposite { operator: composite.operator, holds, conditions }
}
