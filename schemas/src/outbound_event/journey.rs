//! `journey.*`. Journeys are not part of this version; the type is there for what will run them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;

/// A run of a journey came to its natural end (OB-19).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JourneyCompleted {
    /// Which journey.
    pub journey_id: String,
    /// Its name for people.
    pub journey_name: String,
    /// Which run.
    #[schemars(with = "super::published::Id")]
    pub state_id: Uuid,
    /// Of whom.
    pub user_id: String,
    /// Their address.
    pub user_email: String,
    /// When.
    #[schemars(with = "super::published::Instant")]
    pub completed_at: Timestamp,
}
