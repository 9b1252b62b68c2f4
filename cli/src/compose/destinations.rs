//! Which destinations there are: the presets that the environment switches on, and those of files (OB-203).

use std::sync::Arc;

use mainspring_outbound::destination::{DEFAULT_LIB, Presets, Registry};
use mainspring_schemas::destination::Description;

use crate::environment;

/// The destinations that the environment asks for.
pub fn registry() -> Registry {
    let presets = Presets::parse(&environment::text("ENABLED_DESTINATION_PRESETS").unwrap_or_default());
    let lib = environment::text("OUTBOUND_LIB_NAME");
    let registry = Registry::new(&presets, lib.as_deref().map_or(DEFAULT_LIB, str::trim));
    for id in registry.unknown(&presets) {
        tracing::warn!(id, "ENABLED_DESTINATION_PRESETS names a preset that does not exist");
    }
    registry
}

/// What the edge has to know of them, in the order of their ids.
pub fn described(registry: &Registry) -> Arc<[Description]> {
    let mut all: Vec<Description> = registry.descriptions().cloned().collect();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    all.into()
}
