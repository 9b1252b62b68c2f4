//! How a source proves that a request comes from its provider (section 3 of the webhook sources specification).

use serde::{Deserialize, Serialize};

/// How old or early a signed timestamp may be unless a source says otherwise, in seconds (WS-30).
pub const DEFAULT_TOLERANCE_SECONDS: i64 = 300;

/// The proof a source demands: exactly one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A header holds the secret itself (WS-20, WS-23).
    Match {
        /// Name of the header, in lower case; `Authorization: Bearer` counts as well.
        header: String,
        /// The variable that holds the secret.
        env: String,
    },
    /// A header holds a signature of the body (WS-21).
    Signature {
        /// How it is made.
        scheme: Scheme,
        /// The variable that holds the secret.
        env: String,
        /// A header whose plain secret is accepted where no signature is given, in lower case (WS-24).
        fallback_header: Option<String>,
    },
}

impl Auth {
    /// The variable that holds the secret.
    pub fn env(&self) -> &str {
        match self {
            Self::Match { env, .. } | Self::Signature { env, .. } => env,
        }
    }

    /// The kind as operators see it.
    pub fn variant(&self) -> &'static str {
        match self {
            Self::Match { .. } => "match",
            Self::Signature { .. } => "signature",
        }
    }

    /// The name of the scheme, if it is a signature.
    pub fn scheme_name(&self) -> Option<&'static str> {
        match self {
            Self::Match { .. } => None,
            Self::Signature { scheme, .. } => Some(scheme.name()),
        }
    }

    /// Headers that hold the secret itself, in lower case: nobody else may see them.
    pub fn secret_headers(&self) -> impl Iterator<Item = &str> {
        let own = match self {
            Self::Match { header, .. } => Some(header.as_str()),
            Self::Signature { fallback_header, .. } => fallback_header.as_deref(),
        };
        ["authorization", "proxy-authorization", "cookie"].into_iter().chain(own)
    }
}

/// How a signature is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Svix and Standard Webhooks (WS-30).
    Svix,
    /// Stripe's own (WS-31).
    Stripe {
        /// Name of the header, in lower case.
        header: String,
    },
    /// The bare digest of the body in hexadecimal digits (WS-32).
    HmacHex {
        /// Name of the header, in lower case.
        header: String,
        /// What may be used; the length of the value chooses.
        algorithms: Vec<Algorithm>,
    },
    /// One described in detail (WS-143).
    Detailed(DetailedScheme),
}

impl Scheme {
    /// The name as authors write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Svix => "svix",
            Self::Stripe { .. } => "stripe",
            Self::HmacHex { .. } => "hmac-hex",
            Self::Detailed(_) => "detailed",
        }
    }
}

/// A signature scheme in its parts (WS-143).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetailedScheme {
    /// Name of the header with the signature, in lower case.
    pub header: String,
    /// The hash below HMAC.
    pub algorithm: Algorithm,
    /// How the digest is written.
    pub encoding: Encoding,
    /// What stands before the digest, such as `sha1=`.
    pub prefix: String,
    /// What is signed.
    pub content: Vec<Signed>,
    /// Name of the header with the timestamp in unix seconds, in lower case.
    pub timestamp_header: Option<String>,
    /// How far the timestamp may be from now, in seconds, boundary included.
    pub tolerance_seconds: i64,
}

/// A hash below HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// 20 bytes. Still sound inside HMAC.
    Sha1,
    /// 32 bytes.
    Sha256,
    /// 64 bytes.
    Sha512,
}

impl Algorithm {
    /// Every algorithm by its name.
    pub const ALL: [(&str, Self); 3] =
        [("sha1", Self::Sha1), ("sha256", Self::Sha256), ("sha512", Self::Sha512)];

    /// Length of a digest in bytes.
    pub fn digest_length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// How a digest is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal digits of either case.
    Hex,
    /// Standard base64 with padding.
    Base64,
}

/// A part of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// A text as it stands.
    Text(String),
    /// The value of the timestamp header.
    Timestamp,
    /// The body, byte by byte.
    Body,
}
