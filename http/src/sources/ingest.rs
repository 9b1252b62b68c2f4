//! From a source's event to the engine: the only place that knows both.

use compact_str::{CompactString, format_compact};
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

fn identity(event: &SourceEvent) -> Identity {
    Identity::new(event.external_id(), event.email.as_deref(), event.anonymous_id.as_deref())
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
    let identity = identity(&event);
    if event.is_deletion() && source.on_delete == OnDelete::Erase {
        return erase(state, &identity).await;
    }
    if event.is_deletion() && state.engine.find(&identity).await?.is_empty() {
        return Ok(Ingested::Nobody);
    }
    let key = event.idempotency_key.as_ref();
    let call = IngestCall {
        identity,
        name: CompactString::from(event.event),
        event_properties: event.event_properties,
        contact_properties: event.contact_properties,
        idempotency_key: key.map(|key| format_compact!("{}\u{0}{key}", source.id)),
        occurred_at: event.occurred_at,
        source: Origin::Api,
        trace,
    };
    let outcome = state.engine.ingest(call).await?;
    state.acknowledge(outcome.position);
    Ok(if outcome.stored { Ingested::Stored } else { Ingested::Repeated })
}

/// Erases whom a deletion is about: the owner of the keys or, if those have several owners, of the strongest one.
async fn erase(state: &AppState, identity: &Identity) -> Result<Ingested, EngineError> {
    let erased = match state.engine.erase(identity).await {
        Err(EngineError::DifferentContacts) => {
            let strongest = Identity { external: identity.external.clone(), ..Identity::default() };
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
