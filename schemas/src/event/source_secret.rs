//! Events of a webhook source's stream: the secret that the engine made for it (WS-92).

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A secret was made; from now on the source takes callbacks that prove themselves with it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretStored {
    /// When.
    pub at: Timestamp,
    /// The secret. Sealed at rest; empty if the key that seals it is gone.
    #[serde(default)]
    pub secret: String,
}

impl std::fmt::Debug for SecretStored {
    /// Never shows the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretStored(at {})", self.at)
    }
}

/// An event of a webhook source's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSecretEvent {
    /// See [`SecretStored`].
    Stored(SecretStored),
}
