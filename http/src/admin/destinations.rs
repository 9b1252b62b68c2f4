//! What an endpoint's kind says about its settings: which are refused, and what of them is shown (OB-75, OB-84, OB-200).

use mainspring_schemas::{
    destination::{Description, MASK, NOTHING_STORED, is_mask, masked, masked_address},
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
    pub headers: bool,
}

impl Given {
    pub(super) const ALL: Self =
        Self { kind: true, url: true, event_types: true, config: true, headers: true };
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
    if given.headers {
        for (name, _) in settings.headers.iter().filter(|(_, value)| *value == MASK) {
            issues.nested(&["headers", name], NOTHING_STORED);
        }
    }
    let address = settings.address();
    if given.url && destination.is_some_and(|destination| names_no_address(destination, settings)) {
        issues.custom("url", NOTHING_STORED);
    }
    issues.into_result(())?;
    let stands_for_none = destination.is_some_and(|destination| destination.placeholder_url == Some(address));
    if (given.url || given.kind) && !stands_for_none {
        let refused = |reason| ApiError::BadRequest(format!("Webhook URL is not allowed: {reason}"));
        (state.settings.url_check)(address).map_err(refused)?;
    }
    Ok(())
}

/// Whether nothing but a mask says where requests go.
fn names_no_address(destination: &Description, settings: &EndpointSettings) -> bool {
    let mut of_config = settings.config.iter().flat_map(|config| destination.config.addresses(config));
    destination.secret_url && is_mask(settings.address()) && of_config.next().is_none()
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

/// Hides an address that is a credential of the kind (OB-84, OB-86).
pub(super) fn concealed(state: &AppState, settings: EndpointSettings) -> EndpointSettings {
    let is_credential = has_secret_url(state, &settings.kind);
    settings.concealed(is_credential)
}

/// The address as it is shown; one that is a credential may stand in sight since before such were hidden.
pub(super) fn shown_url(state: &AppState, settings: &EndpointSettings) -> String {
    if has_secret_url(state, &settings.kind) { masked_address(&settings.url) } else { settings.url.clone() }
}

/// The configuration as it is shown, without credentials.
pub(super) fn shown_config(state: &AppState, settings: &EndpointSettings) -> Option<Value> {
    let schema = state.destination(&settings.kind).map(|destination| &destination.config);
    settings.config.as_ref().map(|config| Value::Object(masked(config, schema)))
}
