//! The PostHog account that the environment names, and the way to connect it (WS-90..WS-93).

use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use mainspring_http::analytics::{Advice, Analytics, Connected, Connector, Unconnected};
use mainspring_outbound::{
    client::GuardedClient,
    provision::{Account, Action, Provisioner, Wanted},
    settings::Settings,
};
use url::Url;

use crate::{environment, exit::Fault};

/// Where PostHog's private API is if nobody says otherwise.
const US_CLOUD: &str = "https://us.posthog.com";

/// Reads the variables.
pub fn from_environment(outbound: &Settings) -> anyhow::Result<Analytics> {
    let project_key = environment::secret("POSTHOG_API_KEY")?.map(|key| key.trim().to_owned());
    let personal_key = environment::secret("POSTHOG_PERSONAL_API_KEY")?;
    let (host, private) = (address("POSTHOG_HOST")?, address("POSTHOG_PRIVATE_HOST")?);
    let project: Option<u64> = environment::parsed("POSTHOG_PROJECT_ID", "the number of a project")?;
    let is_host_explicit = host.is_some() || private.is_some();
    let private_host = private_host(project_key.is_some(), host, private);
    let has_personal_key = personal_key.is_some();
    let connector = match (&private_host, personal_key) {
        (Some(host), Some(personal_key)) => {
            let account =
                Account { host: host.clone(), personal_key, project, project_key: project_key.clone() };
            Some(connector(outbound, account)?)
        }
        _ => None,
    };
    let defaults = Analytics::default();
    let public_url = address("API_PUBLIC_URL")?.map(|url| without_slash(&url));
    Ok(Analytics {
        has_project_key: project_key.is_some(),
        private_host,
        is_host_explicit,
        project: project.map(|project| project.to_string()),
        has_personal_key,
        public_url: public_url.unwrap_or(defaults.public_url),
        connector,
    })
}

/// An address of a server; it is shown to operators, so it may hold no credential.
fn address(name: &str) -> anyhow::Result<Option<Url>> {
    let Some(text) = environment::text(name) else { return Ok(None) };
    let url = Url::parse(text.trim()).ok();
    let is_plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    url.filter(is_plain).map(Some).ok_or_else(|| {
        Fault::usage(format!("{name}: expected an address such as https://example.com")).into()
    })
}

fn without_slash(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// Where the private API is: as said, else beside the host that takes events (`us.i.posthog.com` takes the events of
/// `us.posthog.com`), else the default cloud; `None` if there is no account at all (WS-90).
fn private_host(has_project_key: bool, host: Option<Url>, private: Option<Url>) -> Option<String> {
    if let Some(private) = private {
        return Some(without_slash(&private));
    }
    let Some(mut host) = host else { return has_project_key.then(|| US_CLOUD.to_owned()) };
    if let Some(name) = host.host_str().filter(|name| name.contains(".i.")) {
        let name = name.replacen(".i.", ".", 1);
        // A shorter name of the same shape is a name.
        let _ = host.set_host(Some(&name));
    }
    Some(without_slash(&host))
}

fn connector(outbound: &Settings, account: Account) -> anyhow::Result<Arc<dyn Connector>> {
    let client = GuardedClient::new(outbound).context("PostHog cannot be called")?;
    let provisioner = Provisioner::new(Arc::new(client), account)
        .map_err(|invalid| Fault::usage(format!("POSTHOG_PERSONAL_API_KEY: {invalid}")))?;
    Ok(Arc::new(PostHog(provisioner)))
}

/// The port of the edge, carried out by the provisioner.
struct PostHog(Provisioner);

#[async_trait]
impl Connector for PostHog {
    async fn connect(&self, webhook_url: &str, secret: &str) -> Result<Connected, Unconnected> {
        let provisioned = self.0.provision(&Wanted { webhook_url, secret }).await;
        let provisioned = provisioned.map_err(|fault| Unconnected {
            error: fault.kind.as_str(),
            advice: Advice { detail: fault.detail, remediation: fault.remediation },
        })?;
        let action = match provisioned.action {
            Action::Created => "created",
            Action::Updated => "updated",
            Action::Unchanged => "unchanged",
        };
        Ok(Connected { action, id: provisioned.id, dashboard_url: provisioned.dashboard_url })
    }

    fn missing_scopes(&self) -> Vec<String> {
        self.0.missing_scopes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ws_90_where_the_private_api_is() {
        let found = |has_key, host: &str, private: &str| {
            let read = |text: &str| Url::parse(text).ok();
            private_host(has_key, read(host), read(private))
        };
        assert_eq!(found(false, "", ""), None);
        assert_eq!(found(true, "", "").as_deref(), Some("https://us.posthog.com"));
        assert_eq!(found(false, "https://eu.i.posthog.com/", "").as_deref(), Some("https://eu.posthog.com"));
        assert_eq!(found(true, "https://us.i.posthog.com", "").as_deref(), Some("https://us.posthog.com"));
        assert_eq!(
            found(true, "https://ph.example:8000/base/", "").as_deref(),
            Some("https://ph.example:8000/base")
        );
        let private = found(true, "https://eu.i.posthog.com", "http://10.0.0.1:8000/");
        assert_eq!(private.as_deref(), Some("http://10.0.0.1:8000"));
    }
}
