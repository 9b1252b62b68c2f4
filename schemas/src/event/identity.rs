//! Events of an identity claim's stream: who owns a key. The first append wins (RS-82).

use serde::{Deserialize, Serialize};

use crate::{ContactId, Timestamp};

/// The key belongs to a contact from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// When.
    pub at: Timestamp,
    /// The owner.
    pub contact: ContactId,
}

/// The key is free again (KE-10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// When.
    pub at: Timestamp,
}

/// An event of an identity claim's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityEvent {
    /// See [`Claimed`].
    Claimed(Claimed),
    /// See [`Released`].
    Released(Released),
}
