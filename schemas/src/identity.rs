//! Identity keys: their kinds and their one normalization (KE-01..KE-08).

use compact_str::{CompactString, format_compact};
use serde::{Deserialize, Serialize};

use crate::SourceId;

/// What kind of key designates a contact. The order is that in which keys are attached (RS-06), but for a provider's,
/// which is weighed right after the user id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// The caller's `userId`; case-sensitive.
    External,
    /// An address; compared in lower case.
    Email,
    /// A Discord snowflake, supplied by connectors only.
    Discord,
    /// A device or browser id; the weakest evidence (RS-20).
    Anonymous,
    /// A provider's own id of a customer, such as `stripe:cus_9`, supplied by webhook sources only (WS-106).
    Provider,
}

impl KeyKind {
    /// All kinds, in order. Stored numbers of kinds are places in here: new ones come last.
    pub const ALL: [Self; 5] = [Self::External, Self::Email, Self::Discord, Self::Anonymous, Self::Provider];

    /// Whether one key of the kind is the primary one, which the wire fields show. No wire field shows a provider's id.
    pub fn has_primary(self) -> bool {
        self != Self::Provider
    }

    /// The kind's name in stream names and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Email => "email",
            Self::Discord => "discord",
            Self::Anonymous => "anonymous",
            Self::Provider => "provider",
        }
    }
}

/// A normalized (kind, value) pair. Never empty.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IdentityKey {
    /// Which kind.
    pub kind: KeyKind,
    /// The normalized value.
    pub value: CompactString,
}

impl IdentityKey {
    /// Normalizes a supplied value; `None` if nothing is left, which counts as not supplied (KE-07).
    pub fn new(kind: KeyKind, supplied: &str) -> Option<Self> {
        let trimmed = supplied.trim_matches(is_trimmed);
        if trimmed.is_empty() {
            return None;
        }
        let value = match kind {
            KeyKind::Email => CompactString::from(trimmed.to_lowercase()),
            _ => CompactString::from(trimmed),
        };
        Some(Self { kind, value })
    }

    /// The key of a provider's customer: `<provider>:<id>` (WS-106); `None` if the id is blank.
    pub fn of_provider(provider: &SourceId, id: &str) -> Option<Self> {
        let id = Self::new(KeyKind::Provider, id)?.value;
        Some(Self { kind: KeyKind::Provider, value: format_compact!("{provider}:{id}") })
    }

    /// The provider's own id in a provider key.
    pub fn id_at_provider(&self) -> Option<&str> {
        if self.kind != KeyKind::Provider {
            return None;
        }
        self.value.split_once(':').map(|(_, id)| id)
    }
}

impl std::fmt::Debug for IdentityKey {
    /// Shows the kind only: values are personal data (invariant 9).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:***", self.kind.as_str())
    }
}

/// White space as ECMAScript trims it (KE-06): U+0085 is not part of it, U+FEFF is.
fn is_trimmed(c: char) -> bool {
    matches!(c, '\u{9}'..='\u{d}' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}' | '\u{2029}'
        | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{feff}')
}

/// Whether a supplied address has an acceptable shape, judged before trimming (DP-02, IG-01).
///
/// Accepts what the common validators accept: a dotted local part of letters, digits and ``!#$%&'*+/=?^_`{|}~-``, and
/// a host of at least two labels whose last has two letters or more. No blanks, no quotes, no literal addresses.
pub fn is_email_shaped(supplied: &str) -> bool {
    let Some((local, host)) = supplied.split_once('@') else { return false };
    let local_atom = |atom: &str| {
        !atom.is_empty()
            && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.chars().all(|c| {
                c == '-' || if c.is_ascii() { c.is_ascii_alphanumeric() } else { c.is_alphanumeric() }
            })
    };
    let labels: Vec<&str> = host.split('.').collect();
    let top = labels.last().copied().unwrap_or_default();
    local.split('.').all(local_atom)
        && !local.ends_with('\'')
        && labels.len() >= 2
        && labels.iter().all(|l| label(l))
        && top.chars().count() >= 2
        && (top.chars().all(char::is_alphabetic) || top.starts_with("xn--"))
        && supplied.chars().count() <= 320
}
