//! The PostHog endpoint that the environment asks for (OB-230..OB-233).

use mainspring_actors::{
    api::EngineError,
    endpoint::{EndpointPatch, Endpoints},
};
use mainspring_outbound::{
    destination::{POSTHOG, POSTHOG_PLACEHOLDER},
    guard::Policy,
};
use mainspring_schemas::{EndpointId, Properties, catalog::subscribes, event::endpoint::EndpointSettings};
use serde_json::{Value, json};

use crate::{environment, exit::Fault};

/// What the endpoint is subscribed to.
const EVENTS: [&str; 10] = [
    "email.sent",
    "email.delivered",
    "email.opened",
    "email.clicked",
    "email.action",
    "email.bounced",
    "email.complained",
    "contact.created",
    "contact.updated",
    "contact.unsubscribed",
];

/// The account events go to.
#[derive(Clone)]
pub struct Seed {
    api_key: String,
    host: Option<String>,
}

impl Seed {
    /// What the environment asks for; `None` if it asks for nothing, or gives no key.
    pub fn from_environment(policy: &Policy) -> anyhow::Result<Option<Self>> {
        let wanted = environment::parsed("ENABLE_POSTHOG_DESTINATION", "true or false")?.unwrap_or(false);
        let host = environment::text("POSTHOG_HOST").map(|host| host.trim().to_owned());
        let api_key = environment::secret("POSTHOG_API_KEY")?;
        match api_key {
            _ if !wanted => Ok(None),
            None => {
                tracing::warn!("ENABLE_POSTHOG_DESTINATION does nothing without POSTHOG_API_KEY");
                Ok(None)
            }
            Some(api_key) => {
                if let Some(Err(refusal)) = host.as_deref().map(|host| policy.check_url(host)) {
                    return Err(Fault::usage(format!("POSTHOG_HOST: not allowed: {refusal}")).into());
                }
                Ok(Some(Self { api_key: api_key.trim().to_owned(), host }))
            }
        }
    }

    /// Makes the endpoint, or brings it up to date; endpoints that an operator made are never touched.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn ensure(&self, endpoints: &Endpoints) -> Result<(), EngineError> {
        let all = endpoints.all();
        let found = all.iter().filter(|(_, state)| state.settings.kind == POSTHOG);
        match plan(self, found.map(|(id, state)| (*id, &state.settings))) {
            Plan::Nothing => Ok(()),
            Plan::Update(id, patch) => endpoints.update(id, patch).await.map(|_| ()),
            Plan::Create(settings) => {
                let mut generation = 0;
                while endpoints
                    .create_once(EndpointId::seeded(POSTHOG, generation), settings.clone())
                    .await?
                    .is_none()
                {
                    generation += 1;
                }
                Ok(())
            }
        }
    }

    /// The configuration of the endpoint: the environment says the key, and the host if it names one; the rest stays as
    /// it is (OB-233).
    fn config(&self, old: &Properties) -> Properties {
        let mut config = old.clone();
        config.insert("apiKey".to_owned(), Value::from(self.api_key.as_str()));
        if let Some(host) = &self.host {
            config.insert("host".to_owned(), Value::from(host.as_str()));
        }
        config.entry("syncPersons").or_insert(Value::Bool(true));
        config
    }
}

/// What is to be done. Not for debug output: it holds credentials (OB-86).
#[derive(PartialEq)]
enum Plan {
    Nothing,
    Create(EndpointSettings),
    Update(EndpointId, EndpointPatch),
}

/// Decides by the endpoints of this kind.
fn plan<'a>(seed: &Seed, found: impl Iterator<Item = (EndpointId, &'a EndpointSettings)>) -> Plan {
    let found: Vec<_> = found.collect();
    let Some((id, seeded)) = found.iter().find(|(_, settings)| settings.url == POSTHOG_PLACEHOLDER) else {
        return if found.is_empty() { Plan::Create(settings(seed)) } else { Plan::Nothing };
    };
    let old = seeded.config.clone().unwrap_or_default();
    let config = seed.config(&old);
    let mut event_types = seeded.event_types.clone();
    for event in EVENTS {
        if !event_types.iter().any(|known| subscribes(known, event)) {
            event_types.push(event.to_owned());
        }
    }
    if config == old && event_types == seeded.event_types {
        return Plan::Nothing;
    }
    let patch = EndpointPatch {
        config: Some(Some(config)),
        event_types: Some(event_types),
        ..EndpointPatch::default()
    };
    Plan::Update(*id, patch)
}

