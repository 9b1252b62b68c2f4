//! Finding definition files. What stands in them is read by `mainspring_schemas::definition`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use mainspring_schemas::definition::{BucketDefinition, Issue, assemble, select};

use crate::{destinations, environment, exit::Fault, output};

/// Where definitions are looked for if nobody says otherwise.
pub const DEFAULT_DIR: &str = "./definitions";

/// Definitions, and everything that is wrong with their files.
#[derive(Debug)]
pub struct Loaded {
    /// The definitions without an error, in order.
    pub definitions: Vec<BucketDefinition>,
    /// All problems.
    pub issues: Vec<Issue>,
    /// How many files were read.
    pub files: usize,
}

impl Loaded {
    /// How many issues refuse a definition.
    pub fn errors(&self) -> usize {
        self.issues.iter().filter(|issue| issue.is_error()).count()
    }
}

/// Folders of a definitions directory that hold no buckets.
const OTHER_FOLDERS: [&str; 1] = [destinations::FOLDER];

/// Reads all definition files below directories, or files named directly.
pub fn read(places: &[PathBuf]) -> anyhow::Result<Loaded> {
    let files = files(places, &OTHER_FOLDERS)?;
    let count = files.len();
    let (definitions, issues) = assemble(files);
    Ok(Loaded { definitions, issues, files: count })
}

/// The files below directories, or named directly, with their texts. Folders that stand right in such a directory and
/// have one of the names in `except` are left out.
pub fn files(places: &[PathBuf], except: &[&str]) -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for place in places {
        let found = fs::metadata(place).and_then(|metadata| {
            if metadata.is_dir() { collect(place, except, &mut files) } else { read_file(place, &mut files) }
        });
        found.with_context(|| Fault::usage(format!("definitions in {} cannot be read", place.display())))?;
    }
    Ok(files)
}

/// Which definitions a process starts with.
#[derive(Debug, clap::Args)]
pub struct DefinitionArguments {
    /// Definitions of buckets [env: DEFINITIONS_DIR] [default: ./definitions]
    #[arg(long, value_name = "DIR")]
    definitions: Option<PathBuf>,
    /// The buckets of them that take part; * = all, `,` = none [env: ENABLED_BUCKETS] [default: *]
    #[arg(long, value_name = "ID,..")]
    enabled_buckets: Option<String>,
}

impl DefinitionArguments {
    /// Where they are: what the flag says, else `DEFINITIONS_DIR`, else the default directory if there is one.
    pub fn place(&self) -> Option<PathBuf> {
        let chosen = self.definitions.clone().or_else(|| environment::path("DEFINITIONS_DIR"));
        chosen.or_else(|| Some(PathBuf::from(DEFAULT_DIR)).filter(|default| default.is_dir()))
    }

    /// Reads the definitions. `None` keeps those that the log knows. Prints every issue; an error of a definition is a
    /// fault, and so is a bucket that is not defined (BK-202).
    pub fn load(&self) -> anyhow::Result<Option<Vec<BucketDefinition>>> {
        let selection = match &self.enabled_buckets {
            Some(selection) => selection.clone(),
            None => enabled_buckets()?.unwrap_or_default(),
        };
        match for_start(self.place())? {
            Some(definitions) => {
                let selected = select(definitions, &selection);
                Ok(Some(selected.map_err(|unknown| Fault::usage(format!("enabled buckets: {unknown}")))?))
            }
            None if matches!(selection.trim(), "" | "*") => Ok(None),
            None => {
                Err(Fault::usage("enabled buckets are chosen from definition files: --definitions DIR")
                    .into())
            }
        }
    }
}

/// The selection in the environment; blanks in it mean something (BK-202).
fn enabled_buckets() -> anyhow::Result<Option<String>> {
    let given = |name: &str| Ok(environment::verbatim(name).filter(|value| !value.is_empty()));
    let found = environment::either(["ENABLED_BUCKETS", "MAINSPRING_ENABLED_BUCKETS"], given)?;
    Ok(found.map(|(_, selection)| selection))
}

fn for_start(place: Option<PathBuf>) -> anyhow::Result<Option<Vec<BucketDefinition>>> {
    let Some(place) = place else { return Ok(None) };
    let loaded = read(&[place])?;
    for issue in &loaded.issues {
        output::notice(issue);
    }
    match loaded.errors() {
        0 => Ok(Some(loaded.definitions)),
        errors => {
            Err(Fault::usage(format!("{errors} errors in the definitions; nothing was started")).into())
        }
    }
}

fn collect(directory: &Path, except: &[&str], files: &mut Vec<(String, String)>) -> io::Result<()> {
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || except.contains(&&*name) && path.is_dir() {
            continue;
        }
        if fs::metadata(&path)?.is_dir() {
            collect(&path, &[], files)?;
        } else if is_definition_file(&path) {
            read_file(&path, files)?;
        }
    }
    Ok(())
}

fn is_definition_file(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    matches!(extension.as_str(), "yaml" | "yml" | "json")
}

fn read_file(path: &Path, files: &mut Vec<(String, String)>) -> io::Result<()> {
    files.push((path.display().to_string(), fs::read_to_string(path)?));
    Ok(())
}
