//! Rules about endpoints, pure (OB-88..OB-94, OB-170..OB-177).

use std::collections::BTreeMap;

use mainspring_schemas::{
    Properties, Timestamp,
    destination::{Description, unmasked, unmasked_text},
    event::{
        EndpointEvent,
        endpoint::{
            EndpointDisabled, EndpointEnabled, EndpointSettings, EndpointUpdated, Ordering, SecretRotated,
            SigningSecret,
        },
    },
};

use super::state::{EndpointState, SIGNED_KIND};

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

/// The settings after a partial change; what was shown instead of a credential keeps it (OB-85). `kinds` says what is
/// known of a kind.
pub(super) fn merged<'k>(
    old: &EndpointSettings,
    patch: &EndpointPatch,
    kinds: impl Fn(&str) -> Option<&'k Description>,
) -> EndpointSettings {
    let patch = patch.clone();
    let old_address = old.address();
    let address = patch.url.map_or_else(|| old_address.to_owned(), |url| unmasked_text(url, old_address));
    let new_kind = patch.kind.unwrap_or_else(|| old.kind.clone());
    let hides = |kind: &str| kinds(kind).is_some_and(|kind| kind.secret_url);
    // An address that was a credential stays one, whatever the kind, until another takes its place.
    let was_hidden = old.secret_url.is_some() || hides(&old.kind);
    let is_credential = hides(&new_kind) || (was_hidden && address == old_address);
    // A kind that takes any configuration reads none, and would show credentials of the kind before by their names.
    let is_read = new_kind == old.kind || kinds(&new_kind).is_none_or(|kind| !kind.config.open);
    let old_config = old.config.as_ref().filter(|_| is_read);
    let settings = EndpointSettings {
        url: address,
        secret_url: None,
        description: patch.description.unwrap_or_else(|| old.description.clone()),
        event_types: patch.event_types.map_or_else(|| old.event_types.clone(), distinct),
        kind: new_kind,
        config: match patch.config {
            Some(config) => config.map(|config| unmasked(config, old_config)),
            None => old_config.cloned(),
        },
        rate_limit: patch.rate_limit.unwrap_or(old.rate_limit),
        headers: match patch.headers {
            Some(headers) => unmask_headers(headers, &old.headers),
            None => old.headers.clone(),
        },
        ordering: patch.ordering.unwrap_or(old.ordering),
    };
    settings.concealed(is_credential)
}

