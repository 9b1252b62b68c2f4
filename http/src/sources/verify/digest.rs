//! Keyed digests and how they are written.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mainspring_schemas::source::Algorithm;
use ring::hmac;
use subtle::ConstantTimeEq;

/// The HMAC of what `parts` are together.
pub(super) fn digest(algorithm: Algorithm, key: &[u8], parts: &[&[u8]]) -> hmac::Tag {
    let algorithm = match algorithm {
        Algorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Algorithm::Sha256 => hmac::HMAC_SHA256,
        Algorithm::Sha512 => hmac::HMAC_SHA512,
    };
    let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
    parts.iter().for_each(|part| context.update(part));
    context.sign()
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(tag: &hmac::Tag) -> String {
    use std::fmt::Write as _;
    tag.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Standard base64 with padding.
pub(super) fn base64(tag: &hmac::Tag) -> String {
    STANDARD.encode(tag)
}

/// Whether two texts are equal, in a time that depends on their lengths only.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
