//! Inbound webhook sources, put together from the environment and from files.

use mainspring_http::sources::{
    preset::PresetOptions,
    registry::{Registry, RegistrySettings},
};
use mainspring_schemas::source::SourceDefinition;

use crate::environment;

/// The sources of these files, and the presets that the environment allows; says which are mounted (WS-44).
pub fn mount(definitions: Vec<SourceDefinition>) -> anyhow::Result<Registry> {
    let defaults = PresetOptions::default();
    let settings = RegistrySettings {
        presets: environment::text("ENABLED_WEBHOOK_PRESETS"),
        unauthenticated: environment::text("WEBHOOK_ALLOW_UNAUTHENTICATED"),
        erase_on_delete: environment::text("WEBHOOK_ERASE_ON_DELETE"),
        preset_options: PresetOptions {
            stripe_user_id_key: environment::text("STRIPE_USER_ID_METADATA_KEY"),
            library_name: environment::text("OUTBOUND_LIB_NAME").unwrap_or(defaults.library_name),
        },
    };
    let (registry, notices) = Registry::assemble(definitions, &settings, environment::secret)?;
    for source in registry.iter() {
        let scheme = source.auth.scheme_name();
        tracing::info!(source = %source.id, variant = source.auth.variant(), scheme, "webhook source mounted");
    }
    for notice in notices {
        tracing::warn!("{notice}");
    }
    Ok(registry)
}
