//! Tokens that have told analytics whose session it is: each does it once (TK-15).

use std::collections::{HashSet, VecDeque};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::token::LIFE_SECONDS;

type Hash = [u8; 32];

/// Remembers used tokens as long as they are good, by their hashes; for the life of the process.
#[derive(Debug, Default)]
pub struct UsedTokens(Mutex<Used>);

#[derive(Debug, Default)]
struct Used {
    known: HashSet<Hash>,
    /// When each was used, in unix seconds; oldest first.
    by_age: VecDeque<(i64, Hash)>,
}

impl UsedTokens {
    /// Uses a good token at `now`, in unix seconds. Says whether it is the first time.
    pub fn take(&self, token: &str, now: i64) -> bool {
        // A token is the same with and without padding (TK-11).
        let hash: Hash = Sha256::digest(token.trim_end_matches('=')).into();
        let mut used = self.0.lock();
        // No token is good for longer than that after its use.
        while let Some((_, over)) = used.by_age.pop_front_if(|(at, _)| *at < now - LIFE_SECONDS) {
            used.known.remove(&over);
        }
        let is_new = used.known.insert(hash);
        if is_new {
            used.by_age.push_back((now, hash));
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tk_15_a_token_is_new_once_and_remembered_for_its_life() {
        let used = UsedTokens::default();
        assert!(used.take("a", 0) && used.take("b", 10));
        assert!(!used.take("a", 5) && !used.take("b==", LIFE_SECONDS));
        assert!(used.take("c", LIFE_SECONDS + 1));
        assert_eq!(used.0.lock().known.len(), 2, "the first one is not good any more");
    }
}
