//! Headers that only the sender sets.

/// Names that belong to the sender or to the connection: on a connection that is shared they would break other requests,
/// and answers are read only as they are (OB-111).
const RESERVED: [&str; 11] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "user-agent",
    "accept-encoding",
    "expect",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
];

/// Beginnings of names that belong to the sender: signatures, and what is said to a proxy.
const RESERVED_PREFIXES: [&str; 3] = ["webhook-", "svix-", "proxy-"];

/// Whether a header is set by the sender alone, neither by an operator (OB-112) nor by the file of a destination. `name` is
/// in lower case.
pub fn is_reserved_header(name: &str) -> bool {
    RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
