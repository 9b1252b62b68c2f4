//! Events of an endpoint's stream: where outbound events go, and with which secrets (OB-70..OB-94).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Properties, Timestamp, destination::masked_address};

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
    /// Where to, as it may be shown: of an address that is a credential, the host (OB-84).
    pub url: String,
    /// The whole address, if `url` does not show it. Sealed at rest (OB-86).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_url: Option<String>,
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
    /// Where to, whole.
    pub fn address(&self) -> &str {
        self.secret_url.as_deref().unwrap_or(&self.url)
    }

    /// Who gets the requests: settings that are equal in this lead to the same receiver.
    pub fn receiver(&self) -> (&str, &str, Option<&Properties>) {
        (&self.kind, self.address(), self.config.as_ref())
    }

    /// Every address that requests may go to: its own, and what its configuration holds.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let of_config = self.config.iter().flat_map(Properties::values).filter_map(serde_json::Value::as_str);
        std::iter::once(self.address()).chain(of_config)
    }

    /// The settings with their address out of sight but for its host, if it is a credential.
    #[must_use]
    pub fn concealed(mut self, is_credential: bool) -> Self {
        let shown = masked_address(&self.url);
        if is_credential && self.secret_url.is_none() && shown != self.url {
            self.secret_url = Some(std::mem::replace(&mut self.url, shown));
        }
        self
    }

    /// Settings as they are written today. Until `secret_url` was there, an address that is a credential was moved to
    /// `config.url`, and `url` showed its host.
    #[must_use]
    pub fn upgraded(mut self) -> Self {
        let moved = self.config.as_ref().and_then(|config| config.get("url")?.as_str());
        let moved = moved.filter(|moved| self.secret_url.is_none() && masked_address(moved) == self.url);
        if let Some(address) = moved.map(str::to_owned) {
            self.secret_url = Some(address);
            let mut config = self.config.take().unwrap_or_default();
            config.remove("url");
            self.config = Some(config).filter(|config| !config.is_empty());
        }
        self
    }

    /// The settings without what is a credential or may hold one: what may be kept outside the sealed log (OB-86).
    #[must_use]
    pub fn without_credentials(&self) -> Self {
        Self {
            url: self.url.clone(),
            secret_url: None,
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(url: &str, config: serde_json::Value) -> EndpointSettings {
        EndpointSettings {
            url: url.to_owned(),
            kind: "slack".to_owned(),
            config: config.as_object().cloned(),
            ..EndpointSettings::default()
        }
    }

    #[test]
    fn ob_84_of_an_address_that_is_a_credential_only_the_host_stays_in_sight() {
        for (address, is_credential, shown) in [
            ("https://hooks.example/a/b", true, "https://hooks.example/***"),
            ("https://hooks.example/***", true, "https://hooks.example/***"),
            ("https://hooks.example/a/b", false, "https://hooks.example/a/b"),
        ] {
            let made = settings(address, json!(null)).concealed(is_credential);
            assert_eq!((made.url.as_str(), made.address()), (shown, address));
            assert!(!format!("{made:?}").contains("/a/b") || !is_credential);
            assert_eq!(made.without_credentials().address(), shown);
            assert!(made.addresses().eq([address]));
            assert_eq!(
                made.clone().concealed(true).concealed(false),
                made.concealed(true),
                "once hidden it stays so"
            );
        }
    }

    #[test]
    fn ob_84_an_address_that_was_kept_in_the_configuration_is_found_there() {
        let hook = "https://hooks.example/a/b";
        for (stored, address, config) in [
            (settings("https://hooks.example/***", json!({"url": hook})), hook, None),
            (
                settings("https://hooks.example/***", json!({"url": hook, "username": "Main"})),
                hook,
                Some(json!({"username": "Main"})),
            ),
            // An operator's own: neither moved nor hidden.
            (
                settings("https://own.example/x", json!({"url": hook})),
                "https://own.example/x",
                Some(json!({"url": hook})),
            ),
            (settings("https://own.example/x", json!(null)), "https://own.example/x", None),
            (
                settings("https://hooks.example/c", json!({"url": hook})).concealed(true),
                "https://hooks.example/c",
                Some(json!({"url": hook})),
            ),
        ] {
            let upgraded = stored.upgraded();
            assert_eq!(upgraded.address(), address);
            assert_eq!(upgraded.config.clone().map(serde_json::Value::Object), config);
            assert_eq!(upgraded.clone().upgraded(), upgraded, "once is enough");
        }
    }
}
