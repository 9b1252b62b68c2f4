//! What an endpoint's kind says about its settings: which are refused, and what of them is shown (OB-75, OB-84, OB-200).

use mainspring_actors::endpoint::EndpointPatch;
use mainspring_schemas::{
    destination::{Description, masked, masked_address},
    event::endpoint::EndpointSettings,
};
use serde_json::Value;

use crate::{error::ApiError, issues::Issues, state::AppState};

/// Which settings a request gives. What it does not give was checked when it was given, perhaps by other rules, and
/// is no reason to refuse the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    pub kind: bool,
    pub url: bool,
    pub event_types: bool,
    pub config: bool,
}

impl Given {
    pub(super) const ALL: Self = Self { kind: true, url: true, event_types: true, config: true };
}

/// Refuses settings that their kind does not allow.
pub(super) fn check(state: &AppState, settings: &EndpointSettings, given: Given) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    let destination = state.destination(&settings.kind);
    match destination {
        Some(destination) => {
            if given.kind || given.config {
                check_config(state, destination, settings, &mut issues);
            }
            if given.kind || given.event_types {
                check_events(destination, settings, &mut issues);
            }
        }
        None if given.kind => {
            let known: Vec<&str> =
                state.settings.destinations.iter().map(|known| known.id.as_str()).collect();
            issues.invalid_value("kind", &known);
        }
        None => {}
    }
    issues.into_result(())?;
    let stands_for_none =
        destination.is_some_and(|destination| destination.placeholder_url == Some(&settings.url));
    if (given.url || given.kind) && !stands_for_none {
        let refused = |reason| ApiError::BadRequest(format!("Webhook URL is not allowed: {reason}"));
        (state.settings.url_check)(&settings.url).map_err(refused)?;
    }
    Ok(())
}

fn check_config(
    state: &AppState,
    destination: &Description,
    settings: &EndpointSettings,
    issues: &mut Issues,
) {
    let config = settings.config.as_ref();
    for issue in destination.config.issues(config) {
        let path: Vec<&str> =
            std::iter::once("config").chain(issue.path.iter().map(String::as_str)).collect();
        issues.nested(&path, issue.message);
    }
    for (name, address) in config.into_iter().flat_map(|config| destination.config.addresses(config)) {
        if let Err(reason) = (state.settings.url_check)(address) {
            issues.nested(&["config", name], format!("URL is not allowed: {reason}"));
        }
    }
}

fn check_events(destination: &Description, settings: &EndpointSettings, issues: &mut Issues) {
    for subscription in settings.event_types.iter().filter(|subscription| !destination.takes(subscription)) {
        let taken = destination.events.join(", ");
        let message = format!("{} does not take {subscription}, only {taken}", destination.id);
        issues.custom("eventTypes", message);
    }
}

fn has_secret_url(state: &AppState, kind: &str) -> bool {
    state.destination(kind).is_some_and(|destination| destination.secret_url)
}

/// Moves an address that is a credential into the configuration, which is sealed (OB-86); what is left names the host. A
/// configuration that has an address of its own keeps it.
pub(super) fn conceal(state: &AppState, settings: &mut EndpointSettings) {
    let left = masked_address(&settings.url);
    if has_secret_url(state, &settings.kind) && left != settings.url {
        let address = std::mem::replace(&mut settings.url, left);
        let config = settings.config.get_or_insert_default();
        config.entry("url").or_insert_with(|| Value::from(address));
    }
}

/// The same for a change of an endpoint as it is now.
pub(super) fn conceal_patch(state: &AppState, current: &EndpointSettings, patch: &mut EndpointPatch) {
    let Some(url) = patch.url.take() else { return };
    let mut settings = EndpointSettings {
        url,
        kind: patch.kind.clone().unwrap_or_else(|| current.kind.clone()),
        config: patch.config.clone().unwrap_or_else(|| {
            // A new address replaces the one that was moved there before.
            current.config.clone().map(|mut config| {
                config.remove("url");
                config
            })
        }),
        ..EndpointSettings::default()
    };
    conceal(state, &mut settings);
    if has_secret_url(state, &settings.kind)
        && settings.config.as_ref().is_some_and(|c| c.contains_key("url"))
    {
        patch.config = Some(settings.config);
    }
    patch.url = Some(settings.url);
}

/// The address as it is shown: of one that is a credential, the host.
pub(super) fn shown_url(state: &AppState, settings: &EndpointSettings) -> String {
    if has_secret_url(state, &settings.kind) { masked_address(&settings.url) } else { settings.url.clone() }
}

/// The configuration as it is shown, without credentials.
pub(super) fn shown_config(state: &AppState, settings: &EndpointSettings) -> Option<Value> {
    let schema = state.destination(&settings.kind).map(|destination| &destination.config);
    settings.config.as_ref().map(|config| Value::Object(masked(config, schema)))
}
