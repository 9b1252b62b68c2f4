//! The idempotency keys a contact used (IG-20). There may be hundreds of thousands of one machine user, every event asks for
//! one and adds one, and their digests come in no order.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::state::Remembered;

/// Newest keys that are kept apart. A key that comes in moves at most these; all others are moved once per so many keys.
const RECENT: usize = 2048;

/// Keys by their digests.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Remembered>", into = "Vec<Remembered>")]
pub struct UsedKeys {
    /// The older ones, sorted. Copies of a state share them.
    older: Option<Arc<Vec<Remembered>>>,
    /// The newest ones, sorted, fewer than [`RECENT`].
    recent: Vec<Remembered>,
}

fn find(sorted: &[Remembered], digest: u128) -> Result<&Remembered, usize> {
    sorted.binary_search_by_key(&digest, |key| key.digest).map(|index| &sorted[index])
}

impl UsedKeys {
    /// The key of a digest.
    pub fn get(&self, digest: u128) -> Option<&Remembered> {
        let older = || self.older.as_ref().and_then(|older| find(older, digest).ok());
        find(&self.recent, digest).ok().or_else(older)
    }

    /// Adds a key, unless its digest is known.
    pub(super) fn insert(&mut self, key: Remembered) {
        if self.get(key.digest).is_some() {
            return;
        }
        if let Err(index) = find(&self.recent, key.digest) {
            self.recent.insert(index, key);
        }
        if self.recent.len() >= RECENT {
            *self = self.sorted().into();
        }
    }

    /// Adds many keys at once, in a time that grows with their number only. What is known stays.
    pub(super) fn insert_all(&mut self, more: impl IntoIterator<Item = Remembered>) {
        let mut more = more.into_iter().peekable();
        if more.peek().is_none() {
            return;
        }
        let mut all = self.sorted();
        all.extend(more);
        // Stable: of two with the same digest the one that was known comes first.
        all.sort_by_key(|key| key.digest);
        all.dedup_by_key(|key| key.digest);
        *self = all.into();
    }

    /// All keys, sorted by digest.
    pub fn sorted(&self) -> Vec<Remembered> {
        let mut all = Vec::with_capacity(self.len());
        all.extend(self.older.iter().flat_map(|older| older.iter()).cloned());
        all.extend_from_slice(&self.recent);
        // Two sorted runs: this sort finds them and merges.
        all.sort_by_key(|key| key.digest);
        all
    }

    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.older.as_ref().map_or(0, |older| older.len()) + self.recent.len()
    }
}

impl From<Vec<Remembered>> for UsedKeys {
    fn from(sorted: Vec<Remembered>) -> Self {
        if sorted.len() < RECENT {
            Self { older: None, recent: sorted }
        } else {
            Self { older: Some(Arc::new(sorted)), recent: Vec::new() }
        }
    }
}

impl From<UsedKeys> for Vec<Remembered> {
    fn from(keys: UsedKeys) -> Self {
        keys.sorted()
    }
}

/// The same keys, wherever they are kept.
impl PartialEq for UsedKeys {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.sorted() == other.sorted()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mainspring_schemas::RecordId;
    use sha2::{Digest, Sha256};
    use uuid::Uuid;

    use super::*;

    fn key(n: usize) -> Remembered {
        let digest =
            Sha256::digest(n.to_le_bytes())[..16].iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte));
        Remembered { digest, event: RecordId(Uuid::from_u128(n as u128)), request: n as u64 }
    }

    #[test]
    fn ig_20_many_keys_are_found_and_none_moves_often() {
        let (mut keys, mut expected) = (UsedKeys::default(), BTreeMap::new());
        for n in 0..3 * RECENT + 7 {
            keys.insert(key(n));
            keys.insert(Remembered { request: 0, ..key(n / 2) });
            expected.insert(key(n).digest, key(n));
            assert!(keys.recent.len() < RECENT);
        }
        assert!(keys.sorted().iter().eq(expected.values()), "the first use of a key counts");
        assert!(expected.values().all(|key| keys.get(key.digest) == Some(key)));
        assert_eq!(keys.get(key(usize::MAX).digest), None);
        assert_eq!(keys.older.as_ref().map(|older| older.len()), Some(3 * RECENT));
        let mut at_once = UsedKeys::from(vec![key(5)]);
        at_once.insert_all((0..3 * RECENT + 7).map(key).chain([Remembered { request: 0, ..key(1) }]));
        assert_eq!(at_once, keys);
        let copy = keys.clone();
        assert!(
            copy.older.iter().zip(&keys.older).all(|(copy, own)| Arc::ptr_eq(copy, own)),
            "a copy is cheap"
        );
        let bytes = rmp_serde::to_vec_named(&keys).unwrap();
        let read: UsedKeys = rmp_serde::from_slice(&bytes).unwrap();
        assert!(read == keys && read.recent.is_empty(), "the same, though kept otherwise");
        assert_eq!(bytes, rmp_serde::to_vec_named(&keys.sorted()).unwrap(), "snapshots stay as they were");
    }
}
