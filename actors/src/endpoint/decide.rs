//! Rules about endpoints, pure (OB-88..OB-94, OB-170..OB-177).

use std::collections::BTreeMap;

use mainspring_schemas::{
    Properties, Timestamp,
    destination::{unmasked, unmasked_text},
    event::{
        EndpointEvent,
        endpoint::{
            EndpointDisabled, EndpointEnabled, EndpointSettings, EndpointUpdated, Ordering, SecretRotated,
            SigningSecret,
        },
    },
};

use super::state::EndpointState;

/// The kind whose requests are signed; the only one with a secret.
pub(super) const SIGNED_KIND: &str = "webhook";

/// What stands for a stored credential when it is written back (OB-85).
const MASK: &str = "***";

/// Most secrets that sign at once (OB-94).
const MAX_SECRETS: usize = 3;

/// A partial change; `Some(None)` clears. Not for debug output: it holds credentials (OB-86).
#[derive(Clone, Default, PartialEq)]
pub struct EndpointPatch {
    /// Where to.
    pub url: Option<String>,
    /// For people.
    pub description: Option<Option<String>>,
    /// Subscribed types; replaces.
    pub event_types: Option<Vec<String>>,
    /// Which transform.
    pub kind: Option<String>,
    /// Credentials and options; replaces as a whole, `***` keeps what is stored (OB-85).
    pub config: Option<Option<Properties>>,
    /// Most requests per second (OB-82).
    pub rate_limit: Option<Option<u16>>,
    /// Added headers, as [`checked`](super::headers::checked); replaces as a whole, `***` keeps what is stored (OB-112).
    pub headers: Option<BTreeMap<String, String>>,
    /// The order of deliveries about one contact.
    pub ordering: Option<Ordering>,
    /// Whether deliveries stop.
    pub disabled: Option<bool>,
}

/// A new secret, shown this once.
#[derive(Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The secret.
    pub secret: String,
    /// Its first twelve characters.
    pub secret_prefix: String,
    /// Until when the one before signs too.
    pub previous_expires_at: Option<Timestamp>,
}

/// Removes repeats, keeps order (OB-73).
pub(super) fn distinct(types: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(types.len());
    for name in types {
        if !kept.contains(&name) {
            kept.push(name);
        }
    }
    kept
}

fn unmask_headers(
    new: BTreeMap<String, String>,
    stored: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    new.into_iter()
        .map(|(name, value)| {
            let kept = (value == MASK).then(|| stored.get(&name)).flatten();
            let value = kept.cloned().unwrap_or(value);
            (name, value)
        })
        .collect()
}

/// The settings after a partial change; what was shown instead of a credential keeps it (OB-85).
pub(super) fn merged(old: &EndpointSettings, patch: &EndpointPatch) -> EndpointSettings {
    let patch = patch.clone();
    EndpointSettings {
        url: patch.url.map_or_else(|| old.url.clone(), |url| unmasked_text(url, &old.url)),
        description: patch.description.unwrap_or_else(|| old.description.clone()),
        event_types: patch.event_types.map_or_else(|| old.event_types.clone(), distinct),
        kind: patch.kind.unwrap_or_else(|| old.kind.clone()),
        config: match patch.config {
            Some(config) => config.map(|config| unmasked(config, old.config.as_ref())),
            None => old.config.clone(),
        },
        rate_limit: patch.rate_limit.unwrap_or(old.rate_limit),
        headers: match patch.headers {
            Some(headers) => unmask_headers(headers, &old.headers),
            None => old.headers.clone(),
        },
        ordering: patch.ordering.unwrap_or(old.ordering),
    }
}

/// The events of a partial change; `fresh_secret` is used if the change makes a signed endpoint that has none.
pub(super) fn patch(
    state: &EndpointState,
    patch: EndpointPatch,
    now: Timestamp,
    fresh_secret: impl FnOnce() -> String,
) -> (Vec<EndpointEvent>, Option<String>) {
    let old = &state.settings;
    let settings = merged(old, &patch);
    let mut events = Vec::new();
    let mut shown = None;
    if settings.kind == SIGNED_KIND && state.secrets.is_empty() {
        let secret = fresh_secret();
        shown = Some(secret.clone());
        let secrets = vec![SigningSecret { secret, expires_at: None }];
        events.push(EndpointEvent::SecretRotated(SecretRotated { at: now, secrets }));
    }
    if settings != *old {
        events.push(EndpointEvent::Updated(EndpointUpdated { at: now, settings }));
    }
    match patch.disabled {
        Some(true) if state.disabled.is_none() => {
            events.push(EndpointEvent::Disabled(EndpointDisabled { at: now, reason: "operator".to_owned() }));
        }
        Some(false) if state.disabled.is_some() => {
            events.push(EndpointEvent::Enabled(EndpointEnabled { at: now }))
        }
        _ => {}
    }
    (events, shown)
}

