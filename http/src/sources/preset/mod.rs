//! The providers that are known without any file: pure mappings of their payloads (sections 6 to 10).

mod clerk;
mod posthog;
mod segment;
mod stripe;
mod stripe_properties;
mod supabase;

use mainspring_schemas::{
    Properties, Timestamp,
    source::{Algorithm, Auth, Scheme},
};
use serde_json::Value;

use super::event::Mapped;

/// A known provider (WS-43).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Users and waiting lists.
    Clerk,
    /// Rows of `auth.users`.
    Supabase,
    /// Customers, subscriptions, invoices.
    Stripe,
    /// `identify` and `track`.
    Segment,
    /// Events of a destination.
    PostHog,
}

/// What an operator can set about presets.
#[derive(Clone, Debug)]
pub struct PresetOptions {
    /// The key of Stripe's metadata that holds the application's own id of a person (WS-106).
    pub stripe_user_id_key: Option<String>,
    /// What this engine calls itself in what it sends to PostHog (WS-135, OB-207).
    pub library_name: String,
}

impl Default for PresetOptions {
    fn default() -> Self {
        Self { stripe_user_id_key: None, library_name: "hogsend".to_owned() }
    }
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 5] = [Self::Clerk, Self::Supabase, Self::Stripe, Self::Segment, Self::PostHog];

    /// The last part of its path.
    pub fn id(self) -> &'static str {
        match self {
            Self::Clerk => "clerk",
            Self::Supabase => "supabase",
            Self::Stripe => "stripe",
            Self::Segment => "segment",
            Self::PostHog => "posthog",
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clerk => "Clerk",
            Self::Supabase => "Supabase",
            Self::Stripe => "Stripe",
            Self::Segment => "Segment",
            Self::PostHog => "PostHog",
        }
    }

    /// How it proves its caller (WS-43).
    pub fn auth(self) -> Auth {
        let signature = |scheme, env: &str, fallback: Option<&str>| Auth::Signature {
            scheme,
            env: env.to_owned(),
            fallback_header: fallback.map(str::to_owned),
        };
        match self {
            Self::Clerk => signature(Scheme::Svix, "CLERK_WEBHOOK_SECRET", None),
            Self::Supabase => {
                signature(Scheme::Svix, "SUPABASE_WEBHOOK_SECRET", Some("x-supabase-webhook-secret"))
            }
            Self::Stripe => {
                let scheme = Scheme::Stripe { header: "stripe-signature".to_owned() };
                signature(scheme, "STRIPE_WEBHOOK_SECRET", None)
            }
            Self::Segment => {
                // The provider signs with SHA-1 (WS-119).
                let algorithms = vec![Algorithm::Sha1, Algorithm::Sha256];
                let scheme = Scheme::HmacHex { header: "x-signature".to_owned(), algorithms };
                signature(scheme, "SEGMENT_WEBHOOK_SECRET", None)
            }
            Self::PostHog => Auth::Match {
                header: "x-posthog-webhook-secret".to_owned(),
                env: "POSTHOG_WEBHOOK_SECRET".to_owned(),
            },
        }
    }

    /// Whether the engine may make its secret itself, and stores it then (WS-92).
    pub fn keeps_secret(self) -> bool {
        matches!(self, Self::PostHog)
    }

    /// What a payload means.
    pub fn map(self, payload: &Value, options: &PresetOptions) -> Mapped {
        match self {
            Self::Clerk => clerk::map(payload),
            Self::Supabase => supabase::map(payload),
            Self::Stripe => stripe::map(payload, options.stripe_user_id_key.as_deref()),
            Self::Segment => segment::map(payload),
            Self::PostHog => posthog::map(payload, &options.library_name),
        }
    }
}

/// A member that is a string.
fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key)?.as_str()
}

/// A member that is a string with something in it.
fn filled<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    text(value, key).filter(|text| !text.is_empty())
}

/// The members of a member that is an object; none of anything else.
fn object(value: &Value, key: &str) -> Properties {
    value.get(key).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Sets a key unless there is no value for it.
fn set(properties: &mut Properties, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        properties.insert(key.to_owned(), value.into());
    }
}

/// Properties of these members.
fn properties<const N: usize>(members: [(&str, &str); N]) -> Properties {
    members.into_iter().map(|(key, value)| (key.to_owned(), Value::from(value))).collect()
}

/// An instant in unix seconds.
fn seconds(value: Option<&Value>) -> Option<Timestamp> {
    value?.as_i64()?.checked_mul(1000).map(Timestamp)
}

/// An instant as text; fractions are cut to milliseconds.
fn instant(value: Option<&Value>) -> Option<Timestamp> {
    value?.as_str()?.parse().ok()
}
