//! The installation's own secrets: made once, never overwritten.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use anyhow::Context;
use mainspring_actors::entropy::Entropy;

use crate::exit::{Fault, Reason};

/// Reads the secret in `path`; makes it if `may_create`, which only a data directory without records allows: names of
/// streams derive from it, so another secret would lose the owners of all keys.
pub fn identity(path: &Path, may_create: bool) -> anyhow::Result<[u8; 32]> {
    match read(path)? {
        Some(secret) => Ok(secret),
        None if may_create => make(path),
        None => {
            let message = format!(
                "{} is missing, but the log has records: restore it from a backup, without it nobody's keys are known",
                path.display()
            );
            Err(Fault::new(Reason::Damaged, message).into())
        }
    }
}

/// Reads the secret in `path`, or makes it: identity tokens derive from it and are good for an hour, so a lost one costs
/// no more than that.
pub fn tokens(path: &Path) -> anyhow::Result<[u8; 32]> {
    read(path)?.map_or_else(|| make(path), Ok)
}

fn read(path: &Path) -> anyhow::Result<Option<[u8; 32]>> {
    match fs::read(path) {
        Ok(bytes) => bytes.try_into().map(Some).map_err(|_| {
            let message = format!("{} must hold exactly 32 bytes: restore it from a backup", path.display());
            Fault::new(Reason::Damaged, message).into()
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

fn make(path: &Path) -> anyhow::Result<[u8; 32]> {
    let secret = Entropy::default().bytes::<32>();
    create(path, &secret).with_context(|| format!("{} cannot be made", path.display()))?;
    Ok(secret)
}

/// Writes beside the name, then links: whoever finds the name finds all of it, and an existing one stays.
fn create(path: &Path, secret: &[u8; 32]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(secret)?;
    file.sync_all()?;
    fs::hard_link(&beside, path)?;
    fs::remove_file(&beside)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::exit;

    #[test]
    fn the_secret_is_made_once_and_only_for_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets/identity.key");
        let missing = identity(&path, false).unwrap_err();
        assert_eq!(exit::reason(&missing), Reason::Damaged);
        let made = identity(&path, true).unwrap();
        assert_eq!(identity(&path, true).unwrap(), made);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(create(&path, &[0; 32]).is_err());
        assert_eq!(identity(&path, false).unwrap(), made);
        fs::write(&path, b"short").unwrap();
        assert_eq!(exit::reason(&identity(&path, true).unwrap_err()), Reason::Damaged);
    }

    #[test]
    fn tk_21_without_a_secret_of_the_operators_there_is_one_that_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets/tokens.key");
        let made = tokens(&path).unwrap();
        assert_eq!(tokens(&path).unwrap(), made);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
