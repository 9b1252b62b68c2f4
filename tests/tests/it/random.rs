//! Chance that can be repeated.

use std::{
    env,
    hash::{BuildHasher, Hasher, RandomState},
};

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `from..to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from)
    }

    /// Whether something of this many percent happens.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.between(0, 100) < percent
    }

    /// Another source, independent of what this one yields later.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }
}

/// The seed of `MAINSPRING_TEST_SEED`, else a new one.
pub fn seed() -> u64 {
    let given = env::var("MAINSPRING_TEST_SEED").ok();
    given.map_or_else(|| RandomState::new().build_hasher().finish(), |seed| seed.parse().unwrap())
}

/// How often load and kill alternate: `MAINSPRING_TEST_ROUNDS`, else few enough for every run of the tests.
pub fn rounds() -> usize {
    env::var("MAINSPRING_TEST_ROUNDS").map_or(6, |rounds| rounds.parse().unwrap())
}
