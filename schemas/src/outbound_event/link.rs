//! `link.*`. Links are not tracked in this version; the type is there for what will.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;

/// A tracked link outside of mail was followed (OB-22).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkClicked {
    /// The tracked link.
    #[schemars(with = "super::published::Id")]
    pub link_id: Uuid,
    /// Where it was published.
    pub source: Option<String>,
    /// Whom it was made for; null for a broadcast link.
    pub user_id: Option<String>,
    /// Always null: no mail.
    pub email_send_id: Option<()>,
    /// Always null: no mail.
    pub message_id: Option<()>,
    /// Where it leads.
    pub link_url: String,
    /// When.
    #[schemars(with = "super::published::Instant")]
    pub at: Timestamp,
}
