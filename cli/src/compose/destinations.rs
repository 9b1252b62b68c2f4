//! Which destinations there are: the presets that the environment switches on, and those of files (OB-203).

use std::{collections::BTreeSet, sync::Arc};

use mainspring_outbound::destination::{Custom, DEFAULT_LIB, Presets, Registry};
use mainspring_schemas::destination::{Description, DestinationDefinition};

use crate::environment;

/// The presets that the environment asks for, and destinations of files, which take the place of presets with the same
/// id.
pub fn registry(of_files: Vec<DestinationDefinition>) -> Registry {
    let presets = Presets::parse(&environment::text("ENABLED_DESTINATION_PRESETS").unwrap_or_default());
    let lib = environment::text("OUTBOUND_LIB_NAME");
    let mut registry = Registry::new(&presets, lib.as_deref().map_or(DEFAULT_LIB, str::trim));
    for id in registry.unknown(&presets) {
        tracing::warn!(id, "ENABLED_DESTINATION_PRESETS names a preset that does not exist");
    }
    for definition in of_files {
        registry.register(Arc::new(Custom::new(definition)));
    }
    registry
}

/// What the edge has to know of them, in the order of their ids.
pub fn described(registry: &Registry) -> Arc<[Description]> {
    let mut all: Vec<Description> = registry.descriptions().cloned().collect();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    all.into()
}

/// The kinds of which deliveries can be made now (OB-204).
pub fn registered(registry: &Registry) -> BTreeSet<String> {
    let ids = registry.descriptions().map(|description| description.id.clone());
    ids.filter(|id| registry.is_registered(id)).collect()
}
