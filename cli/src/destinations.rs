//! Finding destination files. What stands in them is read by `mainspring_schemas::destination`.

use std::path::{Path, PathBuf};

use mainspring_schemas::{
    definition::Issue,
    destination::{DestinationDefinition, assemble},
};

use crate::{definitions, environment, exit::Fault, output};

/// The folder of a definitions directory that holds destinations.
pub const FOLDER: &str = "destinations";

/// Destinations, and everything that is wrong with their files.
#[derive(Debug)]
pub struct Loaded {
    /// The destinations without an error, in the order of their files.
    pub destinations: Vec<DestinationDefinition>,
    /// All problems.
    pub issues: Vec<Issue>,
    /// How many files were read.
    pub files: usize,
}

/// Reads all destination files below directories, or files named directly.
pub fn read(places: &[PathBuf]) -> anyhow::Result<Loaded> {
    let files = definitions::files(places, &[])?;
    let count = files.len();
    let (destinations, issues) = assemble(files);
    Ok(Loaded { destinations, issues, files: count })
}

/// Whether a place is a folder of destinations, or a file in one.
pub fn is_place(place: &Path) -> bool {
    let folder = if place.is_dir() { Some(place) } else { place.parent() };
    folder.and_then(Path::file_name).is_some_and(|name| name == FOLDER)
}

/// The destinations that belong to a definitions directory, if it has any.
pub fn place_in(definitions: &Path) -> Option<PathBuf> {
    Some(definitions.join(FOLDER)).filter(|folder| folder.is_dir())
}

/// Which destinations a process starts with.
#[derive(Debug, clap::Args)]
pub struct DestinationArguments {
    /// Destinations of your own [env: DESTINATIONS_DIR] [default: `destinations` in the definitions directory]
    #[arg(long, value_name = "DIR")]
    destinations: Option<PathBuf>,
}

impl DestinationArguments {
    /// Reads the destinations. Prints every issue; an error of one is a fault, and nothing is started (OB-260).
    pub fn load(&self, definitions: Option<&Path>) -> anyhow::Result<Vec<DestinationDefinition>> {
        let chosen = self.destinations.clone().or_else(|| environment::path("DESTINATIONS_DIR"));
        let Some(place) = chosen.or_else(|| definitions.and_then(place_in)) else { return Ok(Vec::new()) };
        let loaded = read(&[place])?;
        for issue in &loaded.issues {
            output::notice(issue);
        }
        match loaded.issues.iter().filter(|issue| issue.is_error()).count() {
            0 => Ok(loaded.destinations),
            errors => {
                Err(Fault::usage(format!("{errors} errors in the destinations; nothing was started")).into())
            }
        }
    }
}
