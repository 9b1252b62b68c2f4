//! Finding the files of webhook sources. What stands in them is read by `mainspring_schemas::source`.

use std::path::{Path, PathBuf};

use mainspring_schemas::{
    definition::Issue,
    source::{SourceDefinition, assemble},
};

use crate::{definitions, environment, exit::Fault, output};

/// Where sources are looked for if nobody says otherwise.
const DEFAULT_DIR: &str = "./sources";

/// Which webhook sources a process takes callbacks of.
#[derive(Debug, clap::Args)]
pub struct SourceArguments {
    /// Inbound webhook sources of your own [env: SOURCES_DIR] [default: ./sources]
    #[arg(long, value_name = "DIR")]
    sources: Option<PathBuf>,
}

/// Sources, and everything that is wrong with their files.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The sources without an error, in order.
    pub definitions: Vec<SourceDefinition>,
    /// All problems.
    pub issues: Vec<Issue>,
    /// How many files were read.
    pub files: usize,
}

impl SourceArguments {
    /// Reads the files; without a directory there are none.
    pub fn read(&self) -> anyhow::Result<Loaded> {
        let chosen = self.sources.clone().or_else(|| environment::path("SOURCES_DIR"));
        let place = match chosen {
            Some(place) => place,
            None if Path::new(DEFAULT_DIR).is_dir() => PathBuf::from(DEFAULT_DIR),
            None => return Ok(Loaded::default()),
        };
        let files = definitions::files(&[place])?;
        let count = files.len();
        let (definitions, issues) = assemble(files);
        Ok(Loaded { definitions, issues, files: count })
    }

    /// Reads the files; prints every issue, and an error of a source is a fault.
    pub fn load(&self) -> anyhow::Result<Vec<SourceDefinition>> {
        let loaded = self.read()?;
        loaded.issues.iter().for_each(output::notice);
        match loaded.issues.iter().filter(|issue| issue.is_error()).count() {
            0 => Ok(loaded.definitions),
            errors => {
                let message = format!("{errors} errors in the webhook sources; nothing was started");
                Err(Fault::usage(message).into())
            }
        }
    }
}
