//! Events of the audit trail (LG-11): who changed what on the admin plane. They hold no values, and nobody's data.

use serde::{Deserialize, Serialize};

use crate::{KeyId, Timestamp};

/// Somebody changed something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// When.
    pub at: Timestamp,
    /// Name of the key.
    pub actor: String,
    /// The key; `None` for the instance key.
    pub key: Option<KeyId>,
    /// `<resource>.<method>`, such as `webhooks.patch`.
    pub action: String,
    /// What kind of thing: the first segment of the path.
    pub resource: String,
    /// Which one, if it has an id; also of one that was made.
    pub resource_id: Option<String>,
    /// Template of the route.
    pub route: String,
    /// Names of the members that the request gave.
    pub fields: Vec<String>,
    /// Status of the answer.
    pub status: u16,
    /// Id of the request.
    pub request_id: Option<String>,
    /// Where the request came from.
    pub ip_address: Option<String>,
}

/// An event of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditEvent {
    /// See [`Acted`].
    Acted(Acted),
}
