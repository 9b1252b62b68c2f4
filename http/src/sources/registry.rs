//! Which sources there are, and which of them the environment mounts (section 4).

use std::{collections::BTreeMap, fmt, sync::Arc};

use mainspring_schemas::{
    SourceId,
    source::{Auth, OnDelete, SourceDefinition},
};

use super::{
    preset::{Preset, PresetOptions},
    source::{Mapping, Source},
    statistics::Statistics,
    verify::Secrets,
};

/// What operators set about sources.
#[derive(Clone, Debug, Default)]
pub struct RegistrySettings {
    /// `ENABLED_WEBHOOK_PRESETS` (WS-42).
    pub presets: Option<String>,
    /// `WEBHOOK_ALLOW_UNAUTHENTICATED`: ids of sources that take requests without a secret (WS-20).
    pub unauthenticated: Option<String>,
    /// `WEBHOOK_ERASE_ON_DELETE`: ids of sources whose reported deletions erase (WS-52).
    pub erase_on_delete: Option<String>,
    /// What presets can be told.
    pub preset_options: PresetOptions,
}

/// The sources.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// Those that are mounted.
    sources: Arc<BTreeMap<String, Source>>,
    /// Those that are mounted once a secret of theirs is stored (WS-92).
    dormant: Arc<BTreeMap<String, Source>>,
}

/// Something an operator should know about the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// `ENABLED_WEBHOOK_PRESETS` names a preset there is none of.
    UnknownPreset(String),
    /// `ENABLED_WEBHOOK_PRESETS` names a preset that has no secret.
    PresetWithoutSecret(&'static str, String),
    /// `WEBHOOK_ALLOW_UNAUTHENTICATED` names a source whose callers sign.
    NeverOpen(SourceId),
    /// A variable names a source that is not mounted.
    NotMounted(&'static str, String),
    /// A source takes requests from everybody.
    Open(SourceId),
    /// A source of a file has no secret, so that it refuses everything.
    NoSecret(SourceId, String),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPreset(id) => write!(f, "ENABLED_WEBHOOK_PRESETS: there is no preset `{id}`"),
            Self::PresetWithoutSecret(id, env) => {
                write!(f, "ENABLED_WEBHOOK_PRESETS: `{id}` is not mounted until {env} is set")
            }
            Self::NeverOpen(id) => {
                write!(
                    f,
                    "WEBHOOK_ALLOW_UNAUTHENTICATED: `{id}` is signed and takes no request without a proof"
                )
            }
            Self::NotMounted(variable, id) => write!(f, "{variable}: no source `{id}` is mounted"),
            Self::Open(id) => write!(f, "the webhook source `{id}` takes requests from everybody"),
            Self::NoSecret(id, env) => {
                write!(f, "the webhook source `{id}` refuses everything until {env} is set")
            }
        }
    }
}

/// Why sources are not mounted.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError<E> {
    /// A secret could not be read.
    #[error("{0}")]
    Secret(E),
    /// A source takes requests from everybody, and a deletion erases: anybody could erase anybody.
    #[error(
        "the webhook source `{0}` takes requests from everybody, so its deletions must not erase: give it a secret, \
         take it out of WEBHOOK_ALLOW_UNAUTHENTICATED, or let deletions be events"
    )]
    OpenErasure(SourceId),
}

impl<E> From<E> for AssemblyError<E> {
    fn from(error: E) -> Self {
        Self::Secret(error)
    }
}

/// Ids of a list separated by commas, in lower case.
fn ids(list: Option<&str>) -> Vec<String> {
    let ids = list.unwrap_or_default().split(',').map(str::trim).filter(|id| !id.is_empty());
    ids.map(str::to_lowercase).collect()
}

/// Which presets are allowed; `None` = all (WS-42).
fn allowed(setting: Option<&str>) -> Option<Vec<String>> {
    match setting.map(str::trim) {
        None | Some("" | "*") => None,
        Some(list) if list.eq_ignore_ascii_case("none") => Some(Vec::new()),
        list => Some(ids(list)),
    }
}

