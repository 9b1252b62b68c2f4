//! Which frame is the newest of each stream.
//!
//! The table knows streams by the hash of their name only; whoever follows an address compares the name in the frame.
//! When two names share a hash, the first one written has the table's slot and the others stand here by name.
//! Only what is durable is ever put in.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use mainspring_schemas::StreamName;
use parking_lot::RwLock;

use super::{layout::Address, name_hash::NameHash, table::Table};

/// Number of tables: each grows on its own, so that growing never stops the writer for long.
pub(super) const TABLES: usize = 256;

/// The index.
pub(super) struct Index {
    key: [u8; 16],
    hash: NameHash,
    tables: Vec<RwLock<Arc<Table>>>,
    overflow: RwLock<HashMap<StreamName, Address>>,
    has_overflow: AtomicBool,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("streams", &self.len()).finish_non_exhaustive()
    }
}

/// An index at one moment, cheap to take: tables are copied only when they are written while this exists.
pub(super) struct Image {
    pub key: [u8; 16],
    pub tables: Vec<Arc<Table>>,
    pub overflow: HashMap<StreamName, Address>,
}

/// The index contradicts the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contradiction;

impl Index {
    pub fn new(key: [u8; 16], hash: NameHash) -> Self {
        Self::from_image(Image { key, tables: Vec::new(), overflow: HashMap::new() }, hash)
    }

    pub fn from_image(mut image: Image, hash: NameHash) -> Self {
        image.tables.resize_with(TABLES, Arc::default);
        Self {
            key: image.key,
            hash,
            tables: image.tables.into_iter().map(RwLock::new).collect(),
            has_overflow: AtomicBool::new(!image.overflow.is_empty()),
            overflow: RwLock::new(image.overflow),
        }
    }

    pub fn image(&self) -> Image {
        Image {
            key: self.key,
            tables: self.tables.iter().map(|table| Arc::clone(&table.read())).collect(),
            overflow: self.overflow.read().clone(),
        }
    }

    /// The hash under which a name stands here.
    pub fn hash(&self, name: &str) -> u64 {
        (self.hash.function)(&self.key, name.as_bytes())
    }

    fn table(&self, hash: u64) -> &RwLock<Arc<Table>> {
        &self.tables[(hash >> 56) as usize]
    }

    /// A frame that may be the stream's newest: it is, or it does not name the stream, which then does not exist.
    pub fn find(&self, hash: u64, stream: &StreamName) -> Option<Address> {
        if self.has_overflow.load(Ordering::Acquire)
            && let Some(address) = self.overflow.read().get(stream)
        {
            return Some(*address);
        }
        self.table(hash).read().get(hash)
    }

    /// Notes the newest frame of a stream whose frame before was `previous` (`NONE` = it is new).
    pub fn publish(
        &self,
        hash: u64,
        stream: &StreamName,
        previous: Address,
        address: Address,
    ) -> Result<(), Contradiction> {
        if self.has_overflow.load(Ordering::Acquire)
            && let Some(known) = self.overflow.write().get_mut(stream)
        {
            return if std::mem::replace(known, address) == previous { Ok(()) } else { Err(Contradiction) };
        }
        let mut table = self.table(hash).write();
        let known = table.get(hash).unwrap_or(Address::NONE);
        if previous == Address::NONE && known != Address::NONE {
            drop(table);
            self.overflow.write().insert(stream.clone(), address);
            self.has_overflow.store(true, Ordering::Release);
            return Ok(());
        }
        if known != previous {
            return Err(Contradiction);
        }
        Arc::make_mut(&mut table).set(hash, address);
        Ok(())
    }

    /// Number of streams.
    pub fn len(&self) -> usize {
        self.tables.iter().map(|table| table.read().len()).sum::<usize>() + self.overflow.read().len()
    }

    /// Bytes the tables take.
    pub fn bytes(&self) -> usize {
        self.tables.iter().map(|table| table.read().capacity() * super::table::SLOT_BYTES).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(i: u64) -> StreamName {
        StreamName::new(format!("contact-{i}"))
    }

    #[test]
    fn names_that_share_a_hash_keep_their_own_addresses() {
        let index = Index::new([0; 16], NameHash { function: |_, _| 5 });
        for i in 1..=3 {
            index.publish(5, &name(i), Address::NONE, Address(i)).unwrap();
        }
        index.publish(5, &name(2), Address(2), Address(20)).unwrap();
        index.publish(5, &name(1), Address(1), Address(10)).unwrap();
        assert_eq!(index.find(5, &name(1)), Some(Address(10)));
        assert_eq!(index.find(5, &name(2)), Some(Address(20)));
        assert_eq!(index.find(5, &name(3)), Some(Address(3)));
        assert_eq!(index.len(), 3);
        // A stream that does not exist is sent to a frame that does not name it.
        assert_eq!(index.find(5, &name(4)), Some(Address(10)));
    }

    #[test]
    fn a_frame_that_does_not_follow_the_known_one_is_a_contradiction() {
        let index = Index::new([0; 16], NameHash::default());
        let hash = index.hash("contact-1");
        index.publish(hash, &name(1), Address::NONE, Address(1)).unwrap();
        assert_eq!(index.publish(hash, &name(1), Address(7), Address(9)), Err(Contradiction));
        assert_eq!(
            index.publish(index.hash("contact-2"), &name(2), Address(7), Address(9)),
            Err(Contradiction)
        );
    }

    #[test]
    fn an_image_does_not_change_with_the_index() {
        let index = Index::new([0; 16], NameHash::default());
        let hash = index.hash("contact-1");
        index.publish(hash, &name(1), Address::NONE, Address(1)).unwrap();
        let image = index.image();
        index.publish(hash, &name(1), Address(1), Address(2)).unwrap();
        let old = Index::from_image(image, NameHash::default());
        assert_eq!(
            (old.find(hash, &name(1)), index.find(hash, &name(1))),
            (Some(Address(1)), Some(Address(2)))
        );
    }
}
