//! The index checkpoint: a copy of the index on disk, so that opening scans only what was written after it.
//!
//! It is disposable. One that is missing, damaged or of another log costs a full scan. It is written beside the old one
//! and renamed, and only ever covers records that were durable before it was begun.
//!
//! ```text
//!   8  magic "MSPRIDX\0"
//!   4  format version, 1
//!  16  id of the log
//!  16  key of the name hash, then 8: the hash of "probe" under it
//!   8  position up to which it covers the log
//!   4  number of the segment, then 8: offset in it, where that position is
//!   8  address of the last frame covered, then 32: the chain value after it
//!   4  number of segments; each: 8 first position, 8 length if sealed or 0,
//!      4 number of marks, each 8 position and 8 offset
//!   4  number of names that share another's hash; each: 2 length, name, 8 address
//!   4  number of tables; each: 8 streams, 8 slots, 16 per slot
//!   4  CRC32C of everything before
//! ```

use std::{
    collections::HashMap,
    io,
    sync::{Arc, atomic::Ordering},
};

use mainspring_schemas::StreamName;

use super::{
    file_system::{FileSystem, StorageFile},
    index::{Image, TABLES},
    layout::{Address, fixed, le16, le32, le64},
    name_hash::NameHash,
    segment::Mark,
    shared::{End, Shared},
    table::{SLOT_BYTES, Table},
};
use crate::Position;

const NAME: &str = "index.checkpoint";
const PARTIAL_NAME: &str = "index.checkpoint.partial";
const MAGIC: [u8; 8] = *b"MSPRIDX\0";
const VERSION: u32 = 1;
const PROBE: &[u8] = b"probe";
const CHUNK: usize = 1 << 20;

/// What a checkpoint says about a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentNote {
    pub first_position: Position,
    pub sealed_length: u64,
    pub marks: Vec<Mark>,
}

/// What goes into a checkpoint, or came out of one.
pub(super) struct Source {
    pub log_id: [u8; 16],
    pub end: End,
    pub segments: Vec<SegmentNote>,
    pub image: Image,
    probe: u64,
}

impl Source {
    /// The state of now. To be called by the writer, between two groups.
    pub fn take(shared: &Shared) -> Self {
        let image = shared.index.image();
        let note = |segment: &Arc<super::segment::Segment>| SegmentNote {
            first_position: segment.first_position,
            sealed_length: segment.sealed_length(),
            marks: segment.marks(),
        };
        Self {
            log_id: shared.log_id,
            end: *shared.end.lock(),
            segments: shared.segments.all().iter().map(note).collect(),
            probe: (shared.options.name_hash.function)(&image.key, PROBE),
            image,
        }
    }
}

/// Starts a thread that writes a checkpoint; `false` = the one before is still being written.
pub(super) fn write_in_background(shared: &Arc<Shared>) -> bool {
    if shared.checkpoint_running.swap(true, Ordering::AcqRel) {
        return false;
    }
    let source = Source::take(shared);
    let owner = Arc::clone(shared);
    let work = move || {
        if let Err(error) = write(&owner, &source) {
            tracing::warn!(%error, "the index checkpoint could not be written; the next start scans more");
        }
        owner.checkpoint_running.store(false, Ordering::Release);
    };
    let thread = std::thread::Builder::new().name("mainspring-checkpoint".into()).spawn(work);
    match thread {
        Ok(thread) => *shared.checkpoint_thread.lock() = Some(thread),
        Err(_) => shared.checkpoint_running.store(false, Ordering::Release),
    }
    true
}

/// Waits for the thread that writes a checkpoint, if there is one.
pub(super) fn wait(shared: &Shared) {
    let thread = shared.checkpoint_thread.lock().take();
    if let Some(thread) = thread
        && thread.join().is_err()
    {
        tracing::error!("the thread of the index checkpoint panicked");
    }
}

/// Writes a checkpoint and puts it in place of the one before.
pub(super) fn write(shared: &Shared, source: &Source) -> io::Result<()> {
    let file_system = &shared.file_system;
    let mut sink =
        Sink { file: file_system.create(PARTIAL_NAME)?, buffer: Vec::new(), offset: 0, checksum: 0 };
    encode(source, &mut sink)?;
    sink.flush()?;
    let checksum = sink.checksum;
    sink.buffer.extend_from_slice(&checksum.to_le_bytes());
    sink.flush()?;
    sink.file.sync_data()?;
    file_system.rename(PARTIAL_NAME, NAME)?;
    file_system.sync_directory()
}

struct Sink {
    file: Arc<dyn StorageFile>,
    buffer: Vec<u8>,
    offset: u64,
    checksum: u32,
}

