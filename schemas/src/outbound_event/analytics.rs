//! `analytics.*`: what an analytics provider is told. No endpoint can subscribe to it.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// Events under one key are those of another person, too (AA-01).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalyticsAlias {
    /// The key that goes on.
    pub user_id: CompactString,
    /// The key that is absorbed; never a user id (AA-02).
    pub alias: CompactString,
    /// `collide_merge`, `key_flip` or `click_identify` (AA-03).
    pub reason: CompactString,
}

/// Membership in a bucket as a property of the person (BK-116).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalyticsPerson {
    /// Whose.
    pub user_id: CompactString,
    /// Which property.
    pub property: String,
    /// Set to true, or taken away: not false, because cohorts ask whether it is set.
    pub is_member: bool,
}
