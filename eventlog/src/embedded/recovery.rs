//! From a directory to a log: the checkpoint, a scan of what came after it, and a decision about the end.

use std::{io, sync::Arc};

use mainspring_schemas::StreamName;

use super::{
    checkpoint,
    decode::{self, Damage},
    file_system::{DirectoryLock, StorageFile},
    index::Index,
    layout::{Address, InvalidHeader, SEGMENT_HEADER_BYTES, SegmentHeader, segment_name, segment_position},
    options::{Options, RecoveryMode},
    scan::{Scanner, Step},
    segment::{Mark, Segment, Segments},
    shared::{End, Shared},
    tail::{self, Verdict},
};
use crate::LogError;

const HEADER: u64 = SEGMENT_HEADER_BYTES as u64;
const CHUNK: usize = 4 << 20;
const LOCK_NAME: &str = "lock";

/// What opening found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Records in the log.
    pub records: u64,
    /// Records that the index checkpoint did not cover.
    pub scanned_records: u64,
    /// Bytes read to find them.
    pub scanned_bytes: u64,
    /// Bytes of a half-written end that were cut off. They were never acknowledged.
    pub cut_bytes: u64,
    /// Whether an index checkpoint spared a full scan.
    pub used_checkpoint: bool,
}

/// Everything the log needs to start.
pub(super) struct Opened {
    pub shared: Shared,
    pub active: Arc<Segment>,
    pub file: Arc<dyn StorageFile>,
    pub recovery: Recovery,
}

pub(super) fn open(options: Options) -> Result<Opened, LogError> {
    let file_system = Arc::clone(&options.file_system);
    let io_error = |doing: &str, name: &str, source: io::Error| LogError::Io {
        context: format!("{doing} {}", file_system.describe(name)),
        source,
    };
    let lock = file_system.lock(LOCK_NAME).map_err(|error| io_error("locking", LOCK_NAME, error))?;
    let Some(lock) = lock else {
        let directory = file_system.describe("");
        return Err(LogError::Unusable(format!("another process has the log in {directory}; stop it first")));
    };
    let files = list(&options)?;
    let found = checkpoint::load(&*file_system, options.name_hash);
    let log_id = match files.first() {
        Some(Found { header: Some(header), .. }) => header.log_id,
        _ => random()?,
    };
    let found = found.filter(|found| files.is_empty() || found.log_id == log_id);
    let promised = found.as_ref().map_or(0, |found| found.end.position);

    let mut scan = match found.filter(|found| fits(found, &files)) {
        Some(found) => Scan::after(found, &options, log_id, &files),
        None => Scan::from_the_start(&options, log_id)?,
    };
    scan.run(&files)?;
    if scan.end.position < promised {
        let last = files.last().map(|file| file.name.clone()).unwrap_or_default();
        return Err(LogError::Corrupt {
            file: file_system.describe(&last),
            offset: scan.end.offset,
            position: scan.end.position,
            reason: format!(
                "the index checkpoint proves that {promised} records were durable, but the log ends here; restore the \
                 file, or remove index.checkpoint to accept the loss"
            ),
        });
    }
    scan.finish(lock)
}

/// 16 bytes that no other log has.
fn random() -> Result<[u8; 16], LogError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| LogError::Unusable(format!("no randomness: {error}")))?;
    Ok(bytes)
}

/// A segment file, before its frames were looked at.
struct Found {
    name: String,
    length: u64,
    file: Arc<dyn StorageFile>,
    /// `None` = the newest file's header was never written whole.
    header: Option<SegmentHeader>,
}

fn list(options: &Options) -> Result<Vec<Found>, LogError> {
    let file_system = &options.file_system;
    let directory =
        |source| LogError::Io { context: format!("listing {}", file_system.describe("")), source };
    let mut names: Vec<_> = file_system.list().map_err(directory)?;
    names.retain(|name| segment_position(name).is_some());
    names.sort_unstable();
    let mut files: Vec<Found> = Vec::with_capacity(names.len());
    let newest = names.last().cloned();
    for name in names {
        let context = |doing: &str, source| LogError::Io {
            context: format!("{doing} {}", file_system.describe(&name)),
            source,
        };
        let file = file_system.open(&name).map_err(|error| context("opening", error))?;
        let length = file.length().map_err(|error| context("measuring", error))?;
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let read = file.read_at(&mut bytes, 0).map_err(|error| context("reading", error))?;
        let corrupt = |reason: &str| LogError::Corrupt {
            file: file_system.describe(&name),
            offset: 0,
            position: segment_position(&name).unwrap_or(0),
            reason: reason.to_owned(),
        };
        let header = match SegmentHeader::decode(&bytes) {
            Ok(header) if read == SEGMENT_HEADER_BYTES => Some(header),
            Err(InvalidHeader::OtherVersion(version)) => {
                return Err(LogError::Unusable(format!(
                    "{} has format version {version}, which this program does not know",
                    file_system.describe(&name)
                )));
            }
            _ => {
                let written = tail::first_written_byte(&file, HEADER, length);
                let is_unborn = written.map_err(|error| context("reading", error))?.is_none();
                if Some(&name) != newest.as_ref() || !is_unborn {
                    return Err(corrupt("the header of the segment is damaged"));
                }
                if options.recovery == RecoveryMode::Strict {
                    return Err(corrupt("the header of the segment was never written whole"));
                }
                None
            }
        };
        if let Some(header) = header {
            if header.number as usize != files.len() || segment_position(&name) != Some(header.first_position)
            {
                return Err(corrupt(
                    "the segment is not the one that belongs here; is a file missing or renamed?",
                ));
            }
            if files.first().and_then(|first| first.header).is_some_and(|first| first.log_id != header.log_id)
            {
                return Err(corrupt("the segment belongs to another log"));
            }
        }
        files.push(Found { name, length, file, header });
    }
    Ok(files)
}

