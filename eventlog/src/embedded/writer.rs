//! The one thread that writes.
//!
//! It takes everything that waits, checks expectations against what is durable plus what it is about to write, makes
//! one buffer, one write and one sync, shows the result to readers, and answers. It never waits for more to come: while
//! one group is being synced the next one gathers by itself.

use std::{io, sync::Arc, sync::atomic::Ordering};

use super::{
    checkpoint,
    encode::{self, FrameStart, Placement},
    file_system::StorageFile,
    group::{Group, Touched},
    heads::{Head, Heads},
    layout::{Address, SEGMENT_HEADER_BYTES, SegmentHeader, segment_name},
    prepare::Preparation,
    queue::Waiting,
    segment::{Mark, Segment},
    shared::{End, Shared},
};
use crate::{Append, AppendError, Appended, Expected, LogError, OnDurable, record::StreamAppend};

/// A group is written when it has this many bytes, however much is waiting.
const GROUP_BYTES: usize = 16 << 20;

/// Why bytes did not become durable.
enum Trouble {
    /// The disk is full; the file is as it was.
    Full(io::Error),
    /// Nobody knows what is on disk.
    Failed(String),
}

/// The writer's own view, which runs ahead of what readers see by the group being made.
pub(super) struct Writer {
    shared: Arc<Shared>,
    active: Arc<Segment>,
    file: Arc<dyn StorageFile>,
    /// The end of what is durable.
    durable: End,
    /// The end after the group.
    next: End,
    heads: Heads,
    group: Group,
    preparation: Preparation,
    placements: Vec<(u64, Placement)>,
    /// The segment is full, but its successor could not be made yet.
    must_roll: bool,
    bytes_since_checkpoint: u64,
}

impl Writer {
    pub fn new(shared: Arc<Shared>, active: Arc<Segment>, file: Arc<dyn StorageFile>) -> Self {
        let end = *shared.end.lock();
        Self {
            heads: Heads::new(shared.options.hot_streams),
            shared,
            active,
            file,
            durable: end,
            next: end,
            group: Group::default(),
            preparation: Preparation::default(),
            placements: Vec::new(),
            must_roll: false,
            bytes_since_checkpoint: 0,
        }
    }

