//! When a contact did what: every occurrence of every event name, so that any criterion, also one written tomorrow,
//! is answered exactly from the state alone.

use compact_str::CompactString;
use mainspring_schemas::Timestamp;
use serde::{Deserialize, Serialize};

/// Event names with the instants of all their occurrences, ascending. Sorted by name; a contact knows few of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Occurrences(Vec<(CompactString, Vec<Timestamp>)>);

impl Occurrences {
    /// Instants at which `name` occurred, ascending; empty if never.
    pub fn of(&self, name: &str) -> &[Timestamp] {
        self.find(name).map_or(&[], |index| self.0[index].1.as_slice())
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(name))
    }

    /// Adds one occurrence. Back-dated ones are put in their place.
    pub fn add(&mut self, name: &CompactString, at: Timestamp) {
        match self.find(name) {
            Ok(index) => insert_sorted(&mut self.0[index].1, at),
            Err(index) => self.0.insert(index, (name.clone(), vec![at])),
        }
    }

    /// Adds another contact's history (BK-240).
    pub fn unite(&mut self, name: &CompactString, instants: &[Timestamp]) {
        match self.find(name) {
            Ok(index) => {
                let own = &mut self.0[index].1;
                own.extend_from_slice(instants);
                own.sort_unstable();
            }
            Err(index) => self.0.insert(index, (name.clone(), instants.to_vec())),
        }
    }

    /// All names with their instants.
    pub fn iter(&self) -> impl Iterator<Item = (&CompactString, &[Timestamp])> {
        self.0.iter().map(|(name, instants)| (name, instants.as_slice()))
    }
}

fn insert_sorted(instants: &mut Vec<Timestamp>, at: Timestamp) {
    match instants.last() {
        Some(last) if *last > at => {
            let place = instants.partition_point(|known| *known <= at);
            instants.insert(place, at);
        }
        _ => instants.push(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occurrences_stay_sorted_whatever_order_they_arrive_in() {
        let mut occurrences = Occurrences::default();
        let name = CompactString::from("a");
        for at in [5, 1, 9, 5, 3] {
            occurrences.add(&name, Timestamp(at));
        }
        occurrences.unite(&name, &[Timestamp(2), Timestamp(10)]);
        let instants: Vec<i64> = occurrences.of("a").iter().map(|t| t.0).collect();
        assert_eq!(instants, [1, 2, 3, 5, 5, 9, 10]);
        assert!(occurrences.of("b").is_empty());
    }
}
