//! Signing secrets: their one spelling, and the key inside (OB-90, OB-91).

use std::fmt;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};

/// What every secret we make starts with.
const PREFIX: &str = "whsec_";

/// How many characters of a secret may be shown (OB-76).
const SHOWN: usize = 12;

/// Standard alphabet, padding optional: other people's secrets come without it.
const LENIENT_PADDING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A text that is no signing secret. Says nothing about the text: it may be a mistyped secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a signing secret: expected whsec_ and standard base64 of a key")]
pub struct InvalidSecret;

/// The HMAC key of one secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// Reads a secret: `whsec_` and standard base64. The prefix and the padding may be missing, and the form
    /// `v1,whsec_...` in which some senders show theirs is understood (OB-91).
    ///
    /// # Errors
    /// [`InvalidSecret`] if the key is empty or a character is foreign.
    pub fn parse(secret: &str) -> Result<Self, InvalidSecret> {
        let secret = secret.strip_prefix("v1,").unwrap_or(secret);
        let encoded = secret.strip_prefix(PREFIX).unwrap_or(secret);
        match LENIENT_PADDING.decode(encoded) {
            Ok(key) if !key.is_empty() => Ok(Self(key)),
            _ => Err(InvalidSecret),
        }
    }

    /// The bytes that key the HMAC.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    /// Never shows the key (OB-86).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// A new secret made of 32 random bytes: 50 characters (OB-90).
pub fn generate(random: [u8; 32]) -> String {
    format!("{PREFIX}{}", STANDARD.encode(random))
}

/// The part of a secret that may be shown again later: its first 12 characters (OB-76).
pub fn prefix(secret: &str) -> &str {
    secret.char_indices().nth(SHOWN).map_or(secret, |(end, _)| &secret[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob_90_a_new_secret_has_50_characters_and_reads_back() {
        let secret = generate([0xfb; 32]);
        assert_eq!(secret.len(), 50);
        assert_eq!(Key::parse(&secret).unwrap().as_bytes(), [0xfb; 32]);
        assert!(secret.contains('+') || secret.contains('/'), "standard alphabet, not base64url");
    }

    #[test]
    fn ob_76_prefix_is_twelve_characters() {
        assert_eq!(prefix("whsec_AbCd12XXXX"), "whsec_AbCd12");
        assert_eq!(prefix("short"), "short");
    }

    #[test]
    fn ob_86_debug_shows_nothing() {
        let key = Key::parse("whsec_QUJDREVGR0g=").unwrap();
        assert_eq!(format!("{key:?}"), "Key(..)");
    }
}
