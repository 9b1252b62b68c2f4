//! The newest version of streams written lately, durable or about to be.
//!
//! Two generations instead of a list of recent use: when the young one is full it becomes the old one, and the old
//! one is forgotten. What is used again moves back to the young one.

use std::collections::HashMap;

use mainspring_schemas::StreamName;

use super::layout::Address;
use crate::Version;

/// The end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Version of its last record.
    pub version: Version,
    /// The frame that holds it.
    pub address: Address,
}

/// The bounded memory of heads.
#[derive(Debug)]
pub(super) struct Heads {
    young: HashMap<StreamName, Head>,
    old: HashMap<StreamName, Head>,
    limit: usize,
}

impl Heads {
    pub fn new(streams: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), limit: (streams / 2).max(1) }
    }

    pub fn get(&mut self, stream: &StreamName) -> Option<Head> {
        if let Some(head) = self.young.get(stream) {
            return Some(*head);
        }
        let (name, head) = self.old.remove_entry(stream)?;
        self.young.insert(name, head);
        Some(head)
    }

    pub fn set(&mut self, stream: &StreamName, head: Head) {
        match self.young.get_mut(stream) {
            Some(known) => *known = head,
            None => {
                // An older head must not come back after this one was forgotten.
                self.old.remove(stream);
                self.young.insert(stream.clone(), head);
            }
        }
    }

    /// Forgets the oldest half if there are too many. Not to be called while a head is not durable: the index, where
    /// forgotten heads are found again, does not know it yet.
    pub fn age(&mut self) {
        if self.young.len() >= self.limit {
            self.old = std::mem::take(&mut self.young);
        }
    }

    /// Forgets everything, because some of it did not become durable.
    pub fn forget(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_survives_and_the_rest_is_forgotten() {
        let mut heads = Heads::new(4);
        let name = |i: u64| StreamName::new(format!("contact-{i}"));
        for i in 0..100 {
            heads.set(&name(i), Head { version: i, address: Address(i) });
            heads.age();
            assert!(heads.get(&name(0)).is_some());
        }
        assert!(heads.get(&name(50)).is_none());
        assert!(heads.young.len() + heads.old.len() <= 5);
    }

    #[test]
    fn a_newer_head_replaces_an_aged_one() {
        let mut heads = Heads::new(2);
        let name = StreamName::new("contact-1");
        heads.set(&name, Head { version: 1, address: Address(1) });
        heads.age();
        heads.set(&name, Head { version: 2, address: Address(2) });
        assert_eq!(heads.get(&name).map(|head| head.version), Some(2));
    }
}
