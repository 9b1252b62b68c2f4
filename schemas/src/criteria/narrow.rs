//! Which events and properties can change an answer (BK-40).

use std::collections::BTreeSet;

use compact_str::CompactString;

use super::Criteria;

/// What criteria look at: the entries of the indexes that find the buckets an ingest touches (BK-40, BK-41).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touches {
    /// Names of events.
    pub events: BTreeSet<CompactString>,
    /// Names of properties.
    pub properties: BTreeSet<CompactString>,
    /// Neither: only empty composites, so everything touches them.
    pub wildcard: bool,
}

impl Touches {
    /// What `criteria` look at.
    pub fn of(criteria: &Criteria) -> Self {
        let mut touches = Self::default();
        criteria.walk(&mut |node| match node {
            Criteria::Property(leaf) => drop(touches.properties.insert(leaf.property.clone())),
            Criteria::Event(leaf) => drop(touches.events.insert(leaf.event_name.clone())),
            Criteria::EmailEngagement(_) | Criteria::Composite(_) => {}
        });
        touches.wildcard = touches.events.is_empty() && touches.properties.is_empty();
        touches
    }
}
