//! Svix and Standard Webhooks: id, timestamp and body, signed together (WS-30).

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use mainspring_schemas::source::{Algorithm, DEFAULT_TOLERANCE_SECONDS};

use super::{
    MOST_SIGNATURES, Rejection, Request, Secrets, Verified,
    digest::{base64, digest, same},
    timely,
};

/// Where the signature stands in either family of headers.
pub(super) const SIGNATURE_HEADERS: [&str; 2] = ["svix-signature", "webhook-signature"];

/// The families, of which one must be complete: id, timestamp, signature.
const FAMILIES: [[&str; 3]; 2] = [
    ["svix-id", "svix-timestamp", SIGNATURE_HEADERS[0]],
    ["webhook-id", "webhook-timestamp", SIGNATURE_HEADERS[1]],
];

const SECRET: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn verify(secrets: &Secrets, request: Request<'_>) -> Result<Verified, Rejection> {
    let value = |name| request.headers.get(name).filter(|value| !value.is_empty());
    let family = |[id, timestamp, signature]: [&'static str; 3]| {
        Some((value(id)?, value(timestamp)?, value(signature)?))
    };
    let (id, timestamp, signatures) = FAMILIES.into_iter().find_map(family).ok_or(Rejection::Absent)?;
    let signed_at = timely(timestamp, request.now, DEFAULT_TOLERANCE_SECONDS)?;
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", timestamp.as_bytes(), b".", request.body];
    let mut matches = false;
    for key in secrets.iter().filter_map(key) {
        let expected = base64(&digest(Algorithm::Sha256, &key, &parts));
        for entry in signatures.split(' ').take(MOST_SIGNATURES) {
            matches |= entry
                .split_once(',')
                .is_some_and(|(version, value)| version == "v1" && same(value, &expected));
        }
    }
    if matches {
        Ok(Verified { signed_at: Some(signed_at), message_id: Some(id.to_owned()) })
    } else {
        Err(Rejection::Mismatch)
    }
}

/// The signing key of a secret as its provider shows it: `whsec_...`, `v1,whsec_...` or bare.
fn key(secret: &str) -> Option<Vec<u8>> {
    let secret = secret.strip_prefix("v1,").unwrap_or(secret);
    let secret = secret.strip_prefix("whsec_").unwrap_or(secret);
    SECRET.decode(secret).ok().filter(|key| !key.is_empty())
}
