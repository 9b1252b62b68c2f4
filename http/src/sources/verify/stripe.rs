//! Stripe's own scheme: a timestamp and signatures in one header (WS-31).

use mainspring_schemas::source::{Algorithm, DEFAULT_TOLERANCE_SECONDS};

use super::{
    MOST_SIGNATURES, Rejection, Request, Secrets, Verified,
    digest::{digest, hex, same},
    timely,
};

pub(super) fn verify(header: &str, secrets: &Secrets, request: Request<'_>) -> Result<Verified, Rejection> {
    let value = request.headers.get(header).ok_or(Rejection::Absent)?;
    let mut timestamp = None;
    let mut signatures = Vec::new();
    for part in value.split(',') {
        match part.trim().split_once('=') {
            Some(("t", value)) => timestamp = Some(value),
            Some(("v1", value)) if signatures.len() < MOST_SIGNATURES => signatures.push(value),
            _ => {}
        }
    }
    let timestamp = timestamp.ok_or(Rejection::Unreadable)?;
    let signed_at = timely(timestamp, request.now, DEFAULT_TOLERANCE_SECONDS)?;
    let parts: [&[u8]; 3] = [timestamp.as_bytes(), b".", request.body];
    let mut matches = false;
    for secret in secrets.iter() {
        // The whole text is the key, `whsec_` included.
        let expected = hex(&digest(Algorithm::Sha256, secret.as_bytes(), &parts));
        for signature in &signatures {
            matches |= same(signature, &expected);
        }
    }
    if matches {
        Ok(Verified { signed_at: Some(signed_at), message_id: None })
    } else {
        Err(Rejection::Mismatch)
    }
}
