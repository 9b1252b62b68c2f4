//! The analytics account of this installation, and the port through which it is connected (WS-90, WS-91).

use std::sync::Arc;

use async_trait::async_trait;
use url::{Host, Url};

pub use crate::error::Advice;

/// The id of the source that the provider's callbacks come to.
pub const SOURCE: &str = "posthog";

/// What an operator set. It holds no credential.
#[derive(Clone)]
pub struct Analytics {
    /// Whether there is a key by which events reach the provider.
    pub has_project_key: bool,
    /// The address of the provider's private API; `None` if nothing is configured.
    pub private_host: Option<String>,
    /// Whether an operator named a host.
    pub is_host_explicit: bool,
    /// The project an operator named.
    pub project: Option<String>,
    /// Whether there is a personal key for the private API.
    pub has_personal_key: bool,
    /// Where others reach this installation, without a slash at the end (CF-14).
    pub public_url: String,
    /// Connects the account; there is one if there is a personal key and a private host.
    pub connector: Option<Arc<dyn Connector>>,
}

impl Default for Analytics {
    fn default() -> Self {
        Self {
            has_project_key: false,
            private_host: None,
            is_host_explicit: false,
            project: None,
            has_personal_key: false,
            public_url: "http://localhost:3002".to_owned(),
            connector: None,
        }
    }
}

impl Analytics {
    /// Where the provider's callbacks come to.
    pub fn webhook_url(&self) -> String {
        format!("{}/v1/webhooks/{SOURCE}", self.public_url)
    }
}

/// Makes the provider send its events here.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Makes or corrects what sends events to `webhook_url` with `secret`; a second time changes nothing (WS-93).
    async fn connect(&self, webhook_url: &str, secret: &str) -> Result<Connected, Unconnected>;

    /// Scopes that the personal key was found to lack.
    fn missing_scopes(&self) -> Vec<String>;
}

/// What sends events here now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// `created`, `updated` or `unchanged`.
    pub action: &'static str,
    /// Its id at the provider.
    pub id: String,
    /// Its page at the provider.
    pub dashboard_url: String,
}

/// Why the provider sends nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unconnected {
    /// The word of it (WS-91).
    pub error: &'static str,
    /// What happened, and what helps.
    pub advice: Advice,
}

/// Whether nobody outside this machine can reach an address: its host is a loopback one.
pub(crate) fn is_loopback(address: &str) -> bool {
    let Ok(url) = Url::parse(address) else { return true };
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => {
            let is_v4 = |address: std::net::Ipv4Addr| address.is_loopback() || address.is_unspecified();
            address.is_loopback() || address.is_unspecified() || address.to_ipv4_mapped().is_some_and(is_v4)
        }
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ws_91_loopback_hosts_are_told_from_others() {
        for loopback in [
            "http://localhost:3002",
            "https://LOCALHOST.",
            "https://api.localhost/base",
            "http://127.0.0.1",
            "http://127.9.9.9:3002",
            "http://0.0.0.0:3002",
            "http://[::1]:3002",
            "http://[::]",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(loopback), "{loopback}");
        }
        for reachable in [
            "https://engine.example",
            "http://10.0.0.1:3002",
            "https://localhost.example",
            "http://[2001:db8::1]",
        ] {
            assert!(!is_loopback(reachable), "{reachable}");
        }
    }
}
