//! `email.*`. Nothing in this version sends mail; the types are there for what will.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Properties, Timestamp};

/// The provider took a mail (OB-13).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmailSent {
    /// The send.
    #[schemars(with = "super::published::Id")]
    pub email_send_id: Uuid,
    /// The provider's id.
    pub message_id: String,
    /// Which template.
    pub template_key: Option<String>,
    /// To which address.
    pub to: String,
    /// To whom.
    pub user_id: Option<String>,
    /// Of which category.
    pub category: Option<String>,
    /// By which run of a journey.
    #[schemars(with = "Option<super::published::Id>")]
    pub journey_state_id: Option<Uuid>,
    /// The subject.
    pub subject: String,
    /// When.
    #[schemars(with = "super::published::Instant")]
    pub sent_at: Timestamp,
}

/// Something happened to a mail: `email.delivered`, `email.opened` (OB-14), and the base of the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmailNotice {
    /// The send.
    #[schemars(with = "super::published::Id")]
    pub email_send_id: Uuid,
    /// The provider's id.
    pub message_id: Option<String>,
    /// Which template.
    pub template_key: Option<String>,
    /// To whom.
    pub user_id: Option<String>,
    /// To which address.
    pub to: String,
    /// When.
    #[schemars(with = "super::published::Instant")]
    pub at: Timestamp,
    /// Of which category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub category: Option<String>,
    /// The subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub subject: Option<String>,
}

/// A link in a mail was followed (OB-15).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmailClicked {
    /// The mail.
    #[serde(flatten)]
    pub mail: EmailNotice,
    /// Where it leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub link_url: Option<String>,
    /// The tracked link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "super::published::Id")]
    pub link_id: Option<Uuid>,
}

/// A confirmed answer in a mail (OB-16).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmailAction {
    /// The author's name of it, such as `nps.submitted`.
    pub event: String,
    /// The author's properties.
    pub properties: Option<Properties>,
    /// The send.
    #[schemars(with = "super::published::Id")]
    pub email_send_id: Uuid,
    /// Which template.
    pub template_key: Option<String>,
    /// Who answered.
    pub user_id: Option<String>,
    /// At which address; never empty.
    pub to: String,
    /// When.
    #[schemars(with = "super::published::Instant")]
    pub at: Timestamp,
    /// The tracked link.
    #[schemars(with = "super::published::Id")]
    pub link_id: Uuid,
    /// Where it leads.
    pub link_url: String,
}

/// A mail came back (OB-17).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmailBounced {
    /// The mail.
    #[serde(flatten)]
    pub mail: EmailNotice,
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BounceType")]
    pub bounce_type: Option<BounceType>,
    /// Why, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub bounce_reason: Option<String>,
}

/// How a mail came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BounceType {
    /// For good.
    Permanent,
    /// For now.
    Transient,
    /// As a complaint.
    Complaint,
    /// The provider does not say.
    Unknown,
}

/// The receiver calls a mail unwanted (OB-18).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmailComplained {
    /// The mail.
    #[serde(flatten)]
    pub mail: EmailNotice,
    /// Of which kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub complaint_type: Option<String>,
    /// Why, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub reason: Option<String>,
}
