//! Where the data of a measurement lies: on a disk, since a sync in memory costs nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{environment, exit::Fault};

/// File systems that keep nothing.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];

/// A directory that goes when the measurement ends.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
}

impl Place {
    /// Makes it below `parent`, else below `TMPDIR`, else here.
    pub fn make(parent: Option<&Path>) -> anyhow::Result<Self> {
        let parent = parent.map(Path::to_owned).or_else(|| environment::path("TMPDIR"));
        let parent = parent.unwrap_or_else(|| PathBuf::from("."));
        fs::create_dir_all(&parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        let parent = parent.canonicalize()?;
        let kind = kind_of(&parent);
        if IN_MEMORY.contains(&kind.as_str()) {
            let message = format!(
                "{} is in memory ({kind}): name a directory on a disk with --data-dir",
                parent.display()
            );
            return Err(Fault::usage(message).into());
        }
        let path = parent.join(format!("mainspring-bench-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self { path })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An empty directory of that name in it.
    pub fn fresh(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path.join(name);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir(&path)?;
        Ok(path)
    }

    /// Gives up a directory in it.
    pub fn done(&self, name: &str) -> anyhow::Result<()> {
        Ok(fs::remove_dir_all(self.path.join(name))?)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The kind of the file system a path lies on; empty if the machine does not say.
fn kind_of(path: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let around = mounts.filter(|(point, _)| path.starts_with(point));
    around.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind.to_owned()).unwrap_or_default()
}
