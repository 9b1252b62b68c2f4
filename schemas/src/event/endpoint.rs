//! Events of an endpoint's stream: where outbound events go, and with which secrets (OB-70..OB-94).

use serde::{Deserialize, Serialize};

use crate::{Properties, Timestamp};

/// A signing secret with its end, if it has one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningSecret {
    /// `whsec_` and standard base64 (OB-90).
    pub secret: String,
    /// When it stops signing; `None` = it is the newest.
    pub expires_at: Option<Timestamp>,
}

impl std::fmt::Debug for SigningSecret {
    /// Never shows the secret (OB-86).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningSecret(until {:?})", self.expires_at)
    }
}

/// What an operator configures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointSettings {
    /// Where to.
    pub url: String,
    /// For people.
    pub description: Option<String>,
    /// Subscribed types and patterns (OB-73), without repeats.
    pub event_types: Vec<String>,
    /// Which transform makes the request; `webhook` is the signed one.
    pub kind: String,
    /// Credentials and options of other kinds.
    pub config: Option<Properties>,
}

/// The endpoint was created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointCreated {
    /// When.
    pub at: Timestamp,
    /// Its settings.
    pub settings: EndpointSettings,
    /// Its secret; only kind `webhook` has one.
    pub secret: Option<SigningSecret>,
    /// Whether it starts disabled.
    pub disabled: bool,
}

/// Its settings were replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointUpdated {
    /// When.
    pub at: Timestamp,
    /// The settings, whole.
    pub settings: EndpointSettings,
}

/// A new secret signs, older ones until they end (OB-94).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecretRotated {
    /// When.
    pub at: Timestamp,
    /// All secrets that sign from now on, newest first.
    pub secrets: Vec<SigningSecret>,
}

/// Deliveries stop (OB-152).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointDisabled {
    /// When.
    pub at: Timestamp,
    /// `operator`, `gone` or `failing` (OB-81).
    pub reason: String,
}

/// Deliveries flow again; what was held becomes due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointEnabled {
    /// When.
    pub at: Timestamp,
}

/// The endpoint is gone for good (OB-87).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointDeleted {
    /// When.
    pub at: Timestamp,
}

/// An operator asked for a test delivery (OB-177).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestRequested {
    /// When.
    pub at: Timestamp,
    /// The envelope's `data` (OB-23).
    pub data: Properties,
}

/// An event of an endpoint's stream.
#[derive(Clone, Debug, PartialEq)]
pub enum EndpointEvent {
    /// See [`EndpointCreated`].
    Created(EndpointCreated),
    /// See [`EndpointUpdated`].
    Updated(EndpointUpdated),
    /// See [`SecretRotated`].
    SecretRotated(SecretRotated),
    /// See [`EndpointDisabled`].
    Disabled(EndpointDisabled),
    /// See [`EndpointEnabled`].
    Enabled(EndpointEnabled),
    /// See [`EndpointDeleted`].
    Deleted(EndpointDeleted),
    /// See [`TestRequested`].
    TestRequested(TestRequested),
}
