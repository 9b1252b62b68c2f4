//! The data keys of all contacts, in one file beside the log.
//!
//! ```text
//! magic (8)  store (8)  zero (16)  key 0 (32)  key 1 (32)  ...
//! ```
//!
//! A key's id is the store's number and the key's place, so it is found without an index, and a key of another store is
//! told from a destroyed one. A destroyed key is thirty-two zero bytes.
//!
//! Keys are made and synced in blocks, ahead of their use, by a thread of their own: a contact that comes into being takes
//! the next one and waits for no disk. What is left of a block when the process ends is never used.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use parking_lot::{Condvar, Mutex};
use quick_cache::sync::Cache;
use uuid::Uuid;

use super::cipher::Cipher;
use crate::LogError;

const MAGIC: [u8; 8] = *b"MSDKEYS1";

/// Bytes before the first key, and bytes of a key.
const SLOT: usize = 32;

/// Keys made at a time: 128 KiB of file.
const BLOCK: u64 = 4096;

/// What became of a key.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyState {
    /// It is there.
    Live([u8; SLOT]),
    /// It was destroyed; what it sealed cannot be opened by anybody.
    Destroyed,
}

/// Keys kept ready: those of contacts that are busy. About ten megabytes.
const CIPHERS: usize = 16 * 1024;

/// Keeps the data keys.
pub struct DataKeys {
    shared: Arc<Shared>,
    /// Keys in use, made ready.
    ciphers: Cache<Uuid, Arc<Cipher>>,
    /// How often keys were destroyed: whoever read one meanwhile must not keep it.
    destructions: AtomicU64,
    maker: Option<JoinHandle<()>>,
}

struct Shared {
    file: File,
    path: PathBuf,
    store: u64,
    pool: Mutex<Pool>,
    changed: Condvar,
}

/// The keys that are synced and not yet handed out.
#[derive(Default)]
struct Pool {
    next: u64,
    end: u64,
    /// Somebody wants keys, or will soon.
    wanted: bool,
    failed: Option<Arc<str>>,
    closed: bool,
}

