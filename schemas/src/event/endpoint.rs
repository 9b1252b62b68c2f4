//! Events of an endpoint's stream: where outbound events go, and with which secrets (OB-70..OB-94).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

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

/// In which order the deliveries to an endpoint leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// First attempts in log order; a retry holds back nothing (OB-131).
    #[default]
    None,
    /// Deliveries about one contact one after another, in log order: the next waits until the one before is settled.
    Contact,
}

impl Ordering {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// What an operator configures.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EndpointSettings {
    /// Where to.
    pub url: String,
    /// For people.
    pub description: Option<String>,
    /// Subscribed types and patterns (OB-73), without repeats.
    pub event_types: Vec<String>,
    /// Which transform makes the request; `webhook` is the signed one.
    pub kind: String,
    /// Credentials and options of other kinds. Sealed at rest (OB-86).
    pub config: Option<Properties>,
    /// Most requests per second, 1 to 1000; `None` = no limit (OB-82).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<u16>,
    /// Headers added to every request, names in lower case (OB-112). Sealed at rest (OB-86).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The order of deliveries about one contact.
    #[serde(default, skip_serializing_if = "Ordering::is_none")]
    pub ordering: Ordering,
}

impl EndpointSettings {
    /// The settings without what is a credential or may hold one: what may be kept outside the sealed log (OB-86).
    #[must_use]
    pub fn without_credentials(&self) -> Self {
        Self {
            url: self.url.clone(),
            description: self.description.clone(),
            event_types: self.event_types.clone(),
            kind: self.kind.clone(),
            config: None,
            rate_limit: self.rate_limit,
            headers: BTreeMap::new(),
            ordering: self.ordering,
        }
    }
}

impl std::fmt::Debug for EndpointSettings {
    /// Shows neither values of the configuration nor of headers (OB-86).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let config: Option<Vec<&String>> = self.config.as_ref().map(|config| config.keys().collect());
        f.debug_struct("EndpointSettings")
            .field("url", &self.url)
            .field("description", &self.description)
            .field("event_types", &self.event_types)
            .field("kind", &self.kind)
            .field("config", &config)
            .field("rate_limit", &self.rate_limit)
            .field("headers", &self.headers.keys())
            .field("ordering", &self.ordering)
            .finish()
    }
}

/// The endpoint was created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointCreated {
    /// When.
    pub at: Timestamp,
    /// Its settings.
    pub settings: EndpointSettings,
    /// Its secret; only kind `webhook` has one. Sealed at rest (OB-86).
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
    /// All secrets that sign from now on, newest first. Sealed at rest (OB-86).
    #[serde(default)]
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
    /// The key that sealed its credentials, destroyed with it (OB-86).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_key: Option<Uuid>,
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
