//! One process per data directory.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Seek, Write},
    path::Path,
};

use anyhow::Context;

use crate::exit::{Fault, Reason};

/// Holds a directory until it is dropped, or the process is gone.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock in `path`, whose content says who has it.
    pub fn take(path: &Path) -> anyhow::Result<Self> {
        let directory = path.parent().unwrap_or(path).display();
        let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open().with_context(|| format!("{directory} cannot be locked"))?;
        match file.try_lock() {
            Ok(()) => {
                sign(&mut file).with_context(|| format!("{} cannot be written", path.display()))?;
                Ok(Self { file })
            }
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(path).unwrap_or_default();
                let holder = holder.trim();
                let holder = if holder.is_empty() { "another process" } else { holder };
                let advice = "stop it first, or name another directory with --data-dir";
                let message = format!("the data directory {directory} is in use by {holder}: {advice}");
                Err(Fault::new(Reason::InUse, message).into())
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{directory} cannot be locked"))
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A stale name would mislead; the lock itself goes with the file handle.
        let _ = self.file.set_len(0);
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "process {} on {}", std::process::id(), host())
}

/// The name of this machine.
pub fn host() -> String {
    let name =
        fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| fs::read_to_string("/etc/hostname"));
    name.map_or_else(|_| "this host".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit;

    #[test]
    fn cf_41_a_second_owner_is_refused_and_told_who_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("LOCK");
        let lock = Lock::take(&path).unwrap();
        let refused = Lock::take(&path).unwrap_err();
        assert_eq!(exit::reason(&refused), Reason::InUse);
        assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
        drop(lock);
        Lock::take(&path).unwrap();
    }
}
