//! Which destinations there are: the presets that the environment switches on, and those of files (OB-203).

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use compact_str::CompactString;
use mainspring_http::RequestUrl;
use mainspring_outbound::{
    destination::{Custom, DEFAULT_LIB, Outgoing, Presets, Registry, Transformed},
    ports::{Endpoint, QueuedDelivery},
};
use mainspring_schemas::{
    destination::{Description, DestinationDefinition, masked},
    event::endpoint::EndpointSettings,
};

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

/// Tells where the requests of deliveries go: what a destination makes of a configuration without its credentials.
pub fn request_url(registry: Arc<Registry>) -> RequestUrl {
    Arc::new(move |state, letter| {
        let schema = registry.descriptions().find(|one| one.id == letter.kind).map(|one| &one.config);
        let config = state.settings.config.as_ref().map(|config| masked(config, schema));
        let endpoint = Endpoint {
            settings: EndpointSettings { config, ..state.settings.clone() },
            secrets: Vec::new(),
            enabled: true,
            disabled_at: None,
            enabled_at: None,
        };
        let delivery = QueuedDelivery {
            id: letter.id,
            endpoint: letter.endpoint,
            message: letter.message,
            event_type: CompactString::from(&letter.event_type),
            contact: None,
            body: Bytes::from(letter.body.clone()),
            position: 0,
            attempts: letter.retry_count,
            schedule_attempts: 0,
            requeues: 0,
            replay: false,
            due_at: letter.created_at,
        };
        let outgoing = Outgoing { endpoint: &endpoint, delivery: &delivery, now: letter.created_at };
        match registry.transform(&outgoing) {
            Transformed::Request(request) => Some(request.url),
            Transformed::Skip | Transformed::Config(_) => None,
        }
    })
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
