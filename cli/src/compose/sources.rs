//! Inbound webhook sources, put together from the environment and from files.

use mainspring_actors::Engine;
use mainspring_http::sources::{
    preset::PresetOptions,
    registry::{AssemblyError, Registry, RegistrySettings},
    source::Source,
};
use mainspring_schemas::source::SourceDefinition;

use crate::{environment, exit::Fault};

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
    let assembled = Registry::assemble(definitions, &settings, environment::secret);
    let (registry, notices) = assembled.map_err(|error| match error {
        AssemblyError::Secret(error) => error,
        unsafe_setting @ AssemblyError::OpenErasure(_) => Fault::usage(unsafe_setting.to_string()).into(),
    })?;
    registry.iter().for_each(tell);
    for notice in notices {
        tracing::warn!("{notice}");
    }
    Ok(registry)
}

/// Says which sources are mounted because a secret of theirs is stored (WS-44, WS-92).
pub async fn tell_stored(registry: &Registry, engine: &Engine) {
    for source in registry.iter_dormant() {
        match engine.source_secrets().find(&source.id).await {
            Ok(Some(_)) => tell(source),
            Ok(None) => {}
            // Its callbacks are refused until it can be read; everybody else's are taken.
            Err(error) => tracing::error!(%error, "a webhook source is not available"),
        }
    }
}

fn tell(source: &Source) {
    let scheme = source.auth.scheme_name();
    tracing::info!(source = %source.id, variant = source.auth.variant(), scheme, "webhook source mounted");
}
