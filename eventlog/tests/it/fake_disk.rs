//! A disk in memory that can be full, fail, stop after any call and lose what was not synced.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    sync::Arc,
};

use mainspring_eventlog::embedded::file_system::{DirectoryLock, FileSystem, StorageFile};
use parking_lot::Mutex;

const SECTOR: usize = 512;

/// What of the unsynced state a crash leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The process died, the machine did not: everything written is there.
    Nothing,
    /// Power failed before anything unsynced reached the disk.
    Everything,
    /// Of every file, a prefix of what was written since its last sync.
    Suffixes,
    /// Any sectors, in no order.
    Sectors,
}

impl Loss {
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Everything, Self::Suffixes, Self::Sectors];
}

/// A small generator, so that every case can be repeated from its seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }
}

#[derive(Clone, Debug, Default)]
struct Inode {
    synced: Vec<u8>,
    current: Vec<u8>,
}

#[derive(Debug)]
struct World {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    /// Calls that change something, so far.
    calls: usize,
    stop_after: Option<usize>,
    stopped: bool,
    capacity: Option<usize>,
    fail_next_sync: bool,
    fail_next_write: bool,
    locked: bool,
    random: Random,
}

/// The disk.
#[derive(Clone, Debug)]
pub struct FakeDisk(Arc<Mutex<World>>);

impl FakeDisk {
    pub fn new(seed: u64) -> Self {
        Self::of(Vec::new(), BTreeMap::new(), Random::new(seed))
    }

    fn of(inodes: Vec<Inode>, names: BTreeMap<String, usize>, random: Random) -> Self {
        Self(Arc::new(Mutex::new(World {
            inodes,
            synced_names: names.clone(),
            names,
            calls: 0,
            stop_after: None,
            stopped: false,
            capacity: None,
            fail_next_sync: false,
            fail_next_write: false,
            locked: false,
            random,
        })))
    }

    /// A disk with these files, all of them synced.
    pub fn with_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let (mut inodes, mut names) = (Vec::new(), BTreeMap::new());
        for (name, bytes) in files {
            names.insert(name, inodes.len());
            inodes.push(Inode { synced: bytes.clone(), current: bytes });
        }
        Self::of(inodes, names, Random::new(1))
    }

    /// All calls fail after this many that change something; the last one may have done a part of its work.
    pub fn stop_after(&self, calls: usize) {
        let mut world = self.0.lock();
        world.stop_after = Some(world.calls + calls);
    }

    pub fn has_stopped(&self) -> bool {
        self.0.lock().stopped
    }

    /// Writes beyond this many bytes in all files fail; `None` = there is space again.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.0.lock().capacity = bytes;
    }

    pub fn used(&self) -> usize {
        let world = self.0.lock();
        world.names.values().map(|inode| world.inodes[*inode].current.len()).sum()
    }

    pub fn fail_next_sync(&self) {
        self.0.lock().fail_next_sync = true;
    }

    pub fn fail_next_write(&self) {
        self.0.lock().fail_next_write = true;
    }

    /// The files as anybody would read them now.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let world = self.0.lock();
        world.names.iter().map(|(name, inode)| (name.clone(), world.inodes[*inode].current.clone())).collect()
    }

    /// The machine after a crash: a disk with what is left, free of faults and locks.
    pub fn crash(&self, loss: Loss) -> Self {
        let mut world = self.0.lock();
        let mut random = world.random.clone();
        world.random.below(2);
        let inodes: Vec<_> = world.inodes.iter().map(|inode| survivor(inode, loss, &mut random)).collect();
        let mut names = world.synced_names.clone();
        for (name, inode) in &world.names {
            let survives = match loss {
                Loss::Nothing => true,
                Loss::Everything => false,
                Loss::Suffixes | Loss::Sectors => random.below(2) == 0,
            };
            if survives {
                names.insert(name.clone(), *inode);
            }
        }
        // A rename that survived took the old name away.
        let renamed: HashSet<usize> = names
            .iter()
            .filter(|(name, inode)| {
                world.names.get(*name) == Some(inode) && world.synced_names.get(*name) != Some(inode)
            })
            .map(|(_, inode)| *inode)
            .collect();
        names.retain(|name, inode| !renamed.contains(inode) || world.names.contains_key(name));
        Self::of(inodes, names, random)
    }
}

