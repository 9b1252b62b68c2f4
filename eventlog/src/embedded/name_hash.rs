//! The hash under which a stream's name stands in the index: SipHash-1-3, keyed per log.
//!
//! The standard library's hasher is the same function today but promises no stable output, and the index checkpoint
//! needs one.

/// A keyed hash of names.
#[derive(Clone, Copy, Debug)]
pub(super) struct NameHash {
    /// The function; tests put in one that collides.
    pub function: fn(&[u8; 16], &[u8]) -> u64,
}

impl Default for NameHash {
    fn default() -> Self {
        Self { function: sip_hash_1_3 }
    }
}

fn word(bytes: &[u8]) -> u64 {
    let mut padded = [0; 8];
    padded[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(padded)
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

/// SipHash with one round per word and three at the end.
pub(super) fn sip_hash_1_3(key: &[u8; 16], bytes: &[u8]) -> u64 {
    let (k0, k1) = (word(&key[..8]), word(&key[8..]));
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let words = bytes.chunks_exact(8);
    let last = word(words.remainder()) | (bytes.len() as u64) << 56;
    for chunk in words {
        let m = word(chunk);
        v[3] ^= m;
        round(&mut v);
        v[0] ^= m;
    }
    v[3] ^= last;
    round(&mut v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for _ in 0..3 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hasher};

    use super::*;

    #[test]
    fn agrees_with_the_standard_library_under_a_zero_key() {
        let text = "contact-018f9f3a-2c41-7c3e-9a50-1f0d6b1f7a11";
        for end in 0..text.len() {
            let mut oracle = DefaultHasher::new();
            oracle.write(&text.as_bytes()[..end]);
            assert_eq!(sip_hash_1_3(&[0; 16], &text.as_bytes()[..end]), oracle.finish(), "length {end}");
        }
    }

    #[test]
    fn the_key_matters() {
        assert_ne!(sip_hash_1_3(&[1; 16], b"name"), sip_hash_1_3(&[2; 16], b"name"));
    }
}
