//! Standard Webhooks 1.0.0 signatures, symmetric: made for every attempt, and verified by receivers (section 6).

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use mainspring_schemas::{Timestamp, event::endpoint::SigningSecret};
use reqwest::header::{HeaderMap, HeaderValue};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::secret::{InvalidSecret, Key};

/// Header with the message id (OB-100).
pub const ID_HEADER: &str = "webhook-id";
/// Header with the unix seconds of the attempt (OB-101).
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Header with the signatures (OB-102).
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// How far a timestamp may be off, each way, in seconds (OB-105).
pub const TOLERANCE_SECONDS: i64 = 300;

/// Value of [`SIGNATURE_HEADER`]: one `v1,<base64>` per key in the order given, separated by one space (OB-102).
pub fn sign(keys: &[Key], message: &str, unix_seconds: i64, body: &[u8]) -> String {
    let mut header = String::with_capacity(keys.len() * 48);
    for key in keys {
        if !header.is_empty() {
            header.push(' ');
        }
        header.push_str("v1,");
        STANDARD.encode_string(mac(key, message, unix_seconds, body), &mut header);
    }
    header
}

/// How many secrets signed a request (OB-181).
pub fn count(headers: &HeaderMap) -> u8 {
    let signatures = headers.get(SIGNATURE_HEADER).map_or(&[][..], HeaderValue::as_bytes);
    let entries = signatures.split(|byte| *byte == b' ').filter(|entry| !entry.is_empty());
    u8::try_from(entries.count()).unwrap_or(u8::MAX)
}

/// The keys that sign at `now`, newest first: a secret signs until its end (OB-94).
///
/// # Errors
/// [`InvalidSecret`] if one that should sign cannot be read.
pub fn keys_in_force(secrets: &[SigningSecret], now: Timestamp) -> Result<Vec<Key>, InvalidSecret> {
    let in_force = secrets.iter().filter(|secret| secret.expires_at.is_none_or(|end| now < end));
    in_force.map(|secret| Key::parse(&secret.secret)).collect()
}

/// Why a delivery is not authentic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The timestamp is no decimal number.
    #[error("the timestamp is unreadable")]
    Timestamp,
    /// More than [`TOLERANCE_SECONDS`] away from the receiver's time: perhaps a replay.
    #[error("the timestamp is too far from now")]
    Stale,
    /// No entry of the header was made with one of the keys.
    #[error("no signature matches")]
    Mismatch,
}

/// What a receiver does: accepts if any `v1` entry of the header matches any key, and the attempt is recent.
///
/// # Errors
/// [`Rejected`] with the reason.
pub fn verify(
    keys: &[Key],
    message: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Rejected> {
    let unix_seconds: i64 = timestamp.parse().map_err(|_| Rejected::Timestamp)?;
    // The signature covers the header as it was sent; another spelling of the number is not what was signed.
    if unix_seconds.to_string() != timestamp {
        return Err(Rejected::Timestamp);
    }
    if unix_seconds.saturating_sub(now.0.div_euclid(1000)).saturating_abs() > TOLERANCE_SECONDS {
        return Err(Rejected::Stale);
    }
    let expected: Vec<_> = keys.iter().map(|key| mac(key, message, unix_seconds, body)).collect();
    let matches = signatures
        .split(' ')
        .filter_map(|entry| STANDARD.decode(entry.strip_prefix("v1,")?).ok())
        .any(|given| expected.iter().any(|expected| bool::from(expected[..].ct_eq(&given))));
    if matches { Ok(()) } else { Err(Rejected::Mismatch) }
}

/// HMAC-SHA256 over `<id>.<timestamp>.<body>` (OB-104).
fn mac(key: &Key, message: &str, unix_seconds: i64, body: &[u8]) -> [u8; 32] {
    let mut hmac = keyed(key);
    hmac.update(message.as_bytes());
    hmac.update(b".");
    hmac.update(unix_seconds.to_string().as_bytes());
    hmac.update(b".");
    hmac.update(body);
    hmac.finalize().into_bytes().into()
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
fn keyed(key: &Key) -> Hmac<Sha256> {
    Hmac::new_from_slice(key.as_bytes()).expect("HMAC takes keys of every length")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_781_524_800;

    fn key(seed: u8) -> Key {
        Key::parse(&crate::secret::generate([seed; 32])).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    #[test]
    fn ob_105_stale_and_foreign_signatures_are_rejected() {
        let header = sign(&[key(1)], "msg_1", NOW, b"{}");
        let check = |keys: &[Key], timestamp: &str, body: &[u8], now| {
            verify(keys, "msg_1", timestamp, &header, body, at(now))
        };
        let sent = NOW.to_string();
        assert_eq!(check(&[key(2), key(1)], &sent, b"{}", NOW + 300), Ok(()));
        assert_eq!(check(&[key(1)], &sent, b"{}", NOW + 301), Err(Rejected::Stale));
        assert_eq!(check(&[key(1)], &sent, b"{}", NOW - 301), Err(Rejected::Stale));
        assert_eq!(check(&[key(2)], &sent, b"{}", NOW), Err(Rejected::Mismatch));
        assert_eq!(check(&[key(1)], &sent, b"{ }", NOW), Err(Rejected::Mismatch));
        assert_eq!(check(&[key(1)], "soon", b"{}", NOW), Err(Rejected::Timestamp));
        assert_eq!(check(&[key(1)], &format!("+{sent}"), b"{}", NOW), Err(Rejected::Timestamp));
    }

    #[test]
    fn ob_94_expired_secrets_do_not_sign() {
        let secret =
            |seed: u8, expires_at| SigningSecret { secret: crate::secret::generate([seed; 32]), expires_at };
        let secrets = [secret(3, None), secret(2, Some(at(NOW))), secret(1, Some(at(NOW + 1)))];
        assert_eq!(keys_in_force(&secrets, at(NOW)), Ok(vec![key(3), key(1)]));
        assert_eq!(keys_in_force(&secrets, at(NOW + 1)), Ok(vec![key(3)]));
    }
}
