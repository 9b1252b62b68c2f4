//! One mounted source: its proof, its mapping, its figures; everything but input and output.

use mainspring_schemas::{
    SourceId, Timestamp,
    source::{Auth, Mismatch, OnDelete, SourceDefinition},
};
use serde_json::{Value, json};

use super::{
    event::{Mapped, SourceEvent},
    headers::Headers,
    limits,
    preset::{Preset, PresetOptions},
    statistics::Statistics,
    verify::{Rejection, Request, Secrets, Verified, verify},
};

/// A source of callbacks.
#[derive(Debug)]
pub struct Source {
    /// The last part of its path.
    pub id: SourceId,
    /// Its name for people.
    pub name: String,
    /// How it proves its caller.
    pub auth: Auth,
    /// What a reported deletion does.
    pub on_delete: OnDelete,
    /// What it received.
    pub statistics: Statistics,
    pub(super) secrets: Option<Secrets>,
    /// Whether a stored secret counts while the variable is unset (WS-92).
    pub(super) keeps_secret: bool,
    /// Whether it takes requests without a secret (WS-20).
    pub(super) open: bool,
    pub(super) mapping: Mapping,
}

/// What makes events of payloads.
#[derive(Debug)]
pub(super) enum Mapping {
    Preset(Preset, PresetOptions),
    Defined(Box<SourceDefinition>),
}

/// Why a callback is refused (WS-02).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no secret to verify with; whether the source wants a signature.
    NotConfigured {
        /// Otherwise it wants the secret itself.
        signature: bool,
    },
    /// It does not come from the provider; whether the source wants a signature.
    Unproven {
        /// Otherwise it wants the secret itself.
        signature: bool,
        /// Why, for operators.
        rejection: Rejection,
    },
    /// The body is no JSON.
    Malformed,
    /// The payload has another shape.
    Mismatch(Mismatch),
}

impl Refusal {
    /// The word operators see.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotConfigured { .. } => "secret_not_configured",
            Self::Unproven { rejection, .. } => rejection.as_str(),
            Self::Malformed => "malformed_json",
            Self::Mismatch(_) => "invalid_payload",
        }
    }
}

/// What a verified payload means.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// This event.
    Event(Box<SourceEvent>),
    /// Nothing; why, in a word.
    Skipped(&'static str),
}

impl Source {
    /// Whether a request comes from the provider, who knows one of the secrets (steps 4 and 5 of WS-02).
    ///
    /// # Errors
    /// Why it does not count as the provider's.
    pub fn authenticate(&self, secrets: Option<&Secrets>, request: Request<'_>) -> Result<Verified, Refusal> {
        let signature = matches!(self.auth, Auth::Signature { .. });
        match secrets {
            Some(secrets) => verify(&self.auth, secrets, request)
                .map_err(|rejection| Refusal::Unproven { signature, rejection }),
            None if self.open => Ok(Verified::default()),
            None => Err(Refusal::NotConfigured { signature }),
        }
    }

    /// What the payload of a verified request means (steps 6 to 8 of WS-02), with what the edge adds (section 5).
    ///
    /// # Errors
    /// Why the payload is refused.
    pub fn interpret(&self, request: Request<'_>, verified: &Verified) -> Result<Meaning, Refusal> {
        let body = request.body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(request.body);
        let payload: Value = serde_json::from_slice(body).map_err(|_| Refusal::Malformed)?;
        let event = match self.map(payload, request.headers) {
            Mapped::Event(event) => event,
            Mapped::Skipped(why) => return Ok(Meaning::Skipped(why)),
            Mapped::Mismatch(mismatch) => return Err(Refusal::Mismatch(mismatch)),
        };
        self.complete(*event, verified, request.now)
    }

    fn map(&self, payload: Value, headers: &Headers) -> Mapped {
        let definition = match &self.mapping {
            Mapping::Preset(preset, options) => return preset.map(&payload, options),
            Mapping::Defined(definition) => definition,
        };
        if let Err(mismatch) = definition.require.check(&payload) {
            return mismatch.into();
        }
        let headers = headers.to_value(self.auth.secret_headers());
        let Some(reading) = definition.read(&json!({"body": payload, "headers": headers})) else {
            return Mapped::Skipped("no_rule");
        };
        SourceEvent {
            event: reading.event,
            user_id: reading.user_id,
            anonymous_id: reading.anonymous_id,
            email: reading.email,
            provider_key: None,
            event_properties: reading.event_properties,
            contact_properties: reading.contact_properties,
            idempotency_key: reading.idempotency_key,
            occurred_at: reading.occurred_at,
        }
        .into()
    }

    fn complete(
        &self,
        mut event: SourceEvent,
        verified: &Verified,
        now: Timestamp,
    ) -> Result<Meaning, Refusal> {
        if limits::is_reserved(&event.event) {
            tracing::warn!(source = %self.id, "an event with a name reserved for the engine was skipped");
            return Ok(Meaning::Skipped("reserved_name"));
        }
        // WS-50: a redelivery has the id of the first delivery.
        if let (None, Some(id)) = (&event.idempotency_key, &verified.message_id) {
            event.idempotency_key = Some(format!("{}:{id}", self.id));
        }
        // WS-51. No callback tells of anything before 1970.
        event.occurred_at = event.occurred_at.filter(|at| at.0 >= 0).map(|at| at.min(now));
        limits::check(&mut event).map_err(Refusal::Mismatch)?;
        let nobody = event.user_id.is_none() && event.email.is_none() && event.anonymous_id.is_none();
        Ok(if nobody { Meaning::Skipped("identity") } else { Meaning::Event(Box::new(event)) })
    }

    /// The secrets of its variable, if it is set.
    pub fn secrets(&self) -> Option<&Secrets> {
        self.secrets.as_ref()
    }
}