impl Registry {
    /// Puts presets and sources of files together. `secret` answers with the secret in a variable, if it is set. A source
    /// of a file replaces the preset of its id (WS-40).
    ///
    /// # Errors
    /// See [`AssemblyError`].
    pub fn assemble<E>(
        definitions: Vec<SourceDefinition>,
        settings: &RegistrySettings,
        secret: impl Fn(&str) -> Result<Option<String>, E>,
    ) -> Result<(Self, Vec<Notice>), AssemblyError<E>> {
        let mut notices = Vec::new();
        let unauthenticated = ids(settings.unauthenticated.as_deref());
        let erasing = ids(settings.erase_on_delete.as_deref());
        let secrets = |auth: &Auth| Ok::<_, E>(secret(auth.env())?.as_deref().and_then(Secrets::read));
        // Only a secret that would be the caller's can be done without; a signature cannot (WS-21).
        let may_be_open = |id: &str, auth: &Auth| {
            matches!(auth, Auth::Match { .. }) && unauthenticated.iter().any(|open| open == id)
        };
        let mut sources = BTreeMap::new();
        let allowed = allowed(settings.presets.as_deref());
        for unknown in
            allowed.iter().flatten().filter(|id| !Preset::ALL.iter().any(|known| known.id() == *id))
        {
            notices.push(Notice::UnknownPreset(unknown.clone()));
        }
        for preset in Preset::ALL {
            let (id, auth) = (preset.id(), preset.auth());
            let Ok(source_id) = SourceId::new(id) else { continue };
            let secrets = secrets(&auth)?;
            let open = may_be_open(id, &auth);
            let is_named = allowed.as_ref().map(|allowed| allowed.iter().any(|allowed| allowed == id));
            if is_named == Some(false) {
                continue;
            }
            if secrets.is_none() && !open && !preset.keeps_secret() {
                if is_named.is_some() && !definitions.iter().any(|definition| definition.id.as_str() == id) {
                    notices.push(Notice::PresetWithoutSecret(id, auth.env().to_owned()));
                }
                continue;
            }
            let source = Source {
                id: source_id,
                name: preset.name().to_owned(),
                auth,
                on_delete: OnDelete::Event,
                statistics: Statistics::default(),
                secrets,
                keeps_secret: preset.keeps_secret(),
                open,
                mapping: Mapping::Preset(preset, settings.preset_options.clone()),
            };
            sources.insert(id.to_owned(), source);
        }
        for definition in definitions {
            let id = definition.id.clone();
            let source = Source {
                id: id.clone(),
                name: definition.name.clone(),
                auth: definition.auth.clone(),
                on_delete: definition.on_delete,
                statistics: Statistics::default(),
                secrets: secrets(&definition.auth)?,
                keeps_secret: false,
                open: may_be_open(id.as_str(), &definition.auth),
                mapping: Mapping::Defined(Box::new(definition)),
            };
            if source.secrets.is_none() && !source.open {
                notices.push(Notice::NoSecret(id.clone(), source.auth.env().to_owned()));
            }
            sources.insert(id.as_str().to_owned(), source);
        }
        for (id, source) in &mut sources {
            if erasing.contains(id) {
                source.on_delete = OnDelete::Erase;
            }
            if source.open && source.secrets.is_none() {
                if source.on_delete == OnDelete::Erase {
                    return Err(AssemblyError::OpenErasure(source.id.clone()));
                }
                notices.push(Notice::Open(source.id.clone()));
            }
            if unauthenticated.contains(id) && !matches!(source.auth, Auth::Match { .. }) {
                notices.push(Notice::NeverOpen(source.id.clone()));
            }
        }
        for (variable, ids) in
            [("WEBHOOK_ALLOW_UNAUTHENTICATED", unauthenticated), ("WEBHOOK_ERASE_ON_DELETE", erasing)]
        {
            let missing = ids.into_iter().filter(|id| !sources.contains_key(id));
            notices.extend(missing.map(|id| Notice::NotMounted(variable, id)));
        }
        let (dormant, sources): (BTreeMap<_, _>, _) = sources
            .into_iter()
            .partition(|(_, source)| source.keeps_secret && source.secrets.is_none() && !source.open);
        Ok((Self { sources: Arc::new(sources), dormant: Arc::new(dormant) }, notices))
    }

    /// The mounted source of an id.
    pub fn get(&self, id: &str) -> Option<&Source> {
        self.sources.get(id)
    }

    /// Every mounted source, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.sources.values()
    }

    /// The source of an id that waits for a stored secret.
    pub fn dormant(&self, id: &str) -> Option<&Source> {
        self.dormant.get(id)
    }

    /// Every source that waits for a stored secret, by id.
    pub fn iter_dormant(&self) -> impl Iterator<Item = &Source> {
        self.dormant.values()
    }

    /// The source of an id, mounted or waiting, if a stored secret of it counts.
    pub fn keeping_secret(&self, id: &str) -> Option<&Source> {
        self.get(id).or_else(|| self.dormant(id)).filter(|source| source.keeps_secret)
    }
}