/// The events that give an endpoint new settings, and disable or enable it; `fresh_secret` is used if that makes a signed
/// endpoint that has none.
pub(super) fn change(
    state: &EndpointState,
    settings: EndpointSettings,
    disabled: Option<bool>,
    now: Timestamp,
    fresh_secret: impl FnOnce() -> String,
) -> (Vec<EndpointEvent>, Option<String>) {
    let mut events = Vec::new();
    let mut shown = None;
    let rotated = |secrets| EndpointEvent::SecretRotated(SecretRotated { at: now, secrets });
    match (state.is_signed(), settings.kind == SIGNED_KIND) {
        (false, true) => {
            let secret = fresh_secret();
            shown = Some(secret.clone());
            events.push(rotated(vec![SigningSecret { secret, expires_at: None }]));
        }
        // Another kind has none, and nobody could rotate it there.
        (true, false) => events.push(rotated(Vec::new())),
        (true, true) | (false, false) => {}
    }
    if settings != state.settings {
        events.push(EndpointEvent::Updated(EndpointUpdated { at: now, settings }));
    }
    match disabled {
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
    use mainspring_schemas::destination::ConfigSchema;

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
        let new = merged(&old, &patch, |_| None);
        assert_eq!(new.url, "https://a.example/x");
        assert_eq!(new.config, object(serde_json::json!({"apiKey": "secret", "host": "other"})));
    }

    fn kind(id: &str, secret_url: bool, config: ConfigSchema) -> Description {
        Description {
            id: id.to_owned(),
            name: id.to_owned(),
            description: None,
            events: Vec::new(),
            config,
            placeholder_url: None,
            secret_url,
        }
    }

    #[test]
    fn ob_84_ob_173_an_address_that_is_a_credential_is_changed_by_its_own_member_alone() {
        let object = |value: serde_json::Value| value.as_object().cloned();
        let chat = kind("chat", true, ConfigSchema::default());
        let webhook = kind("webhook", false, ConfigSchema { open: true, ..ConfigSchema::default() });
        let kinds = |kind: &str| [&chat, &webhook].into_iter().find(|known| known.id == kind);
        // As an older version left it.
        let unsealed = EndpointSettings { kind: "chat".into(), ..state().settings };
        let old = unsealed.clone().concealed(true);
        let with_config =
            EndpointSettings { config: object(serde_json::json!({"token": "t"})), ..old.clone() };
        let url = |url: &str| EndpointPatch { url: Some(url.to_owned()), ..EndpointPatch::default() };
        let config = |config| EndpointPatch { config: Some(object(config)), ..EndpointPatch::default() };
        let to = |kind: &str, patch: EndpointPatch| EndpointPatch { kind: Some(kind.to_owned()), ..patch };
        let (mask, hook) = ("https://a.example/***", "https://a.example/x");
        for (stored, patch, shown, address) in [
            (&old, config(serde_json::json!({"username": "x"})), mask, hook),
            (&with_config, config(serde_json::json!(null)), mask, hook),
            (&old, url(mask), mask, hook),
            (&old, url("https://b.example/new"), "https://b.example/***", "https://b.example/new"),
            (&old, to("webhook", EndpointPatch::default()), mask, hook),
            (&with_config, to("webhook", url(mask)), mask, hook),
            (&unsealed, to("webhook", EndpointPatch::default()), mask, hook),
            (
                &old,
                to("webhook", url("https://b.example/new")),
                "https://b.example/new",
                "https://b.example/new",
            ),
            (&state().settings, to("chat", EndpointPatch::default()), mask, hook),
        ] {
            let new = merged(stored, &patch, kinds);
            assert_eq!((new.url.as_str(), new.address()), (shown, address));
        }
        // What was configured for one kind is neither kept nor found again where nothing reads it.
        assert_eq!(merged(&with_config, &to("webhook", EndpointPatch::default()), kinds).config, None);
        let mask = serde_json::json!({"token": "***"});
        let kept = merged(&with_config, &to("webhook", config(mask.clone())), kinds);
        assert_eq!(kept.config, object(mask));
    }

    #[test]
    fn ob_112_headers_are_replaced_as_a_whole_and_a_mask_keeps_a_value() {
        let mut state = state();
        let named = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        state.settings.headers = named(&[("x-a", "one"), ("x-b", "two")]);
        let patch = EndpointPatch {
            headers: Some(named(&[("x-a", "***"), ("x-c", "three")])),
            rate_limit: Some(Some(5)),
            ordering: Some(Ordering::Contact),
            ..EndpointPatch::default()
        };
        let settings = merged(&state.settings, &patch, |_| None);
        let (events, _) = change(&state, settings, None, Timestamp(1), String::new);
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
        let settings = EndpointSettings { kind: "webhook".into(), ..state.settings.clone() };
        let (events, shown) = change(&state, settings, None, Timestamp(1), || "whsec_x".into());
        assert_eq!((events.len(), shown.as_deref()), (2, Some("whsec_x")));
    }

    #[test]
    fn ob_76_ob_93_another_kind_has_no_secret_and_turning_back_makes_a_new_one() {
        let signed = state();
        let turned = |state: &EndpointState, kind: &str| {
            let settings = EndpointSettings { kind: kind.into(), ..state.settings.clone() };
            let (events, shown) = change(state, settings, None, Timestamp(1), || "two".into());
            let mut after = Some(state.clone());
            events
                .iter()
                .zip(1..)
                .for_each(|(event, version)| EndpointState::apply(&mut after, event, version));
            (after.unwrap(), shown)
        };
        let (keyed, shown) = turned(&signed, "slack");
        assert_eq!((keyed.secrets.as_slice(), shown), (&[][..], None));
        let (again, shown) = turned(&keyed, "webhook");
        assert_eq!((again.secrets.len(), shown.as_deref()), (1, Some("two")));
        // One that changed its kind while secrets were still kept.
        let left_behind = EndpointState { secrets: signed.secrets.clone(), ..keyed };
        assert_eq!(left_behind.shown_secrets(Timestamp(1)), (None, None));
        let (again, shown) = turned(&left_behind, "webhook");
        assert_eq!((again.secrets[0].secret.as_str(), shown.as_deref()), ("two", Some("two")));
    }

    #[test]
    fn ob_94_the_end_of_the_previous_secret_is_shown_until_it_came() {
        let mut state = state();
        state.secrets = rotate(&state, "whsec_AbCd123456".into(), 1000, Timestamp(5)).secrets;
        let prefix = Some("whsec_AbCd12".to_owned());
        assert_eq!(state.shown_secrets(Timestamp(1004)), (prefix.clone(), Some(Timestamp(1005))));
        assert_eq!(state.shown_secrets(Timestamp(1005)), (prefix, None));
    }
}
