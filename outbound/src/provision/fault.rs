//! Why PostHog could not be connected, and what helps (WS-91).

use std::time::Duration;

use crate::outcome::Failure;

/// What a key needs to read and to write destinations.
pub const SCOPES: [&str; 2] = ["hog_function:read", "hog_function:write"];

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The personal key is none.
    Unauthorized,
    /// The personal key may not do it.
    MissingScope,
    /// What answered has no destinations.
    UnsupportedInstance,
    /// Nobody said which project, and it could not be found.
    ProjectDiscoveryFailed,
    /// Anything else.
    ApiError,
}

impl FaultKind {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::MissingScope => "missing-scope",
            Self::UnsupportedInstance => "unsupported-instance",
            Self::ProjectDiscoveryFailed => "project-discovery-failed",
            Self::ApiError => "api-error",
        }
    }
}

/// Why it did not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", kind.as_str())]
pub struct Fault {
    /// Its kind.
    pub kind: FaultKind,
    /// What happened.
    pub detail: String,
    /// What helps.
    pub remediation: String,
    /// Scopes that the personal key lacks, as far as PostHog says.
    pub missing_scopes: Vec<String>,
}

impl Fault {
    fn new(kind: FaultKind, detail: impl Into<String>, remediation: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), remediation: remediation.into(), missing_scopes: Vec::new() }
    }

    /// There was no answer.
    pub fn no_answer(failure: Failure) -> Self {
        let detail = format!("The request to PostHog failed: {}", failure.text());
        let remediation = match failure {
            Failure::Blocked { .. } => {
                "Set POSTHOG_PRIVATE_HOST to a public https address, or name its host in \
                 OUTBOUND_WEBHOOK_ALLOWED_HOSTS."
            }
            _ => "Check POSTHOG_PRIVATE_HOST and the way there, then try again.",
        };
        Self::new(FaultKind::ApiError, detail, remediation)
    }

    /// Everything together took too long.
    pub(super) fn slow(limit: Duration) -> Self {
        let detail = format!("PostHog did not answer everything within {} seconds", limit.as_secs());
        Self::new(FaultKind::ApiError, detail, "Try again: what is done already is found then.")
    }

    /// The answer is longer than any that makes sense.
    pub(super) fn too_long() -> Self {
        Self::new(FaultKind::ApiError, "PostHog's answer is too long", "Check POSTHOG_PRIVATE_HOST.")
    }

    /// The answer is not what the API answers with.
    pub(super) fn foreign() -> Self {
        Self::new(
            FaultKind::UnsupportedInstance,
            "What answered is not PostHog's API",
            "Set POSTHOG_PRIVATE_HOST to the address of PostHog's web app, for example https://eu.posthog.com.",
        )
    }

    /// No project, or several.
    pub(super) fn no_project(detail: impl Into<String>) -> Self {
        Self::new(
            FaultKind::ProjectDiscoveryFailed,
            detail,
            "Set POSTHOG_PROJECT_ID to the number in the addresses of the project's pages.",
        )
    }

    /// PostHog refused.
    pub fn refused(status: u16, body: &[u8]) -> Self {
        let said: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let detail = said["detail"].as_str().unwrap_or_default();
        match status {
            401 => Self::new(
                FaultKind::Unauthorized,
                "PostHog does not know the personal API key",
                "Make a personal API key in PostHog and set POSTHOG_PERSONAL_API_KEY to it.",
            ),
            403 => Self::forbidden(detail),
            404 if detail.starts_with("Project not found") => {
                Self::no_project("There is no such project, or the personal API key does not cover it")
            }
            404 | 405 => Self::new(
                FaultKind::UnsupportedInstance,
                format!("PostHog answered {status}: it has no destinations there"),
                "Check POSTHOG_PRIVATE_HOST and POSTHOG_PROJECT_ID; a PostHog of one's own must be new enough to \
                 have webhook destinations.",
            ),
            300..=399 => Self::foreign(),
            _ => {
                let words = [&said["code"], &said["attr"]].into_iter().filter_map(|word| word.as_str());
                let words: Vec<&str> = words.filter(|word| is_word(word)).collect();
                let why = if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) };
                Self::new(
                    FaultKind::ApiError,
                    format!("PostHog answered {status}{why}"),
                    "Try again; if it stays, PostHog's status page or its logs may say more.",
                )
            }
        }
    }

    fn forbidden(detail: &str) -> Self {
        let named = detail.split('\'').find(|part| is_scope(part));
        let missing_scopes: Vec<String> = match named {
            Some(scope) => vec![scope.to_owned()],
            None => SCOPES.map(str::to_owned).to_vec(),
        };
        let what = match named {
            Some(scope) => format!("The personal API key lacks the scope {scope}"),
            None => "The personal API key may not do this".to_owned(),
        };
        let remediation = format!(
            "Give the personal API key the scopes {} for this project, and project:read unless POSTHOG_PROJECT_ID is set.",
            SCOPES.join(" and ")
        );
        Self { missing_scopes, ..Self::new(FaultKind::MissingScope, what, remediation) }
    }
}

/// Whether a text is a scope, such as `hog_function:write`.
fn is_scope(text: &str) -> bool {
    text.split_once(':').is_some_and(|(what, level)| is_word(what) && matches!(level, "read" | "write"))
}

/// Whether a text is a short word of the API and nothing that somebody sent.
fn is_word(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ws_91_answers_that_refuse_are_told_apart() {
        let kind = |status, body: &str| Fault::refused(status, body.as_bytes()).kind;
        assert_eq!(kind(401, "{}"), FaultKind::Unauthorized);
        assert_eq!(kind(403, "{}"), FaultKind::MissingScope);
        assert_eq!(kind(404, r#"{"detail": "Endpoint not found."}"#), FaultKind::UnsupportedInstance);
        assert_eq!(kind(404, r#"{"detail": "Project not found."}"#), FaultKind::ProjectDiscoveryFailed);
        assert_eq!(kind(302, ""), FaultKind::UnsupportedInstance);
        for status in [400, 429, 500, 503] {
            assert_eq!(kind(status, "<html>"), FaultKind::ApiError, "{status}");
        }
        let words = [
            FaultKind::Unauthorized,
            FaultKind::MissingScope,
            FaultKind::UnsupportedInstance,
            FaultKind::ProjectDiscoveryFailed,
            FaultKind::ApiError,
        ];
        let expected = [
            "unauthorized",
            "missing-scope",
            "unsupported-instance",
            "project-discovery-failed",
            "api-error",
        ];
        assert_eq!(words.map(FaultKind::as_str), expected);
    }

    #[test]
    fn ws_90_the_missing_scope_is_named() {
        let said = br#"{"detail": "API key missing required scope 'hog_function:write'"}"#;
        assert_eq!(Fault::refused(403, said).missing_scopes, ["hog_function:write"]);
        let strange = br#"{"detail": "no 'hook:s3cret' and no 'S3CRET'"}"#;
        assert_eq!(Fault::refused(403, strange).missing_scopes, SCOPES);
    }

    #[test]
    fn ws_07_what_posthog_says_is_not_repeated() {
        let said = br#"{"code": "invalid_input", "attr": "whsec-SECRET", "detail": "SECRET is wrong"}"#;
        for status in [400, 403, 404, 500] {
            let fault = Fault::refused(status, said);
            assert!(!format!("{fault:?}").contains("SECRET"), "{fault:?}");
        }
        assert_eq!(Fault::refused(400, said).detail, "PostHog answered 400 (invalid_input)");
    }
}
