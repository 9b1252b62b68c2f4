//! From a source's event to the engine: the only place that knows both.

use compact_str::CompactString;
use mainspring_actors::api::{EngineError, Identity, IngestCall};
use mainspring_schemas::{event::contact::Source as Origin, source::OnDelete};
use uuid::Uuid;

use super::{event::SourceEvent, source::Source};
use crate::state::AppState;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ingested {
    /// It is stored.
    Stored,
    /// It had been stored before.
    Repeated,
    /// It is about nobody who is known, and nobody was to be created for it (WS-52).
    Nobody,
    /// The person it is about is erased.
    Erased,
}

/// Who the event is about. Where the provider has ids of its own, the user id is the application's or none (WS-106).
fn identity(source: &Source, event: &SourceEvent) -> Identity {
    let (email, anonymous_id) = (event.email.as_deref(), event.anonymous_id.as_deref());
    match &event.provider_key {
        Some(key) => {
            Identity::new(key.user_id.as_deref(), email, anonymous_id).with_provider(&source.id, &key.id)
        }
        None => Identity::new(event.user_id.as_deref(), email, anonymous_id),
    }
}

/// Ingests an event, durably.
///
/// # Errors
/// What the engine says; nothing was acknowledged then.
pub(super) async fn ingest(
    state: &AppState,
    source: &Source,
    event: SourceEvent,
    trace: Option<Uuid>,
) -> Result<Ingested, EngineError> {
    let identity = identity(source, &event);
    let is_deletion = event.is_deletion();
    if is_deletion && source.on_delete == OnDelete::Erase {
        match erase(state, &identity).await {
            // It never will be possible. Told to come again, the provider would give up on all that comes after it.
            Err(EngineError::State(reason)) => {
                tracing::error!(source = %source.id, reason, "a deletion could not erase; it is stored as an event");
            }
            erased => return erased,
        }
    }
    let call = IngestCall {
        identity,
        name: CompactString::from(event.event),
        event_properties: event.event_properties,
        contact_properties: event.contact_properties,
        idempotency_key: event.idempotency_key.map(CompactString::from),
        occurred_at: event.occurred_at,
        source: Origin::Webhook(source.id.clone()),
        existing_only: is_deletion,
        trace,
    };
    let outcome = match state.engine.ingest(call).await {
        Err(EngineError::NotFound) if is_deletion => return Ok(Ingested::Nobody),
        outcome => outcome?,
    };
    state.acknowledge(outcome.position);
    Ok(if outcome.stored { Ingested::Stored } else { Ingested::Repeated })
}

/// Erases whom a deletion is about: whom the user's id names. Whoever only has the address or the visitor's id of the
/// deletion, and a user id of their own, is somebody else: the provider deleted another account.
async fn erase(state: &AppState, identity: &Identity) -> Result<Ingested, EngineError> {
    let Identity { external, provider, email, anonymous, .. } = identity.clone();
    let names_a_user = external.is_some() || provider.is_some();
    let mut erased = Err(EngineError::NotFound);
    if names_a_user {
        erased = state.engine.erase(&Identity { external, provider, ..Identity::default() }).await;
    }
    let by_email = email.map(|email| Identity { email: Some(email), ..Identity::default() });
    let by_visit = anonymous.map(|anonymous| Identity { anonymous: Some(anonymous), ..Identity::default() });
    for hint in [by_email, by_visit].into_iter().flatten() {
        if !matches!(erased, Err(EngineError::NotFound)) {
            break;
        }
        for owner in state.engine.find(&hint).await? {
            if !names_a_user || owner.contact.external_id.is_none() {
                erased = state.engine.erase_contact(owner.contact.id).await;
            }
        }
    }
    match erased {
        Ok(erased) => {
            state.acknowledge(erased.position);
            Ok(Ingested::Erased)
        }
        Err(EngineError::NotFound) => Ok(Ingested::Nobody),
        Err(error) => Err(error),
    }
}