    /// Works until the queue is closed and empty.
    pub fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut waiting = Vec::new();
        while shared.queue.take(&mut waiting) {
            for item in waiting.drain(..) {
                match item {
                    Waiting::Append { append, length, on_durable } => self.add(append, length, on_durable),
                    Waiting::Refused { error, on_durable } => {
                        self.group.answers.push((on_durable, Err(error)))
                    }
                }
            }
            self.commit();
        }
        if shared.failure.get().is_none() {
            self.finish();
        }
    }

    fn add(&mut self, append: Append, length: usize, on_durable: OnDurable) {
        if let Some(failure) = self.shared.failure.get() {
            self.group.answers.push((on_durable, Err(AppendError::Failed(Arc::clone(failure)))));
            return;
        }
        let is_empty = self.next.offset == SEGMENT_HEADER_BYTES as u64;
        let is_full = !is_empty && self.next.offset + length as u64 > self.shared.options.segment_limit();
        if is_full || self.must_roll || self.group.buffer.len() + length > GROUP_BYTES {
            self.commit();
        }
        if is_full || self.must_roll {
            self.must_roll = true;
            if let Err(error) = self.roll() {
                self.group.answers.push((on_durable, Err(error)));
                return;
            }
        }
        let answer = self.place(&append).map(|()| self.put(append, length));
        self.group.answers.push((on_durable, answer));
    }

    /// Checks an append's expectations and notes where its streams continue.
    fn place(&mut self, append: &Append) -> Result<(), AppendError> {
        self.placements.clear();
        if has_duplicates(&append.streams) {
            return Err(AppendError::Refused("an append may name a stream only once"));
        }
        for StreamAppend { stream, expected, .. } in &append.streams {
            let hash = self.shared.index.hash(stream.as_str());
            let head = match self.heads.get(stream) {
                Some(head) => Some(head),
                None => self.shared.durable_head(hash, stream).map_err(|error| self.unreadable(error))?,
            };
            let current = head.map(|head| head.version);
            let holds = match *expected {
                Expected::Any => true,
                Expected::NoStream => current.is_none(),
                Expected::Version(version) => current == Some(version),
            };
            if !holds {
                return Err(AppendError::Conflict { stream: stream.clone(), expected: *expected, current });
            }
            let placement = Placement {
                first_version: current.map_or(0, |version| version + 1),
                previous: head.map_or(Address::NONE, |head| head.address),
            };
            self.placements.push((hash, placement));
        }
        Ok(())
    }

    /// A stream whose end cannot be read can take nothing. Damage stops the log; a failed read may pass.
    fn unreadable(&self, error: LogError) -> AppendError {
        match error {
            LogError::Io { .. } => AppendError::Unavailable(error.to_string().into()),
            damage => AppendError::Failed(self.shared.fail(damage.to_string().into())),
        }
    }

    /// Adds a placed append to the group.
    fn put(&mut self, append: Append, length: usize) -> Appended {
        let first_position = self.next.position;
        let address = Address::new(self.next.segment, self.next.offset);
        let start = FrameStart {
            first_position,
            records_since_sync: u32::try_from(first_position - self.durable.position).unwrap_or(u32::MAX),
        };
        let placements = self.placements.iter().map(|(_, placement)| *placement);
        self.next.chain =
            encode::encode(&append, placements, start, &self.next.chain, &mut self.group.buffer);
        self.group.marks.push(Mark { position: first_position, offset: self.next.offset });
        for (stream, (hash, placement)) in append.streams.into_iter().zip(&self.placements) {
            let version = placement.first_version + stream.records.len() as u64 - 1;
            self.next.position += stream.records.len() as u64;
            self.heads.set(&stream.stream, Head { version, address });
            let (hash, stream, previous) = (*hash, stream.stream, placement.previous);
            self.group.touched.push(Touched { hash, stream, previous, address });
        }
        self.next.offset += length as u64;
        self.next.last_frame = address;
        Appended { first_position, last_position: self.next.position - 1 }
    }

    /// Makes the group durable and gives its answers.
    fn commit(&mut self) {
        if !self.group.buffer.is_empty() {
            match self.write() {
                Ok(()) => self.publish(),
                Err(Trouble::Full(error)) => {
                    tracing::warn!(%error, "the disk is full; appends are refused until there is space");
                    self.group.refuse(&full(&error));
                    self.rewind();
                }
                Err(Trouble::Failed(reason)) => {
                    let failure = self.shared.fail(reason.into());
                    self.group.refuse(&AppendError::Failed(failure));
                    self.rewind();
                }
            }
        }
        self.group.answer();
        self.heads.age();
    }

    /// Goes back to what is durable.
    fn rewind(&mut self) {
        self.next = self.durable;
        self.heads.forget();
    }

    fn write(&mut self) -> Result<(), Trouble> {
        let begin = self.durable.offset;
        self.preparation.wait_for(self.next.offset);
        if let Err(error) = self.file.write_at(&self.group.buffer, begin) {
            if !is_full(&error) {
                return Err(Trouble::Failed(self.context("writing", &error)));
            }
            // Nothing of the group is promised yet. It must be gone for good before anybody is told that it is, or a
            // crash could bring back a part of it behind a later, shorter group.
            self.preparation.reset();
            self.file.truncate(begin).map_err(|error| Trouble::Failed(self.context("truncating", &error)))?;
            self.sync()?;
            return Err(Trouble::Full(error));
        }
        self.sync()
    }

    /// Syncs once. After an error the kernel may drop what it could not write and call the next sync a success, so
    /// there is no second try (D5).
    fn sync(&self) -> Result<(), Trouble> {
        self.file.sync_data().map_err(|error| Trouble::Failed(self.context("syncing", &error)))?;
        self.shared.counters.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn context(&self, doing: &str, error: &io::Error) -> String {
        format!("{doing} {}: {error}", self.shared.segments.describe(&self.active))
    }

    fn publish(&mut self) {
        for touched in &self.group.touched {
            let Touched { hash, stream, previous, address } = touched;
            if self.shared.index.publish(*hash, stream, *previous, *address).is_err() {
                // Cannot happen unless the writer's own view is wrong, and then nothing it says can be trusted.
                self.shared.fail(Arc::from("the index contradicts the writer"));
            }
        }
        for mark in &self.group.marks {
            self.active.note(*mark);
        }
        let records = self.next.position - self.durable.position;
        let bytes = self.group.buffer.len() as u64;
        self.shared.counters.appended_records.fetch_add(records, Ordering::Relaxed);
        self.shared.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes_since_checkpoint += bytes;
        self.durable = self.next;
        self.shared.advance(self.durable);
        self.preparation.extend(&self.shared, &self.active.name(), self.durable.offset);
    }

    /// Seals the segment and begins the next one. The group is empty.
    fn roll(&mut self) -> Result<(), AppendError> {
        match self.begin_segment() {
            Ok(()) => {
                self.must_roll = false;
                self.checkpoint_if_due();
                Ok(())
            }
            Err(Trouble::Full(error)) => Err(full(&error)),
            Err(Trouble::Failed(reason)) => Err(AppendError::Failed(self.shared.fail(reason.into()))),
        }
    }

    fn begin_segment(&mut self) -> Result<(), Trouble> {
        self.cut_prepared_space()?;
        let name = segment_name(self.durable.position);
        let number = self.durable.segment + 1;
        let header = SegmentHeader {
            number,
            log_id: self.shared.log_id,
            first_position: self.durable.position,
            chain: self.durable.chain,
        };
        let describe = |doing: &str, error: &io::Error| {
            Trouble::Failed(format!("{doing} {}: {error}", self.shared.file_system.describe(&name)))
        };
        let full_or = |doing: &str, error: io::Error| match is_full(&error) {
            true => Trouble::Full(error),
            false => describe(doing, &error),
        };
        let file = self.shared.file_system.create(&name).map_err(|error| full_or("creating", error))?;
        file.write_at(&header.encode(), 0).map_err(|error| full_or("writing", error))?;
        file.sync_data().map_err(|error| describe("syncing", &error))?;
        self.shared
            .file_system
            .sync_directory()
            .map_err(|error| describe("syncing the directory of", &error))?;
        self.active.seal(self.durable.offset);
        let segment = Arc::new(Segment::new(number, self.durable.position, Some(Arc::clone(&file))));
        self.shared.segments.push(Arc::clone(&segment));
        self.active = segment;
        self.file = file;
        self.shared.counters.bytes.fetch_add(SEGMENT_HEADER_BYTES as u64, Ordering::Relaxed);
        self.durable.segment = number;
        self.durable.offset = SEGMENT_HEADER_BYTES as u64;
        self.next = self.durable;
        self.shared.advance(self.durable);
        Ok(())
    }

    /// Copies of the index cost as much as writing it, so they are made less often when it is big.
    fn checkpoint_if_due(&mut self) {
        if self.bytes_since_checkpoint >= 2 * self.shared.index.bytes() as u64
            && checkpoint::write_in_background(&self.shared)
        {
            self.bytes_since_checkpoint = 0;
        }
    }

    /// Ends the file with its last frame.
    fn cut_prepared_space(&mut self) -> Result<(), Trouble> {
        self.preparation.reset();
        // Also space that was prepared before a crash, of which only the file's length knows.
        let length =
            self.file.length().map_err(|error| Trouble::Failed(self.context("measuring", &error)))?;
        if length > self.durable.offset {
            let cut = self.file.truncate(self.durable.offset);
            cut.map_err(|error| Trouble::Failed(self.context("truncating", &error)))?;
            self.sync()?;
        }
        Ok(())
    }

    /// Leaves a checkpoint behind that covers everything.
    fn finish(&mut self) {
        if let Err(Trouble::Failed(reason)) = self.cut_prepared_space() {
            self.shared.fail(reason.into());
            return;
        }
        // Both write the same file, and the older one must not come last.
        checkpoint::wait(&self.shared);
        if let Err(error) = checkpoint::write(&self.shared, &checkpoint::Source::take(&self.shared)) {
            tracing::warn!(%error, "the index checkpoint could not be written; the next start scans more");
        }
    }
}

fn full(error: &io::Error) -> AppendError {
    AppendError::Unavailable(format!("the disk is full: {error}").into())
}

/// Errors of a write that promise that space is all that is missing.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn has_duplicates(streams: &[StreamAppend]) -> bool {
    match streams {
        [_] => false,
        few if few.len() <= 16 => {
            few.iter().enumerate().any(|(i, one)| few[..i].iter().any(|other| other.stream == one.stream))
        }
        many => {
            let mut seen = std::collections::HashSet::with_capacity(many.len());
            !many.iter().all(|stream| seen.insert(&stream.stream))
        }
    }
}
