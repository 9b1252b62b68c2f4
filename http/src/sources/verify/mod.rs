//! Whether a callback comes from its provider (section 3): pure, in constant time, and never an error: any irregularity
//! is "no" (WS-26).

mod detailed;
mod digest;
mod hmac_hex;
mod matching;
mod secrets;
mod stripe;
mod svix;

use mainspring_schemas::{
    Timestamp,
    source::{Auth, Scheme},
};

use super::headers::Headers;
pub use secrets::Secrets;

/// Most signatures of one request that are examined (WS-96).
const MOST_SIGNATURES: usize = 10;

/// A request that comes from its provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// The timestamp that was signed along.
    pub signed_at: Option<Timestamp>,
    /// The id of the message that was signed along (WS-50).
    pub message_id: Option<String>,
}

/// Why a request does not count as its provider's. For operators only: callers are told nothing of it (WS-07).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rejection {
    /// The header that must hold the proof is not there.
    Absent,
    /// The header cannot be read.
    Unreadable,
    /// The timestamp is too far from now.
    Stale,
    /// Nothing in it matches.
    Mismatch,
}

impl Rejection {
    /// The word operators see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "signature_absent",
            Self::Unreadable => "signature_unreadable",
            Self::Stale => "timestamp_out_of_tolerance",
            Self::Mismatch => "signature_mismatch",
        }
    }
}

/// One request, as far as it is signed.
#[derive(Clone, Copy)]
pub struct Request<'r> {
    /// Its headers.
    pub headers: &'r Headers,
    /// Exactly the bytes received (WS-27).
    pub body: &'r [u8],
    /// When it was received.
    pub now: Timestamp,
}

/// Checks a request by the rules of its source; any of the secrets will do (WS-22).
///
/// # Errors
/// Why the request is refused.
pub fn verify(auth: &Auth, secrets: &Secrets, request: Request<'_>) -> Result<Verified, Rejection> {
    match auth {
        Auth::Match { header, .. } => matching::verify(header, secrets, request.headers),
        Auth::Signature { scheme, fallback_header, .. } => {
            let fallback = fallback_header.as_deref();
            match fallback.and_then(|header| request.headers.get(header)) {
                Some(secret) if !has_signature(scheme, request.headers) => matching::equal(secrets, secret),
                _ => signature(scheme, secrets, request),
            }
        }
    }
}

fn signature(scheme: &Scheme, secrets: &Secrets, request: Request<'_>) -> Result<Verified, Rejection> {
    match scheme {
        Scheme::Svix => svix::verify(secrets, request),
        Scheme::Stripe { header } => stripe::verify(header, secrets, request),
        Scheme::HmacHex { header, algorithms } => hmac_hex::verify(header, algorithms, secrets, request),
        Scheme::Detailed(scheme) => detailed::verify(scheme, secrets, request),
    }
}

/// Whether the request claims to be signed: then the signature alone decides (WS-24).
fn has_signature(scheme: &Scheme, headers: &Headers) -> bool {
    match scheme {
        Scheme::Svix => svix::SIGNATURE_HEADERS.iter().any(|name| headers.has(name)),
        Scheme::Stripe { header } | Scheme::HmacHex { header, .. } => headers.has(header),
        Scheme::Detailed(scheme) => headers.has(&scheme.header),
    }
}

/// A timestamp in unix seconds, decimal digits only, that is at most `tolerance` seconds from now in either direction.
fn timely(text: &str, now: Timestamp, tolerance: i64) -> Result<Timestamp, Rejection> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse::<i64>().ok().filter(|_| digits).ok_or(Rejection::Unreadable)?;
    let distance = now.0.div_euclid(1000).abs_diff(seconds);
    if distance > tolerance.unsigned_abs() {
        return Err(Rejection::Stale);
    }
    Ok(Timestamp(seconds.saturating_mul(1000)))
}
