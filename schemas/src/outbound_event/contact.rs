//! `contact.*`.

use compact_str::CompactString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ContactId, Properties, Timestamp, catalog::PublicContact};

/// A contact right after the record that changed it (OB-10, OB-42).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactData {
    /// The contact's id.
    #[schemars(with = "super::published::Id")]
    pub id: ContactId,
    /// Primary external key.
    #[schemars(with = "Option<String>")]
    pub external_id: Option<CompactString>,
    /// Primary address.
    #[schemars(with = "Option<String>")]
    pub email: Option<CompactString>,
    /// The external key, else the anonymous one, else the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_key: Option<String>,
    /// All properties.
    pub properties: Properties,
    /// Creation instant; the minimum after merges.
    #[schemars(with = "super::published::Instant")]
    pub first_seen_at: Timestamp,
    /// Instant at which the last call resolved to this contact.
    #[schemars(with = "super::published::Instant")]
    pub last_seen_at: Timestamp,
    /// Creation of the record.
    #[schemars(with = "super::published::Instant")]
    pub created_at: Timestamp,
    /// Last change.
    #[schemars(with = "super::published::Instant")]
    pub updated_at: Timestamp,
}

impl ContactData {
    /// The data of a contact as the data plane shows it.
    pub fn new(contact: PublicContact, contact_key: String) -> Self {
        Self {
            id: contact.id,
            external_id: contact.external_id,
            email: contact.email,
            contact_key: Some(contact_key),
            properties: contact.properties,
            first_seen_at: contact.first_seen_at,
            last_seen_at: contact.last_seen_at,
            created_at: contact.created_at,
            updated_at: contact.updated_at,
        }
    }
}

/// A contact that is gone, as it was before (OB-11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactDeleted {
    /// The contact's id.
    #[schemars(with = "super::published::Id")]
    pub id: ContactId,
    /// Primary external key.
    #[schemars(with = "Option<String>")]
    pub external_id: Option<CompactString>,
    /// Primary address.
    #[schemars(with = "Option<String>")]
    pub email: Option<CompactString>,
    /// `deleted`, `erased` or `merged`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub reason: Option<CompactString>,
}

/// A contact became part of another one (MC-45).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactMerged {
    /// Who is left, with everything.
    #[schemars(with = "Properties")]
    pub survivor: PublicContact,
    /// Who is gone.
    pub loser: LostContact,
    /// Why.
    #[schemars(with = "String")]
    pub reason: CompactString,
}

/// A contact that vanished into another one, as it was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LostContact {
    /// The contact's id.
    #[schemars(with = "super::published::Id")]
    pub id: ContactId,
    /// Primary external key.
    #[schemars(with = "Option<String>")]
    pub external_id: Option<CompactString>,
    /// Primary address.
    #[schemars(with = "Option<String>")]
    pub email: Option<CompactString>,
}

/// Someone opted out (OB-12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactUnsubscribed {
    /// The contact's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::published::Id>")]
    pub contact_id: Option<ContactId>,
    /// The external key, else the contact's id.
    #[schemars(with = "Option<String>")]
    pub external_id: Option<CompactString>,
    /// The address.
    #[schemars(with = "Option<String>")]
    pub email: Option<CompactString>,
    /// Of what; null if of everything.
    #[schemars(with = "Option<String>")]
    pub category: Option<CompactString>,
    /// Of everything, or of one category.
    pub scope: OptOutScope,
}

/// How far an opt-out reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptOutScope {
    /// All mail.
    All,
    /// One category.
    Category,
}
