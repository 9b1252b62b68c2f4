//! The sources that take callbacks right now, each with the secrets it verifies with: those of the environment, else the
//! stored one (WS-92). Whether there is a stored one is asked at every callback, so a new one counts at once.

use mainspring_actors::Engine;

use super::{registry::Registry, source::Source, verify::Secrets};
use crate::error::ApiError;

/// A source that takes callbacks.
pub(crate) struct Mounted<'s> {
    /// The source.
    pub source: &'s Source,
    stored: Option<Secrets>,
}

impl Mounted<'_> {
    /// What it verifies with.
    pub fn secrets(&self) -> Option<&Secrets> {
        self.source.secrets().or(self.stored.as_ref())
    }

    /// Whether it takes requests from everybody (WS-20).
    pub fn is_open(&self) -> bool {
        self.source.open && self.secrets().is_none()
    }
}

/// The source of an id, if it is mounted.
///
/// # Errors
/// 503 if nobody can tell whether there is a stored secret: a source is never open because of that.
pub(crate) async fn find<'s>(
    registry: &'s Registry,
    engine: &Engine,
    id: &str,
) -> Result<Option<Mounted<'s>>, ApiError> {
    match (registry.get(id), registry.dormant(id)) {
        (Some(source), _) => with_secret(source, engine).await.map(Some),
        (None, Some(source)) => {
            Ok(Some(with_secret(source, engine).await?).filter(|mounted| mounted.stored.is_some()))
        }
        (None, None) => Ok(None),
    }
}

/// All mounted sources, by id.
///
/// # Errors
/// As [`find`].
pub(crate) async fn all<'s>(registry: &'s Registry, engine: &Engine) -> Result<Vec<Mounted<'s>>, ApiError> {
    let mut mounted = Vec::new();
    for source in registry.iter().chain(registry.iter_dormant()) {
        mounted.extend(find(registry, engine, source.id.as_str()).await?);
    }
    mounted.sort_by(|one, other| one.source.id.cmp(&other.source.id));
    Ok(mounted)
}

async fn with_secret<'s>(source: &'s Source, engine: &Engine) -> Result<Mounted<'s>, ApiError> {
    if !source.keeps_secret || source.secrets().is_some() {
        return Ok(Mounted { source, stored: None });
    }
    match engine.source_secrets().find(&source.id).await {
        Ok(stored) => {
            Ok(Mounted { source, stored: stored.and_then(|secret| Secrets::read(secret.as_str())) })
        }
        Err(cause) => {
            tracing::error!(source = %source.id, %cause, "the secret of a webhook source cannot be looked up");
            Err(ApiError::Overloaded)
        }
    }
}
