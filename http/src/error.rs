//! Refusals and their wire shapes (HT-20..HT-31).

use actix_web::{
    HttpResponse, HttpResponseBuilder, ResponseError,
    http::{StatusCode, header},
};
use mainspring_actors::api::EngineError;
use mainspring_projections::ProjectionError;
use serde_json::json;

use crate::issues::Issue;

/// Seconds after which an overloaded server is worth another try.
const TRY_AGAIN: &str = "1";

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// HT-20: the request has another shape.
    #[error("validation failed")]
    Invalid(Vec<Issue>),
    /// HT-21: a rule of the route.
    #[error("{0}")]
    BadRequest(String),
    /// A callback's payload is no use (WS-02); what is wrong with it.
    #[error("Invalid payload")]
    InvalidPayload(serde_json::Value),
    /// HT-22: no good credential.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// HT-23: the credential does not cover this.
    #[error("Forbidden: insufficient scope")]
    Forbidden,
    /// HT-24: there is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// HT-25: the state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// A provider cannot be connected as things are (WS-91).
    #[error("{0}")]
    NotConnectable(&'static str, Option<Advice>),
    /// A provider that was called refused or failed (WS-91).
    #[error("{0}")]
    Provider(&'static str, Advice),
    /// HT-26: over the size limit.
    #[error("Payload too large")]
    TooLarge,
    /// HT-44: its body did not arrive in time.
    #[error("Request Timeout")]
    TooSlow,
    /// HT-03: no JSON by its own account.
    #[error("Unsupported Media Type")]
    UnsupportedMediaType,
    /// HT-27: too many requests; seconds until one more is taken.
    #[error("Rate limit exceeded")]
    Limited {
        /// Requests per minute.
        limit: u32,
        /// Seconds until a slot is free, rounded up.
        retry_after: u64,
        /// Seconds until all slots are free.
        reset: u64,
    },
    /// HT-30: nothing was stored. IG-38: or the log failed.
    #[error("Service overloaded")]
    Overloaded,
    /// HT-28: the cause goes to the log, never to the caller.
    #[error("Internal Server Error")]
    Internal,
}

/// What an operator is told beside the word of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What happened.
    pub detail: String,
    /// What helps.
    pub remediation: String,
}

impl ApiError {
    /// Logs the cause and hides it from the caller.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::Internal
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::NoIdentity => Self::BadRequest("email or userId is required".to_owned()),
            EngineError::NotFound => Self::NotFound("Not Found".to_owned()),
            EngineError::DifferentContacts | EngineError::EmailTaken | EngineError::State(_) => {
                Self::Conflict(error.to_string())
            }
            EngineError::Refused(reason) => Self::BadRequest(reason),
            EngineError::Overloaded => Self::Overloaded,
            // IG-30, IG-38: worth another try, which a repeat with the same idempotency key makes safe.
            EngineError::LogFailed(_) => {
                tracing::error!(%error, "a request failed");
                Self::Overloaded
            }
            EngineError::Unwritable(_) => Self::internal(error),
        }
    }
}

impl From<ProjectionError> for ApiError {
    fn from(error: ProjectionError) -> Self {
        Self::internal(error)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Invalid(_) | Self::BadRequest(_) | Self::InvalidPayload(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) | Self::NotConnectable(..) => StatusCode::CONFLICT,
            Self::Provider(..) => StatusCode::BAD_GATEWAY,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Limited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponseBuilder::new(self.status_code());
        match self {
            Self::Invalid(issues) => {
                let message = serde_json::to_string(issues).unwrap_or_default();
                let error = json!({"name": "ZodError", "message": message});
                return response.json(json!({"success": false, "error": error, "issues": issues}));
            }
            Self::InvalidPayload(details) => {
                return response.json(json!({"error": self.to_string(), "details": details}));
            }
            Self::NotConnectable(error, Some(advice)) | Self::Provider(error, advice) => {
                let Advice { detail, remediation } = advice;
                return response.json(json!({"error": error, "detail": detail, "remediation": remediation}));
            }
            Self::Limited { limit, retry_after, reset } => {
                response.insert_header((header::RETRY_AFTER, *retry_after));
                response.insert_header(("x-ratelimit-limit", *limit));
                response.insert_header(("x-ratelimit-remaining", 0));
                response.insert_header(("x-ratelimit-reset", *reset));
            }
            Self::Overloaded => {
                response.insert_header((header::RETRY_AFTER, TRY_AGAIN));
            }
            _ => {}
        }
        response.json(json!({"error": self.to_string()}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ig_30_ig_38_a_log_that_fails_is_worth_another_try_and_a_defect_is_not() {
        let answer = |error: EngineError| ApiError::from(error).error_response();
        for error in [EngineError::LogFailed("disk".to_owned()), EngineError::Overloaded] {
            let answer = answer(error);
            assert_eq!(answer.status(), 503);
            assert_eq!(answer.headers().get("retry-after").map(|value| value.as_bytes()), Some(&b"1"[..]));
        }
        assert_eq!(answer(EngineError::Unwritable("size".to_owned())).status(), 500);
    }
}