fn survivor(inode: &Inode, loss: Loss, random: &mut Random) -> Inode {
    let (synced, current) = (&inode.synced, &inode.current);
    let bytes = match loss {
        Loss::Nothing => current.clone(),
        Loss::Everything => synced.clone(),
        Loss::Suffixes => {
            let first_change = synced.iter().zip(current).take_while(|(one, other)| one == other).count();
            let kept = first_change + random.below(current.len() - first_change + 1);
            let mut bytes = current[..kept].to_vec();
            bytes.extend(synced.get(kept..).unwrap_or_default());
            bytes
        }
        Loss::Sectors => {
            let length = [synced.len(), current.len()][random.below(2)];
            let mut bytes = synced.clone();
            bytes.resize(length, 0);
            for start in (0..length).step_by(SECTOR) {
                if random.below(2) == 0 {
                    let end = (start + SECTOR).min(length);
                    for (at, byte) in bytes.iter_mut().enumerate().take(end).skip(start) {
                        *byte = current.get(at).copied().unwrap_or(0);
                    }
                }
            }
            bytes
        }
    };
    Inode { synced: bytes.clone(), current: bytes }
}

fn gone() -> io::Error {
    io::Error::other("the machine has stopped")
}

impl World {
    /// Counts a call; `Ok(false)` = this is the one during which the machine stops.
    fn call(&mut self) -> io::Result<bool> {
        if self.stopped {
            return Err(gone());
        }
        self.calls += 1;
        self.stopped = self.stop_after.is_some_and(|limit| self.calls > limit);
        Ok(!self.stopped)
    }
}

impl FileSystem for FakeDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let world = self.0.lock();
        if world.stopped {
            return Err(gone());
        }
        let inode = *world.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(FakeFile { disk: self.clone(), inode }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let mut world = self.0.lock();
        if !world.call()? {
            return Err(gone());
        }
        let inode = match world.names.get(name) {
            Some(inode) => *inode,
            None => {
                world.inodes.push(Inode::default());
                let inode = world.inodes.len() - 1;
                world.names.insert(name.to_owned(), inode);
                inode
            }
        };
        world.inodes[inode].current.clear();
        Ok(Arc::new(FakeFile { disk: self.clone(), inode }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let world = self.0.lock();
        if world.stopped { Err(gone()) } else { Ok(world.names.keys().cloned().collect()) }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.0.lock();
        if !world.call()? {
            return Err(gone());
        }
        let inode = world.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        world.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut world = self.0.lock();
        if !world.call()? {
            return Err(gone());
        }
        world.synced_names = world.names.clone();
        Ok(())
    }

    fn lock(&self, _name: &str) -> io::Result<Option<DirectoryLock>> {
        let mut world = self.0.lock();
        if world.locked {
            return Ok(None);
        }
        world.locked = true;
        Ok(Some(Box::new(FakeLock(self.clone()))))
    }

    fn describe(&self, name: &str) -> String {
        format!("fake/{name}")
    }
}

#[derive(Debug)]
struct FakeLock(FakeDisk);

impl Drop for FakeLock {
    fn drop(&mut self) {
        self.0.0.lock().locked = false;
    }
}

#[derive(Debug)]
struct FakeFile {
    disk: FakeDisk,
    inode: usize,
}

impl StorageFile for FakeFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().inodes[self.inode].current.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let world = self.disk.0.lock();
        if world.stopped {
            return Err(gone());
        }
        let rest = world.inodes[self.inode].current.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut world = self.disk.0.lock();
        let goes_on = world.call()?;
        let used: usize = world.names.values().map(|inode| world.inodes[*inode].current.len()).sum();
        let end = offset as usize + bytes.len();
        let grows = end.saturating_sub(world.inodes[self.inode].current.len());
        let is_full = world.capacity.is_some_and(|capacity| used + grows > capacity);
        let fails = std::mem::take(&mut world.fail_next_write);
        let written =
            if goes_on && !is_full && !fails { bytes.len() } else { world.random.below(bytes.len() + 1) };
        let current = &mut world.inodes[self.inode].current;
        let end = offset as usize + written;
        if current.len() < end {
            current.resize(end, 0);
        }
        current[offset as usize..end].copy_from_slice(&bytes[..written]);
        match (goes_on, is_full, fails) {
            (false, ..) => Err(gone()),
            (_, true, _) => Err(io::ErrorKind::StorageFull.into()),
            (_, _, true) => Err(io::Error::other("input/output error")),
            _ => Ok(()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut world = self.disk.0.lock();
        if !world.call()? {
            return Err(gone());
        }
        if std::mem::take(&mut world.fail_next_sync) {
            return Err(io::Error::other("input/output error"));
        }
        let inode = &mut world.inodes[self.inode];
        inode.synced = inode.current.clone();
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut world = self.disk.0.lock();
        if !world.call()? {
            return Err(gone());
        }
        world.inodes[self.inode].current.truncate(length as usize);
        Ok(())
    }
}
