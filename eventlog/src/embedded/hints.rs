//! Where readers of the whole log stopped, so that going on needs no search.

use parking_lot::Mutex;

use super::layout::Address;
use crate::Position;

const KEPT: usize = 16;

/// The last few places at which a read ended.
#[derive(Debug, Default)]
pub(super) struct Hints {
    ring: Mutex<([(Position, u64); KEPT], usize)>,
}

impl Hints {
    /// The frame that begins with exactly this position, if a read ended there.
    pub fn find(&self, position: Position) -> Option<Address> {
        let ring = self.ring.lock();
        ring.0
            .iter()
            .find(|(at, address)| *at == position && *address != 0)
            .map(|(_, address)| Address(*address))
    }

    pub fn keep(&self, position: Position, address: Address) {
        let mut ring = self.ring.lock();
        let (places, next) = &mut *ring;
        let slot = places.iter().position(|(at, _)| *at == position).unwrap_or(*next);
        places[slot] = (position, address.0);
        if slot == *next {
            *next = (*next + 1) % KEPT;
        }
    }
}
