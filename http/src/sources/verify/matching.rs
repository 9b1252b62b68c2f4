//! The secret itself in a header (WS-20, WS-23, WS-24).

use subtle::{Choice, ConstantTimeEq};

use super::{Rejection, Secrets, Verified};
use crate::sources::headers::Headers;

/// The header `name` alone decides if it is there; otherwise `Authorization: Bearer` does.
pub(super) fn verify(name: &str, secrets: &Secrets, headers: &Headers) -> Result<Verified, Rejection> {
    let supplied = if headers.has(name) {
        headers.get(name).ok_or(Rejection::Unreadable)?
    } else {
        let authorization = headers.get("authorization").ok_or(Rejection::Absent)?;
        authorization.strip_prefix("Bearer ").ok_or(Rejection::Absent)?
    };
    equal(secrets, supplied)
}

/// Whether `supplied` is one of the secrets, exactly. Every secret is compared, whichever matches.
pub(super) fn equal(secrets: &Secrets, supplied: &str) -> Result<Verified, Rejection> {
    let matches = secrets
        .iter()
        .fold(Choice::from(0), |found, secret| found | secret.as_bytes().ct_eq(supplied.as_bytes()));
    if bool::from(matches) { Ok(Verified::default()) } else { Err(Rejection::Mismatch) }
}