fn settings(seed: &Seed) -> EndpointSettings {
    let names = json!({"email.clicked": "email.link_clicked"});
    EndpointSettings {
        url: POSTHOG_PLACEHOLDER.to_owned(),
        description: Some("Auto-seeded PostHog destination (ENABLE_POSTHOG_DESTINATION)".to_owned()),
        event_types: EVENTS.map(str::to_owned).to_vec(),
        kind: POSTHOG.to_owned(),
        config: Some(seed.config(&Properties::from_iter([("eventNames".to_owned(), names)]))),
        ..EndpointSettings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(api_key: &str, host: Option<&str>) -> Seed {
        Seed { api_key: api_key.to_owned(), host: host.map(str::to_owned) }
    }

    fn planned(seed: &Seed, found: &[EndpointSettings]) -> Plan {
        let ids = (0..).map(|generation| EndpointId::seeded("test", generation));
        plan(seed, ids.zip(found))
    }

    #[test]
    fn ob_230_the_endpoint_that_is_made() {
        let Plan::Create(made) = planned(&seed("k", None), &[]) else { panic!("nothing is made") };
        assert_eq!((made.url.as_str(), made.kind.as_str()), ("posthog://capture", "posthog"));
        assert_eq!(made.event_types, EVENTS);
        let expected = json!({"apiKey": "k", "eventNames": {"email.clicked": "email.link_clicked"}, "syncPersons": true});
        assert_eq!(made.config.map(Value::Object), Some(expected));
        let Plan::Create(made) = planned(&seed("k", Some("https://eu.example")), &[]) else { panic!() };
        assert_eq!(made.config.unwrap_or_default()["host"], "https://eu.example");
    }

    #[test]
    fn ob_231_only_the_seeded_endpoint_is_brought_up_to_date() {
        let seeded = settings(&seed("k", None));
        let own = EndpointSettings { url: "https://own.example/".to_owned(), ..seeded.clone() };
        assert!(planned(&seed("other", None), std::slice::from_ref(&own)) == Plan::Nothing);
        assert!(planned(&seed("k", None), &[own.clone(), seeded.clone()]) == Plan::Nothing);
        let mut narrow = seeded.clone();
        narrow.event_types = vec!["email.*".to_owned(), "bucket.entered".to_owned()];
        let Plan::Update(id, patch) = planned(&seed("k", None), &[own, narrow]) else {
            panic!("not updated")
        };
        assert_eq!(id, EndpointId::seeded("test", 1));
        let types =
            ["email.*", "bucket.entered", "contact.created", "contact.updated", "contact.unsubscribed"];
        assert_eq!(patch.event_types, Some(types.map(str::to_owned).to_vec()));
    }

    #[test]
    fn ob_233_a_changed_environment_changes_key_and_host_and_nothing_else() {
        let mut seeded = settings(&seed("k", Some("https://eu.example")));
        let config = seeded.config.as_mut().unwrap();
        config.insert("syncPersons".to_owned(), Value::Bool(false));
        let names = json!({"email.clicked": "email.link_clicked"});
        for (host, expected) in
            [(None, "https://eu.example"), (Some("https://us.example"), "https://us.example")]
        {
            let Plan::Update(_, patch) = planned(&seed("new", host), std::slice::from_ref(&seeded)) else {
                panic!("not updated")
            };
            let expected =
                json!({"apiKey": "new", "host": expected, "eventNames": names, "syncPersons": false});
            assert_eq!(patch.config.flatten().map(Value::Object), Some(expected));
        }
        // What an operator chose stays when the environment names none.
        assert!(planned(&seed("k", None), &[seeded]) == Plan::Nothing);
    }
}
