//! Questions about one contact and one bucket, now or at a past instant.

use mainspring_schemas::{BucketId, ContactId, Timestamp};

use super::Engine;
use crate::{
    api::EngineError,
    contact::Fate,
    history::{HistoryError, Why, bucket_at, contact_at, why},
};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyError {
    /// There is no such contact, or there was none at that instant.
    #[error("no such contact")]
    NoContact,
    /// There is no such bucket, or there was none at that instant.
    #[error("no such bucket")]
    NoBucket,
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<HistoryError> for WhyError {
    fn from(error: HistoryError) -> Self {
        Self::Engine(EngineError::LogFailed(error.to_string()))
    }
}

impl Engine {
    /// Explains why a contact is in a bucket, or is not: now, or with `at` at an instant of the past. The contact that
    /// answers now answers for the past too, by its own history then.
    ///
    /// # Errors
    /// See [`WhyError`].
    pub async fn why(
        &self,
        contact: ContactId,
        bucket: &BucketId,
        at: Option<Timestamp>,
    ) -> Result<Why, WhyError> {
        let state = match at {
            None => self.state(contact).await?.ok_or(WhyError::NoContact)?,
            Some(at) => {
                let contact = self.answers_for(contact).await?.ok_or(WhyError::NoContact)?;
                Box::new(contact_at(&**self.log(), contact, at).await?)
            }
        };
        let contact = state.id.filter(|_| state.fate == Fate::Live).ok_or(WhyError::NoContact)?;
        let at = at.unwrap_or_else(|| self.now());
        let bucket = bucket_at(&**self.log(), bucket, at).await?;
        why(&bucket, contact, &state, at).ok_or(WhyError::NoBucket)
    }
}
