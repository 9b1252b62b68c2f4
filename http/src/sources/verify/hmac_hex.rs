//! The bare digest of the body in hexadecimal digits (WS-32).

use mainspring_schemas::source::Algorithm;

use super::{
    Rejection, Request, Secrets, Verified,
    digest::{digest, hex, same},
};

pub(super) fn verify(
    header: &str,
    algorithms: &[Algorithm],
    secrets: &Secrets,
    request: Request<'_>,
) -> Result<Verified, Rejection> {
    let value = request.headers.get(header).ok_or(Rejection::Absent)?.trim().to_ascii_lowercase();
    // The length of the value says which algorithm was used.
    let by_length = |algorithm: &&Algorithm| value.len() == 2 * algorithm.digest_length();
    let algorithm = algorithms.iter().find(by_length).ok_or(Rejection::Unreadable)?;
    let matches = secrets.iter().fold(false, |found, secret| {
        found | same(&value, &hex(&digest(*algorithm, secret.as_bytes(), &[request.body])))
    });
    if matches { Ok(Verified::default()) } else { Err(Rejection::Mismatch) }
}
