//! An open-addressing hash table from a 64-bit hash to an address: 16 bytes per slot and nothing else.
//!
//! Linear probing, nothing is ever removed. Twenty million streams in 256 tables take 512 MiB.

use super::layout::Address;

/// One slot: the hash, and the address or zero if the slot is free.
type Slot = [u64; 2];

/// The table. Cloning copies it; sharing it with a checkpoint is done around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    slots: Vec<Slot>,
    used: usize,
}

/// Bytes of a slot in a dump.
pub(super) const SLOT_BYTES: usize = 16;

impl Table {
    fn slot_of(&self, hash: u64) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        // The upper bits chose the table, the lower ones choose the slot.
        let mut at = hash as usize & mask;
        while self.slots[at][1] != 0 && self.slots[at][0] != hash {
            at = (at + 1) & mask;
        }
        Some(at)
    }

    pub fn get(&self, hash: u64) -> Option<Address> {
        let at = self.slot_of(hash)?;
        let address = self.slots[at][1];
        (address != 0).then_some(Address(address))
    }

    /// Puts an address under a hash and returns the one that was there.
    pub fn set(&mut self, hash: u64, address: Address) -> Option<Address> {
        if (self.used + 1) * 5 > self.slots.len() * 4 {
            self.grow();
        }
        let at = self.slot_of(hash)?;
        let before = std::mem::replace(&mut self.slots[at], [hash, address.0])[1];
        if before == 0 {
            self.used += 1;
            return None;
        }
        Some(Address(before))
    }

    fn grow(&mut self) {
        let larger = (self.slots.len() * 2).max(16);
        let old = std::mem::replace(&mut self.slots, vec![[0; 2]; larger]);
        let mask = larger - 1;
        for slot in old.into_iter().filter(|slot| slot[1] != 0) {
            let mut at = slot[0] as usize & mask;
            while self.slots[at][1] != 0 {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot;
        }
    }

    pub fn len(&self) -> usize {
        self.used
    }

    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Adds the raw slots to `into`.
    pub fn dump(&self, into: &mut Vec<u8>) {
        into.reserve(self.slots.len() * SLOT_BYTES);
        for slot in &self.slots {
            into.extend_from_slice(&slot[0].to_le_bytes());
            into.extend_from_slice(&slot[1].to_le_bytes());
        }
    }

    /// The table that [`Table::dump`] wrote; `None` if the bytes cannot be one.
    pub fn load(bytes: &[u8], used: usize) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<SLOT_BYTES>();
        if !rest.is_empty() || (!chunks.is_empty() && !chunks.len().is_power_of_two()) {
            return None;
        }
        if used > chunks.len() || used * 5 > chunks.len() * 4 {
            return None;
        }
        let half = |bytes: &[u8; SLOT_BYTES], at: usize| super::layout::le64(bytes, at);
        let slots: Vec<Slot> = chunks.iter().map(|chunk| [half(chunk, 0), half(chunk, 8)]).collect();
        (slots.iter().filter(|slot| slot[1] != 0).count() == used).then_some(Self { slots, used })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn behaves_like_a_map_even_when_all_hashes_share_their_lower_bits() {
        for spread in [1_u64, 1 << 20, 0x9e37_79b9_7f4a_7c15] {
            let (mut table, mut model) = (Table::default(), HashMap::new());
            for i in 1..2_000_u64 {
                let (hash, address) = ((i % 700).wrapping_mul(spread), Address(i));
                assert_eq!(table.set(hash, address), model.insert(hash, address));
            }
            assert_eq!(table.len(), model.len());
            for (hash, address) in &model {
                assert_eq!(table.get(*hash), Some(*address));
            }
            assert_eq!(table.get(701_u64.wrapping_mul(spread)), None);
            let mut bytes = Vec::new();
            table.dump(&mut bytes);
            assert_eq!(Table::load(&bytes, table.len()), Some(table));
        }
    }

    #[test]
    fn an_impossible_dump_is_refused() {
        assert_eq!(Table::load(&[0; 24], 0), None);
        assert_eq!(Table::load(&[0; 48], 0), None);
        assert_eq!(Table::load(&[0; 16], 1), None);
        assert_eq!(Table::load(&[], 0), Some(Table::default()));
    }
}