/// The secrets after a rotation: the new one, and older ones that still sign for `grace` milliseconds at most.
pub(super) fn rotate(state: &EndpointState, secret: String, grace: i64, now: Timestamp) -> SecretRotated {
    let end = now.plus(grace);
    let mut secrets = vec![SigningSecret { secret, expires_at: None }];
    if grace > 0 {
        secrets.extend(
            state
                .secrets
                .iter()
                .filter(|old| old.expires_at.is_none_or(|expires| expires > now))
                .map(|old| SigningSecret {
                    secret: old.secret.clone(),
                    expires_at: Some(old.expires_at.map_or(end, |expires| expires.min(end))),
                })
                .take(MAX_SECRETS - 1),
        );
    }
    SecretRotated { at: now, secrets }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> EndpointState {
        EndpointState {
            settings: EndpointSettings {
                url: "https://a.example/x".into(),
                description: None,
                event_types: vec!["bucket.entered".into()],
                kind: "webhook".into(),
                ..EndpointSettings::default()
            },
            secrets: vec![SigningSecret { secret: "one".into(), expires_at: None }],
            disabled: None,
            enabled_at: None,
            deleted: false,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            version: 0,
            data_key: None,
        }
    }

    #[test]
    fn ob_94_rotation_overlaps_and_keeps_the_three_newest() {
        let mut state = state();
        for (number, name) in ["two", "three", "four"].into_iter().enumerate() {
            let at = Timestamp(number as i64 * 1000);
            state.secrets = rotate(&state, name.into(), 86_400_000, at).secrets;
        }
        let all: Vec<&str> = state.signing_secrets(Timestamp(3000)).collect();
        assert_eq!(all, ["four", "three", "two"]);
        let later: Vec<&str> = state.signing_secrets(Timestamp(86_400_000 + 3000)).collect();
        assert_eq!(later, ["four"]);
        assert_eq!(rotate(&state, "five".into(), 0, Timestamp(4000)).secrets.len(), 1);
    }

    #[test]
    fn ob_85_a_mask_written_back_keeps_the_stored_value() {
        let object = |value: serde_json::Value| value.as_object().cloned();
        let mut old = state().settings;
        old.config = object(serde_json::json!({"apiKey": "secret", "host": "h"}));
        let patch = EndpointPatch {
            url: Some("https://a.example/***".to_owned()),
            config: Some(object(serde_json::json!({"apiKey": "***", "host": "other"}))),
            ..EndpointPatch::default()
        };
        let new = merged(&old, &patch);
        assert_eq!(new.url, "https://a.example/x");
        assert_eq!(new.config, object(serde_json::json!({"apiKey": "secret", "host": "other"})));
    }

    #[test]
    fn ob_112_headers_are_replaced_as_a_whole_and_a_mask_keeps_a_value() {
        let mut state = state();
        let named = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        state.settings.headers = named(&[("x-a", "one"), ("x-b", "two")]);
        let change = EndpointPatch {
            headers: Some(named(&[("x-a", "***"), ("x-c", "three")])),
            rate_limit: Some(Some(5)),
            ordering: Some(Ordering::Contact),
            ..EndpointPatch::default()
        };
        let (events, _) = patch(&state, change, Timestamp(1), String::new);
        let [EndpointEvent::Updated(updated)] = &events[..] else { panic!("{events:?}") };
        assert_eq!(updated.settings.headers, named(&[("x-a", "one"), ("x-c", "three")]));
        assert_eq!((updated.settings.rate_limit, updated.settings.ordering), (Some(5), Ordering::Contact));
        assert!(!format!("{events:?}").contains("three"), "values are not shown (OB-86)");
    }

    #[test]
    fn ob_93_turning_into_a_signed_kind_shows_the_new_secret_once() {
        let mut state = state();
        state.settings.kind = "slack".into();
        state.secrets.clear();
        let change = EndpointPatch { kind: Some("webhook".into()), ..EndpointPatch::default() };
        let (events, shown) = patch(&state, change, Timestamp(1), || "whsec_x".into());
        assert_eq!((events.len(), shown.as_deref()), (2, Some("whsec_x")));
    }
}
