//! The segments of a log: which file holds a position, and about where in it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};

use super::{
    file_system::{FileSystem, StorageFile},
    layout::{SEGMENT_HEADER_BYTES, segment_name},
};
use crate::{LogError, Position};

/// One entry of the sparse index per this many bytes.
pub(super) const SPARSE_BYTES: u64 = 64 << 10;

/// Most segment files open at once; more are closed and opened again when needed.
const MAX_OPEN: usize = 256;

/// The frame that begins with a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub position: Position,
    pub offset: u64,
}

/// One segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub number: u32,
    pub first_position: Position,
    marks: RwLock<Vec<Mark>>,
    /// Length of the file once it is sealed, else 0.
    sealed_length: AtomicU64,
    file: Mutex<Option<Arc<dyn StorageFile>>>,
}

impl Segment {
    pub fn new(number: u32, first_position: Position, file: Option<Arc<dyn StorageFile>>) -> Self {
        Self {
            number,
            first_position,
            marks: RwLock::default(),
            sealed_length: AtomicU64::new(0),
            file: Mutex::new(file),
        }
    }

    pub fn name(&self) -> String {
        segment_name(self.first_position)
    }

    pub fn seal(&self, length: u64) {
        self.sealed_length.store(length, Ordering::Release);
    }

    pub fn sealed_length(&self) -> u64 {
        self.sealed_length.load(Ordering::Acquire)
    }

    /// Notes a durable frame; keeps one per [`SPARSE_BYTES`].
    pub fn note(&self, mark: Mark) {
        // Only one thread notes, so looking before locking for writing loses nothing.
        let last = self.marks.read().last().map_or(SEGMENT_HEADER_BYTES as u64, |last| last.offset);
        if mark.offset >= last + SPARSE_BYTES {
            self.marks.write().push(mark);
        }
    }

    /// The last noted frame that begins at or below a position.
    pub fn seek(&self, position: Position) -> Mark {
        let marks = self.marks.read();
        let after = marks.partition_point(|mark| mark.position <= position);
        match after.checked_sub(1).and_then(|at| marks.get(at)) {
            Some(mark) => *mark,
            None => Mark { position: self.first_position, offset: SEGMENT_HEADER_BYTES as u64 },
        }
    }

    pub fn marks(&self) -> Vec<Mark> {
        self.marks.read().clone()
    }

    pub fn set_marks(&self, marks: Vec<Mark>) {
        *self.marks.write() = marks;
    }
}

/// All segments, by number.
#[derive(Debug)]
pub(super) struct Segments {
    file_system: Arc<dyn FileSystem>,
    list: RwLock<Vec<Arc<Segment>>>,
    open: AtomicUsize,
}

impl Segments {
    pub fn new(file_system: Arc<dyn FileSystem>, list: Vec<Arc<Segment>>) -> Self {
        Self { file_system, list: RwLock::new(list), open: AtomicUsize::new(0) }
    }

    pub fn all(&self) -> Vec<Arc<Segment>> {
        self.list.read().clone()
    }

    pub fn len(&self) -> usize {
        self.list.read().len()
    }

    pub fn by_number(&self, number: u32) -> Option<Arc<Segment>> {
        self.list.read().get(number as usize).cloned()
    }

    /// The segment that holds, or will hold, a position.
    pub fn by_position(&self, position: Position) -> Option<Arc<Segment>> {
        let list = self.list.read();
        let after = list.partition_point(|segment| segment.first_position <= position);
        list.get(after.checked_sub(1)?).cloned()
    }

    pub fn push(&self, segment: Arc<Segment>) {
        self.list.write().push(segment);
    }

    /// The segment's file.
    pub fn file(&self, segment: &Segment) -> Result<Arc<dyn StorageFile>, LogError> {
        if let Some(file) = &*segment.file.lock() {
            return Ok(Arc::clone(file));
        }
        if self.open.fetch_add(1, Ordering::Relaxed) >= MAX_OPEN {
            self.close_all_but_the_newest();
        }
        let opened =
            self.file_system.open(&segment.name()).map_err(|error| self.io(segment, "opening", error))?;
        *segment.file.lock() = Some(Arc::clone(&opened));
        Ok(opened)
    }

    fn close_all_but_the_newest(&self) {
        self.open.store(1, Ordering::Relaxed);
        let list = self.list.read();
        for segment in list.iter().rev().skip(1) {
            *segment.file.lock() = None;
        }
    }

    /// An error of the operating system, with the file it is about.
    pub fn io(&self, segment: &Segment, doing: &str, source: io::Error) -> LogError {
        LogError::Io { context: format!("{doing} {}", self.describe(segment)), source }
    }

    /// Damage at a place.
    pub fn corrupt(&self, segment: &Segment, mark: Mark, reason: impl Into<String>) -> LogError {
        LogError::Corrupt {
            file: self.describe(segment),
            offset: mark.offset,
            position: mark.position,
            reason: reason.into(),
        }
    }

    pub fn describe(&self, segment: &Segment) -> String {
        self.file_system.describe(&segment.name())
    }
}