impl DataKeys {
    /// Opens the keys in `path`. If there is no such file it is made, but only if `may_create`: a log whose keys are lost
    /// must not look like a log whose contacts were all erased.
    ///
    /// # Errors
    /// [`LogError::Unusable`] if the file is missing or not such a file, [`LogError::Io`] if the system refuses.
    pub fn open(path: &Path, may_create: bool) -> Result<Self, LogError> {
        let refused = |context: &str| {
            let context = format!("{context} {}", path.display());
            move |source| LogError::Io { context, source }
        };
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && may_create => {
                make(path).map_err(refused("making"))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(LogError::Unusable(format!(
                    "{} is missing, but the log has sealed records: restore it from a backup, without it nobody's history can be read",
                    path.display()
                )));
            }
            Err(error) => return Err(refused("opening")(error)),
        };
        let mut header = [0; SLOT];
        let read = file.read_exact_at(&mut header, 0);
        let (magic, rest) = header.split_at(MAGIC.len());
        if read.is_err() || magic != MAGIC {
            return Err(LogError::Unusable(format!("{} holds no data keys", path.display())));
        }
        let store = rest[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let length = file.metadata().map_err(refused("reading"))?.len();
        // A torn block at the end was never handed out.
        let end = length.div_ceil(SLOT as u64).saturating_sub(1);
        let shared = Arc::new(Shared {
            file,
            path: path.to_owned(),
            store,
            pool: Mutex::new(Pool { next: end, end, ..Pool::default() }),
            changed: Condvar::new(),
        });
        let maker = std::thread::Builder::new().name("data-keys".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.make_ahead()
        });
        Ok(Self {
            maker: Some(maker.map_err(refused("starting a thread for"))?),
            ciphers: Cache::new(CIPHERS),
            destructions: AtomicU64::new(0),
            shared,
        })
    }

    /// A key nobody has had before, durable.
    ///
    /// # Errors
    /// [`LogError::Io`] if no more keys can be stored, for example because the disk is full. Trying again later is right.
    pub fn create(&self) -> Result<Uuid, LogError> {
        let mut pool = self.shared.pool.lock();
        while pool.next == pool.end {
            pool.failed = None;
            pool.wanted = true;
            self.shared.changed.notify_all();
            self.shared.changed.wait(&mut pool);
            if let Some(reason) = pool.failed.clone().filter(|_| pool.next == pool.end) {
                let source = io::Error::other(reason.to_string());
                return Err(LogError::Io {
                    context: format!("writing {}", self.shared.path.display()),
                    source,
                });
            }
        }
        let place = pool.next;
        pool.next += 1;
        if pool.end - pool.next == BLOCK / 2 {
            pool.wanted = true;
            self.shared.changed.notify_all();
        }
        Ok(Uuid::from_u64_pair(self.shared.store, place))
    }

    /// The key of an id.
    ///
    /// # Errors
    /// [`LogError::Unusable`] if it is a key of another store, [`LogError::Io`] if it cannot be read.
    pub fn find(&self, id: Uuid) -> Result<KeyState, LogError> {
        self.shared.find(id)
    }

    /// The cipher of a key; `None` if it is destroyed.
    ///
    /// # Errors
    /// As [`DataKeys::find`].
    pub fn cipher(&self, id: Uuid) -> Result<Option<Arc<Cipher>>, LogError> {
        if let Some(cipher) = self.ciphers.get(&id) {
            return Ok(Some(cipher));
        }
        let destructions = self.destructions.load(Ordering::SeqCst);
        let KeyState::Live(key) = self.find(id)? else { return Ok(None) };
        let Some(cipher) = Cipher::new(&key).map(Arc::new) else { return Ok(None) };
        self.ciphers.insert(id, Arc::clone(&cipher));
        if self.destructions.load(Ordering::SeqCst) != destructions {
            self.ciphers.remove(&id);
        }
        Ok(Some(cipher))
    }

    /// Destroys keys for good, on disk, before it returns. One that is destroyed already stays so.
    ///
    /// # Errors
    /// As [`DataKeys::find`]; keys before the one that failed may be destroyed.
    pub fn destroy(&self, ids: &[Uuid]) -> Result<(), LogError> {
        for id in ids {
            let at = self.shared.offset(*id)?;
            self.shared.find(*id)?;
            self.shared.file.write_all_at(&[0; SLOT], at).map_err(self.shared.refused("writing"))?;
        }
        self.shared.file.sync_all().map_err(self.shared.refused("syncing"))?;
        self.destructions.fetch_add(1, Ordering::SeqCst);
        for id in ids {
            self.ciphers.remove(id);
        }
        Ok(())
    }
}

impl Drop for DataKeys {
    fn drop(&mut self) {
        self.shared.pool.lock().closed = true;
        self.shared.changed.notify_all();
        if self.maker.take().is_some_and(|maker| maker.join().is_err()) {
            tracing::error!("the thread that makes data keys panicked");
        }
    }
}

impl Shared {
    fn refused(&self, action: &str) -> impl FnOnce(io::Error) -> LogError + use<> {
        let context = format!("{action} {}", self.path.display());
        move |source| LogError::Io { context, source }
    }

    fn offset(&self, id: Uuid) -> Result<u64, LogError> {
        let (store, place) = id.as_u64_pair();
        let at = place.checked_add(1).and_then(|slots| slots.checked_mul(SLOT as u64));
        at.filter(|_| store == self.store).ok_or_else(|| {
            LogError::Unusable(format!(
                "data key {id} does not belong to {}: restore the file that belongs to this log",
                self.path.display()
            ))
        })
    }

