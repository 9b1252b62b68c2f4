//! Schemes that a source describes in their parts (WS-143).

use mainspring_schemas::source::{DetailedScheme, Encoding, Signed};

use super::{
    Rejection, Request, Secrets, Verified,
    digest::{base64, digest, hex, same},
    timely,
};

pub(super) fn verify(
    scheme: &DetailedScheme,
    secrets: &Secrets,
    request: Request<'_>,
) -> Result<Verified, Rejection> {
    let value = request.headers.get(&scheme.header).ok_or(Rejection::Absent)?.trim();
    let value = value.strip_prefix(scheme.prefix.as_str()).ok_or(Rejection::Unreadable)?;
    let timestamp = match &scheme.timestamp_header {
        Some(header) => request.headers.get(header).ok_or(Rejection::Absent)?.trim(),
        None => "",
    };
    let signed_at = match &scheme.timestamp_header {
        Some(_) => Some(timely(timestamp, request.now, scheme.tolerance_seconds)?),
        None => None,
    };
    let parts: Vec<&[u8]> = scheme
        .content
        .iter()
        .map(|part| match part {
            Signed::Text(text) => text.as_bytes(),
            Signed::Timestamp => timestamp.as_bytes(),
            Signed::Body => request.body,
        })
        .collect();
    let matches = secrets.iter().fold(false, |found, secret| {
        let expected = digest(scheme.algorithm, secret.as_bytes(), &parts);
        found
            | match scheme.encoding {
                Encoding::Hex => same(&value.to_ascii_lowercase(), &hex(&expected)),
                Encoding::Base64 => same(value, &base64(&expected)),
            }
    });
    if matches { Ok(Verified { signed_at, message_id: None }) } else { Err(Rejection::Mismatch) }
}