/// Whether a checkpoint describes these files: same segments, same lengths, and the last frame it covers is in place.
fn fits(found: &checkpoint::Source, files: &[Found]) -> bool {
    let end = &found.end;
    let covered = found.segments.len();
    if covered != end.segment as usize + 1 || covered > files.len() {
        return false;
    }
    for (index, (note, file)) in found.segments.iter().zip(files).enumerate() {
        let is_last = index + 1 == covered;
        let right_length =
            if is_last { file.length >= end.offset } else { file.length == note.sealed_length };
        if segment_position(&file.name) != Some(note.first_position) || !right_length {
            return false;
        }
    }
    if end.last_frame == Address::NONE {
        return end.position == 0 && end.offset == HEADER;
    }
    let Some(file) = files.get(end.last_frame.segment() as usize) else { return false };
    let mut scanner = Scanner::new(Arc::clone(&file.file), end.last_frame.offset(), file.length, 0);
    let Ok(Step::Frame { header, .. }) = scanner.step() else { return false };
    let ends_there = if end.last_frame.segment() == end.segment {
        end.last_frame.offset() + header.length as u64 == end.offset
    } else {
        end.offset == HEADER
    };
    ends_there && header.end() == end.position && header.chain == end.chain
}

/// The scan and what it has built so far.
struct Scan<'a> {
    options: &'a Options,
    log_id: [u8; 16],
    index: Index,
    segments: Segments,
    end: End,
    recovery: Recovery,
    bytes: u64,
}

impl<'a> Scan<'a> {
    fn from_the_start(options: &'a Options, log_id: [u8; 16]) -> Result<Self, LogError> {
        let end = End { position: 0, segment: 0, offset: HEADER, last_frame: Address::NONE, chain: [0; 32] };
        Ok(Self {
            options,
            log_id,
            index: Index::new(random()?, options.name_hash),
            segments: Segments::new(Arc::clone(&options.file_system), Vec::new()),
            end,
            recovery: Recovery::default(),
            bytes: 0,
        })
    }

    fn after(found: checkpoint::Source, options: &'a Options, log_id: [u8; 16], files: &[Found]) -> Self {
        let segments = Segments::new(Arc::clone(&options.file_system), Vec::new());
        for (note, file) in found.segments.into_iter().zip(files) {
            let segment = Segment::new(segments.len() as u32, note.first_position, None);
            segment.set_marks(note.marks);
            if note.sealed_length > 0 {
                segment.seal(file.length);
            }
            segments.push(Arc::new(segment));
        }
        Self {
            options,
            log_id,
            index: Index::from_image(found.image, options.name_hash),
            segments,
            end: found.end,
            recovery: Recovery { used_checkpoint: true, ..Recovery::default() },
            bytes: 0,
        }
    }

    /// Reads every frame from the end of the checkpoint to the end of the log.
    fn run(&mut self, files: &[Found]) -> Result<(), LogError> {
        let first = self.end.segment as usize;
        self.bytes = files.iter().take(first).map(|file| file.length).sum();
        for (number, found) in files.iter().enumerate().skip(first) {
            let is_newest = number + 1 == files.len();
            if number >= self.segments.len() {
                self.enter(number as u32, found)?;
            }
            let Some(segment) = self.segments.by_number(number as u32) else { break };
            if found.header.is_none() {
                self.recovery.cut_bytes += found.length;
                self.rewrite_header(&segment, found)?;
                continue;
            }
            let stopped = self.frames(&segment, found)?;
            if is_newest {
                self.judge_end(&segment, found, stopped)?;
            } else if let Some(damage) = stopped {
                return Err(self.segments.corrupt(&segment, self.mark(), damage));
            } else if self.end.offset != found.length {
                return Err(self.segments.corrupt(&segment, self.mark(), "a sealed segment ends with zeros"));
            } else {
                segment.seal(found.length);
            }
            self.bytes += self.end.offset;
        }
        Ok(())
    }

    fn mark(&self) -> Mark {
        Mark { position: self.end.position, offset: self.end.offset }
    }

