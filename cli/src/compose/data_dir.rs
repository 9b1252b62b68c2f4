//! The data directory: what lies where, and who may touch it.
//!
//! ```text
//! data/
//!   LOCK                  one process at a time; names it
//!   log/                  the only truth
//!   secrets/identity.key  hashes identity keys; back it up with the log
//!   secrets/data-keys     seal what is personal, one key per contact; back it up apart from the log
//!   secrets/tokens.key    seals identity tokens, unless BETTER_AUTH_SECRET does
//!   read-models/          can be deleted and comes back equal
//!   snapshots.sqlite      can be deleted and comes back equal
//! ```

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use mainspring_eventlog::{
    LogError,
    embedded::{self, EmbeddedLog, Recovery},
};

use super::{lock::Lock, opened_log::OpenedLog, secrets};
use crate::{
    environment,
    exit::{Fault, Reason},
};

/// A data directory that this process holds.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: Lock,
}

/// The chosen data directory: the flag, else `DATA_DIR`, else `./data`.
pub fn chosen(flag: Option<&Path>) -> PathBuf {
    flag.map(Path::to_owned)
        .or_else(|| environment::path("DATA_DIR"))
        .unwrap_or_else(|| PathBuf::from("./data"))
}

impl DataDir {
    /// Takes a data directory, which is made if there is none.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("the data directory {} cannot be made", path.display()))?;
        Ok(Self { path: path.to_owned(), _lock: Lock::take(&path.join("LOCK"))? })
    }

    /// Takes a data directory that must hold a log: reading commands make nothing.
    pub fn existing(path: &Path) -> anyhow::Result<Self> {
        if !path.join("log").is_dir() {
            let advice = "name another one with --data-dir or DATA_DIR";
            let message = format!("{} is no data directory, it has no log: {advice}", path.display());
            return Err(Fault::usage(message).into());
        }
        Ok(Self { path: path.to_owned(), _lock: Lock::take(&path.join("LOCK"))? })
    }

    /// Opens the log and the keys that its personal payloads are sealed with.
    pub async fn open_log(&self) -> anyhow::Result<OpenedLog> {
        let (raw, recovery) = self.open_sealed_log()?;
        OpenedLog::new(raw, recovery, &self.path.join("secrets/data-keys")).await
    }

    /// Opens the log as it stands on disk, personal payloads sealed.
    pub fn open_sealed_log(&self) -> anyhow::Result<(Arc<EmbeddedLog>, Recovery)> {
        let path = self.path.join("log");
        let opened = EmbeddedLog::open(embedded::Options::new(&path));
        opened.map_err(|error| match error {
            LogError::Unusable(message) if message.contains("another process") => {
                Fault::new(Reason::InUse, message).into()
            }
            error => {
                anyhow::Error::new(error).context(format!("the log in {} cannot be opened", path.display()))
            }
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the read models are.
    pub fn read_models(&self) -> PathBuf {
        self.path.join("read-models")
    }

    /// Where the snapshots are.
    pub fn snapshots(&self) -> PathBuf {
        self.path.join("snapshots.sqlite")
    }

    /// The secret under which identity keys are hashed. A log without records gets one.
    pub fn identity_secret(&self, records: u64) -> anyhow::Result<[u8; 32]> {
        secrets::identity(&self.path.join("secrets/identity.key"), records == 0)
    }

    /// The secret under which identity tokens are sealed; made if there is none.
    pub fn token_secret(&self) -> anyhow::Result<[u8; 32]> {
        secrets::tokens(&self.path.join("secrets/tokens.key"))
    }
}
