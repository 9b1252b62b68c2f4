//! Events of the stream of API keys (AU-01..AU-14). Only digests of keys are ever stored.

use serde::{Deserialize, Serialize};

use crate::{KeyId, Timestamp};

/// What a key may do (AU-20).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Reads of the admin plane.
    Read,
    /// Switches and single journeys; includes `read`.
    JourneyAdmin,
    /// Everything.
    FullAdmin,
    /// The data plane.
    Ingest,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 4] = [Self::Read, Self::JourneyAdmin, Self::FullAdmin, Self::Ingest];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::JourneyAdmin => "journey-admin",
            Self::FullAdmin => "full-admin",
            Self::Ingest => "ingest",
        }
    }

    /// Whether holding `self` grants `needed`: a ladder, with `ingest` beside it (AU-20).
    pub fn grants(self, needed: Self) -> bool {
        self == needed || self == Self::FullAdmin || (self == Self::JourneyAdmin && needed == Self::Read)
    }
}

/// A key was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCreated {
    /// When.
    pub at: Timestamp,
    /// The row.
    pub id: KeyId,
    /// For people.
    pub name: String,
    /// Lower-case hex SHA-256 of the whole key (AU-08).
    pub digest: String,
    /// The first eight characters, shown in lists.
    pub prefix: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Who made it.
    pub created_by: Option<String>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// A key was revoked, at once and for good (AU-10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRevoked {
    /// When.
    pub at: Timestamp,
    /// The row.
    pub id: KeyId,
}

/// An event of the stream of API keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessEvent {
    /// See [`KeyCreated`].
    Created(KeyCreated),
    /// See [`KeyRevoked`].
    Revoked(KeyRevoked),
}

#[cfg(test)]
mod tests {
    use super::Scope::{self, FullAdmin, Ingest, JourneyAdmin, Read};

    #[test]
    fn au_20_ladder_with_ingest_beside_it() {
        let granted =
            |held: Scope| Scope::ALL.into_iter().filter(|needed| held.grants(*needed)).collect::<Vec<_>>();
        assert_eq!(granted(Read), [Read]);
        assert_eq!(granted(JourneyAdmin), [Read, JourneyAdmin]);
        assert_eq!(granted(FullAdmin), Scope::ALL);
        assert_eq!(granted(Ingest), [Ingest]);
    }
}
