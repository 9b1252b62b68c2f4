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
        return erase(state, &identity).await;
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
        Err(EngineError::NotFound) => return Ok(Ingested::Nobody),
        outcome => outcome?,
    };
    state.acknowledge(outcome.position);
    Ok(if outcome.stored { Ingested::Stored } else { Ingested::Repeated })
}

/// Erases whom a deletion is about: the owner of the keys or, if those have several owners, of the strongest one.
async fn erase(state: &AppState, identity: &Identity) -> Result<Ingested, EngineError> {
    let erased = match state.engine.erase(identity).await {
        Err(EngineError::DifferentContacts) => {
            let (external, email) = (identity.external.clone(), identity.email.clone());
            let email = email.filter(|_| external.is_none());
            let strongest = Identity { external, email, ..Identity::default() };
            state.engine.erase(&strongest).await
        }
        erased => erased,
    };
    match erased {
        Ok(erased) => {
            state.acknowledge(erased.position);
            Ok(Ingested::Erased)
        }
        Err(EngineError::NotFound) => Ok(Ingested::Nobody),
        Err(error) => Err(error),
    }
}
