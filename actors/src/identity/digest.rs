//! Keyed hashes of identity keys: stream names tell nothing about a person to whoever lacks the secret (invariant 9).

use hmac::{Hmac, KeyInit, Mac};
use mainspring_schemas::{
    StreamName,
    identity::{IdentityKey, KeyKind},
};
use sha2::Sha256;

/// Hashes keys with this installation's secret. Losing the secret means losing the owners of all keys.
#[derive(Clone)]
pub struct KeyHasher {
    keyed: Hmac<Sha256>,
}

impl std::fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHasher")
    }
}

impl KeyHasher {
    /// A hasher with a secret of 32 bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        // HMAC pads a short key with zeros to its block; doing it here leaves nothing that can fail.
        let mut block = [0; 64];
        block[..32].copy_from_slice(secret);
        Self { keyed: Hmac::new(&block.into()) }
    }

    /// The digest of a key; different kinds never share one.
    pub fn digest(&self, key: &IdentityKey) -> [u8; 16] {
        let mut mac = self.keyed.clone();
        mac.update(key.kind.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(key.value.as_bytes());
        let full = mac.finalize().into_bytes();
        let mut digest = [0; 16];
        digest.copy_from_slice(&full[..16]);
        digest
    }

    /// The name of a key's lock: the same for one value in every kind, since a `userId` also designates by the values of
    /// other kinds (KE-24).
    pub fn lock_name(&self, key: &IdentityKey) -> u128 {
        let value = match key.kind {
            KeyKind::External => key.value.strip_prefix("discord:").unwrap_or(&key.value),
            _ => &key.value,
        };
        let kind = KeyKind::External;
        u128::from_be_bytes(self.digest(&IdentityKey { kind, value: value.into() }))
    }

    /// The stream that says who owns a key.
    pub fn stream(&self, key: &IdentityKey) -> StreamName {
        StreamName::identity(key.kind.as_str(), &self.digest(key))
    }
}