impl Sink {
    fn flush(&mut self) -> io::Result<()> {
        self.checksum = crc32c::crc32c_append(self.checksum, &self.buffer);
        self.file.write_at(&self.buffer, self.offset)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn flush_if_big(&mut self) -> io::Result<()> {
        if self.buffer.len() >= CHUNK { self.flush() } else { Ok(()) }
    }
}

fn encode(source: &Source, sink: &mut Sink) -> io::Result<()> {
    let Source { log_id, end, segments, image, probe } = source;
    let buffer = &mut sink.buffer;
    buffer.extend_from_slice(&MAGIC);
    buffer.extend_from_slice(&VERSION.to_le_bytes());
    buffer.extend_from_slice(log_id);
    buffer.extend_from_slice(&image.key);
    buffer.extend_from_slice(&probe.to_le_bytes());
    buffer.extend_from_slice(&end.position.to_le_bytes());
    buffer.extend_from_slice(&end.segment.to_le_bytes());
    buffer.extend_from_slice(&end.offset.to_le_bytes());
    buffer.extend_from_slice(&end.last_frame.0.to_le_bytes());
    buffer.extend_from_slice(&end.chain);
    buffer.extend_from_slice(&(segments.len() as u32).to_le_bytes());
    for segment in segments {
        sink.buffer.extend_from_slice(&segment.first_position.to_le_bytes());
        sink.buffer.extend_from_slice(&segment.sealed_length.to_le_bytes());
        sink.buffer.extend_from_slice(&(segment.marks.len() as u32).to_le_bytes());
        for mark in &segment.marks {
            sink.buffer.extend_from_slice(&mark.position.to_le_bytes());
            sink.buffer.extend_from_slice(&mark.offset.to_le_bytes());
        }
        sink.flush_if_big()?;
    }
    sink.buffer.extend_from_slice(&(image.overflow.len() as u32).to_le_bytes());
    for (name, address) in &image.overflow {
        sink.buffer.extend_from_slice(&(name.as_str().len() as u16).to_le_bytes());
        sink.buffer.extend_from_slice(name.as_str().as_bytes());
        sink.buffer.extend_from_slice(&address.0.to_le_bytes());
        sink.flush_if_big()?;
    }
    sink.buffer.extend_from_slice(&(image.tables.len() as u32).to_le_bytes());
    for table in &image.tables {
        sink.buffer.extend_from_slice(&(table.len() as u64).to_le_bytes());
        sink.buffer.extend_from_slice(&(table.capacity() as u64).to_le_bytes());
        table.dump(&mut sink.buffer);
        sink.flush_if_big()?;
    }
    Ok(())
}

/// The checkpoint of a directory, if there is a whole one that this program can use.
pub(super) fn load(file_system: &dyn FileSystem, hash: NameHash) -> Option<Source> {
    let file = match file_system.open(NAME) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(%error, "the index checkpoint could not be read; scanning the whole log");
            return None;
        }
    };
    let source = decode(file).filter(|source| (hash.function)(&source.image.key, PROBE) == source.probe);
    if source.is_none() {
        tracing::warn!("the index checkpoint is damaged or of another version; scanning the whole log");
    }
    source
}

fn decode(file: Arc<dyn StorageFile>) -> Option<Source> {
    let length = file.length().ok()?;
    let mut input = Input { file, offset: 0, left: length.checked_sub(4)?, checksum: 0, scratch: Vec::new() };
    if input.take(8)? != MAGIC || input.take_32()? != VERSION {
        return None;
    }
    let log_id = fixed(input.take(16)?, 0);
    let key = fixed(input.take(16)?, 0);
    let probe = input.take_64()?;
    let end = End {
        position: input.take_64()?,
        segment: input.take_32()?,
        offset: input.take_64()?,
        last_frame: Address(input.take_64()?),
        chain: fixed(input.take(32)?, 0),
    };
    let mut segments = Vec::new();
    for _ in 0..input.take_32()? {
        let (first_position, sealed_length) = (input.take_64()?, input.take_64()?);
        let count = input.take_32()? as usize;
        let bytes = input.take(count.checked_mul(16)?)?;
        let mark = |bytes: &[u8; 16]| Mark { position: le64(bytes, 0), offset: le64(bytes, 8) };
        let marks = bytes.as_chunks::<16>().0.iter().map(mark).collect();
        segments.push(SegmentNote { first_position, sealed_length, marks });
    }
    let mut overflow = HashMap::new();
    for _ in 0..input.take_32()? {
        let length = usize::from(le16(input.take(2)?, 0));
        let name = StreamName::new(std::str::from_utf8(input.take(length)?).ok()?);
        overflow.insert(name, Address(input.take_64()?));
    }
    if input.take_32()? as usize != TABLES {
        return None;
    }
    let mut tables = Vec::with_capacity(TABLES);
    for _ in 0..TABLES {
        let (used, slots) = (input.take_64()?, input.take_64()?);
        let bytes = input.take(usize::try_from(slots).ok()?.checked_mul(SLOT_BYTES)?)?;
        tables.push(Arc::new(Table::load(bytes, usize::try_from(used).ok()?)?));
    }
    if input.left != 0 {
        return None;
    }
    let expected = input.checksum;
    input.left = 4;
    if input.take_32()? != expected {
        return None;
    }
    Some(Source { log_id, end, segments, image: Image { key, tables, overflow }, probe })
}

/// Reads the file once, part by part, so that a big checkpoint is never in memory twice.
struct Input {
    file: Arc<dyn StorageFile>,
    offset: u64,
    left: u64,
    checksum: u32,
    scratch: Vec<u8>,
}

impl Input {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        self.left = self.left.checked_sub(count as u64)?;
        self.scratch.resize(count, 0);
        let read = self.file.read_at(&mut self.scratch, self.offset).ok()?;
        if read != count {
            return None;
        }
        self.offset += count as u64;
        self.checksum = crc32c::crc32c_append(self.checksum, &self.scratch);
        Some(&self.scratch)
    }

    fn take_32(&mut self) -> Option<u32> {
        Some(le32(self.take(4)?, 0))
    }

    fn take_64(&mut self) -> Option<u64> {
        Some(le64(self.take(8)?, 0))
    }
}
