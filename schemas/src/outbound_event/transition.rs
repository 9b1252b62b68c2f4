//! `bucket.entered` and `bucket.left`.

use schemars::JsonSchema;
use serde::Serialize;

/// A contact joined or left a bucket (OB-20, OB-21), members in the order of BK-115.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BucketTransition<'a> {
    /// Which bucket.
    pub bucket_id: &'a str,
    /// Its name for people.
    pub bucket_name: &'a str,
    /// Who: the contact key.
    pub user_id: &'a str,
    /// Their address.
    pub user_email: Option<&'a str>,
    /// `entered` or `left`.
    pub transition: &'a str,
    /// Ordinal of the stay, from 1.
    pub entry_count: u32,
    /// What made it happen: `event`, `reconcile`, `backfill`, `manual`.
    pub source: &'a str,
    /// Why it ended; only of a leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub reason: Option<&'a str>,
}