    /// Goes on to the next segment, which must begin where the one before ended.
    fn enter(&mut self, number: u32, found: &Found) -> Result<(), LogError> {
        let first_position = segment_position(&found.name).unwrap_or(0);
        let segment = Segment::new(number, first_position, None);
        let expected = found.header.map_or(self.end.chain, |header| header.chain);
        if first_position != self.end.position || expected != self.end.chain {
            let mark = Mark { position: first_position, offset: 0 };
            return Err(self.segments.corrupt(
                &segment,
                mark,
                "the segment does not continue the one before",
            ));
        }
        self.segments.push(Arc::new(segment));
        self.end.segment = number;
        self.end.offset = HEADER;
        Ok(())
    }

    /// Indexes frames until there are no more; `Some` = something invalid stands there.
    fn frames(&mut self, segment: &Segment, found: &Found) -> Result<Option<Damage>, LogError> {
        let mut scanner = Scanner::new(Arc::clone(&found.file), self.end.offset, found.length, CHUNK);
        loop {
            match scanner.step().map_err(|error| self.segments.io(segment, "reading", error))? {
                Step::End => return Ok(None),
                Step::Invalid(damage) => return Ok(Some(damage)),
                Step::Frame { header, .. } if header.first_position != self.end.position => {
                    return Ok(Some("the frame states another position"));
                }
                Step::Frame { header, begin } => {
                    let frame = &scanner.window()[begin..begin + header.length];
                    let address = Address::new(segment.number, self.end.offset);
                    let index = &self.index;
                    decode::for_each_section(frame, &header, |section| {
                        let hash = index.hash(section.name);
                        index
                            .publish(hash, &StreamName::new(section.name), section.previous, address)
                            .map_err(|_| "the frame does not follow its stream's previous one")
                    })
                    .map_err(|damage| self.segments.corrupt(segment, self.mark(), damage))?;
                    segment.note(self.mark());
                    self.recovery.scanned_records += u64::from(header.records);
                    self.recovery.scanned_bytes += header.length as u64;
                    self.end.position = header.end();
                    self.end.offset += header.length as u64;
                    self.end.chain = header.chain;
                    self.end.last_frame = address;
                    scanner.advance(header.length);
                }
            }
        }
    }

    /// Decides what the bytes behind the last valid frame of the newest segment are, and removes a torn write.
    fn judge_end(
        &mut self,
        segment: &Segment,
        found: &Found,
        stopped: Option<Damage>,
    ) -> Result<(), LogError> {
        let mark = self.mark();
        let io_error = |error| self.segments.io(segment, "reading", error);
        let written = tail::first_written_byte(&found.file, mark.offset, found.length).map_err(io_error)?;
        if written.is_none() {
            return Ok(());
        }
        let damage = stopped.unwrap_or("bytes stand behind the end");
        if self.options.recovery == RecoveryMode::Strict {
            return Err(self.segments.corrupt(segment, mark, damage));
        }
        if let Verdict::Damaged(proof) = tail::judge(&found.file, mark, found.length).map_err(io_error)? {
            return Err(self.segments.corrupt(segment, mark, format!("{damage}, but {proof}")));
        }
        let cut = found.length - mark.offset;
        tracing::warn!(
            file = self.segments.describe(segment),
            offset = mark.offset,
            position = mark.position,
            bytes = cut,
            "cut off the half-written end that a crash left; it was never acknowledged"
        );
        found.file.truncate(mark.offset).map_err(|error| self.segments.io(segment, "truncating", error))?;
        self.recovery.cut_bytes += cut;
        Ok(())
    }

    fn rewrite_header(&self, segment: &Segment, found: &Found) -> Result<(), LogError> {
        let header = SegmentHeader {
            number: segment.number,
            log_id: self.log_id,
            first_position: segment.first_position,
            chain: self.end.chain,
        };
        let write = || {
            found.file.truncate(0)?;
            found.file.write_at(&header.encode(), 0)
        };
        write().map_err(|error| self.segments.io(segment, "writing", error))
    }

    /// Makes what was found durable, before anybody reads it, and the log ready.
    fn finish(mut self, lock: DirectoryLock) -> Result<Opened, LogError> {
        let file_system = Arc::clone(&self.options.file_system);
        let active = match self.segments.by_number(self.end.segment) {
            Some(active) => active,
            None => {
                let segment = Arc::new(Segment::new(0, 0, None));
                let create = || {
                    let file = file_system.create(&segment_name(0))?;
                    let header =
                        SegmentHeader { number: 0, log_id: self.log_id, first_position: 0, chain: [0; 32] };
                    file.write_at(&header.encode(), 0)
                };
                create().map_err(|error| self.segments.io(&segment, "creating", error))?;
                self.segments.push(Arc::clone(&segment));
                self.bytes = HEADER;
                segment
            }
        };
        let file = self.segments.file(&active)?;
        // A process that was killed may have left frames in the page cache that no sync ever confirmed.
        file.sync_data().map_err(|error| self.segments.io(&active, "syncing", error))?;
        file_system
            .sync_directory()
            .map_err(|error| self.segments.io(&active, "syncing the directory of", error))?;
        self.recovery.records = self.end.position;
        let shared = Shared::new(
            self.options.clone(),
            self.log_id,
            self.segments,
            self.index,
            self.end,
            self.bytes,
            lock,
        );
        Ok(Opened { shared, active, file, recovery: self.recovery })
    }
}