    fn find(&self, id: Uuid) -> Result<KeyState, LogError> {
        let at = self.offset(id)?;
        let mut key = [0; SLOT];
        match self.file.read_exact_at(&mut key, at) {
            Ok(()) if key == [0; SLOT] => Ok(KeyState::Destroyed),
            Ok(()) => Ok(KeyState::Live(key)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(LogError::Unusable(format!(
                "{} lacks data key {id}: it is older than the log, restore a newer one",
                self.path.display()
            ))),
            Err(error) => Err(self.refused("reading")(error)),
        }
    }

    /// Makes a block whenever one is wanted.
    fn make_ahead(&self) {
        loop {
            let end = {
                let mut pool = self.pool.lock();
                while !pool.wanted && !pool.closed {
                    self.changed.wait(&mut pool);
                }
                if pool.closed {
                    return;
                }
                pool.end
            };
            let made = self.make_block(end);
            let mut pool = self.pool.lock();
            pool.wanted = false;
            match made {
                Ok(()) => pool.end += BLOCK,
                Err(error) => {
                    tracing::warn!(%error, "no data keys can be made");
                    pool.failed = Some(error.to_string().into());
                }
            }
            self.changed.notify_all();
        }
    }

    fn make_block(&self, end: u64) -> io::Result<()> {
        let mut keys = vec![0; BLOCK as usize * SLOT];
        getrandom::fill(&mut keys).map_err(io::Error::other)?;
        self.file.write_all_at(&keys, (end + 1) * SLOT as u64)?;
        self.file.sync_all()
    }
}

/// Writes beside the name, then links: whoever finds the name finds a whole header, and an existing file stays.
fn make(path: &Path) -> io::Result<File> {
    let directory = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut header = [0; SLOT];
    header[..MAGIC.len()].copy_from_slice(&MAGIC);
    getrandom::fill(&mut header[MAGIC.len()..MAGIC.len() + 8]).map_err(io::Error::other)?;
    let beside = path.with_extension("new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all_at(&header, 0)?;
    file.sync_all()?;
    std::fs::hard_link(&beside, path)?;
    std::fs::remove_file(&beside)?;
    File::open(directory)?.sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn live(keys: &DataKeys, id: Uuid) -> [u8; 32] {
        match keys.find(id).unwrap() {
            KeyState::Live(key) => key,
            KeyState::Destroyed => panic!("{id} is destroyed"),
        }
    }

    #[test]
    fn keys_are_distinct_and_survive_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets/data-keys");
        assert!(matches!(DataKeys::open(&path, false), Err(LogError::Unusable(_))));
        let keys = DataKeys::open(&path, true).unwrap();
        let ids: Vec<Uuid> = (0..2 * BLOCK + 7).map(|_| keys.create().unwrap()).collect();
        let secrets: HashSet<[u8; 32]> = ids.iter().map(|id| live(&keys, *id)).collect();
        assert_eq!(secrets.len(), ids.len());
        let before = live(&keys, ids[5]);
        drop(keys);
        let keys = DataKeys::open(&path, false).unwrap();
        assert_eq!(live(&keys, ids[5]), before);
        assert!(!ids.contains(&keys.create().unwrap()), "a key is handed out once");
    }

    #[test]
    fn a_destroyed_key_is_gone_from_the_file_and_its_neighbours_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data-keys");
        let keys = DataKeys::open(&path, true).unwrap();
        let [before, gone, after] = [(); 3].map(|()| keys.create().unwrap());
        let secret = live(&keys, gone);
        let neighbours = (live(&keys, before), live(&keys, after));
        assert!(keys.cipher(gone).unwrap().is_some());
        keys.destroy(&[gone]).unwrap();
        keys.destroy(&[gone]).unwrap();
        assert!(keys.cipher(gone).unwrap().is_none() && keys.cipher(after).unwrap().is_some());
        assert!(keys.find(gone).unwrap() == KeyState::Destroyed);
        drop(keys);
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(32).any(|window| window == secret));
        let keys = DataKeys::open(&path, false).unwrap();
        assert!(keys.find(gone).unwrap() == KeyState::Destroyed);
        assert_eq!((live(&keys, before), live(&keys, after)), neighbours);
    }

    #[test]
    fn a_key_of_another_store_or_past_the_end_is_no_destroyed_one() {
        let directory = tempfile::tempdir().unwrap();
        let one = DataKeys::open(&directory.path().join("one"), true).unwrap();
        let other = DataKeys::open(&directory.path().join("other"), true).unwrap();
        let id = one.create().unwrap();
        assert!(matches!(other.find(id), Err(LogError::Unusable(_))));
        assert!(matches!(other.destroy(&[id]), Err(LogError::Unusable(_))));
        let (store, _) = id.as_u64_pair();
        assert!(matches!(one.find(Uuid::from_u64_pair(store, BLOCK * 9)), Err(LogError::Unusable(_))));
        std::fs::write(directory.path().join("text"), "hello").unwrap();
        assert!(matches!(DataKeys::open(&directory.path().join("text"), true), Err(LogError::Unusable(_))));
    }
}
