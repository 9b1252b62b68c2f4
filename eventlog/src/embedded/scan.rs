//! Reading the frames of one segment forwards, in big pieces.

use std::{io, sync::Arc};

use bytes::Bytes;

use super::{
    decode::{self, Damage, FrameHeader, is_frame_length},
    file_system::StorageFile,
    layout::FRAME_HEADER_BYTES,
};

/// What stands at the scanner's place.
#[derive(Debug)]
pub(super) enum Step {
    /// A valid frame, which begins at this byte of the window.
    Frame { header: FrameHeader, begin: usize },
    /// The end: no byte is left, or a length of zero.
    End,
    /// Something that is no frame.
    Invalid(Damage),
}

/// A place in a segment that moves from frame to frame.
pub(super) struct Scanner {
    file: Arc<dyn StorageFile>,
    offset: u64,
    end: u64,
    window: Bytes,
    window_offset: u64,
    chunk: usize,
}

impl Scanner {
    /// Starts at a frame's offset and never reads at or behind `end`.
    pub fn new(file: Arc<dyn StorageFile>, offset: u64, end: u64, chunk: usize) -> Self {
        Self { file, offset, end, window: Bytes::new(), window_offset: offset, chunk }
    }

    /// Offset of the frame that comes next.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes read last.
    pub fn window(&self) -> &Bytes {
        &self.window
    }

    /// Whether the next frame would make it read from the file again.
    pub fn is_window_used_up(&self) -> bool {
        let begin = (self.offset - self.window_offset) as usize;
        match self.window.get(begin..).and_then(FrameHeader::peek) {
            Some(header) => begin.saturating_add(header.length) > self.window.len(),
            None => true,
        }
    }

    /// Makes at least `count` bytes from the place on available, if the segment has them.
    fn fill(&mut self, count: usize) -> io::Result<usize> {
        let begin = (self.offset - self.window_offset) as usize;
        if self.window.len().saturating_sub(begin) >= count {
            return Ok(begin);
        }
        let left = self.end.saturating_sub(self.offset);
        let wanted = (count.max(self.chunk) as u64).min(left) as usize;
        let mut bytes = vec![0; wanted];
        let read = self.file.read_at(&mut bytes, self.offset)?;
        bytes.truncate(read);
        self.window = Bytes::from(bytes);
        self.window_offset = self.offset;
        Ok(0)
    }

    /// Looks at what stands at the place without moving.
    ///
    /// # Errors
    /// Only of the file; bytes that are no frame are a [`Step`].
    pub fn step(&mut self) -> io::Result<Step> {
        let begin = self.fill(FRAME_HEADER_BYTES)?;
        let rest = &self.window[begin.min(self.window.len())..];
        if rest.is_empty() || rest.iter().take(4).all(|byte| *byte == 0) {
            return Ok(Step::End);
        }
        let Some(header) = FrameHeader::peek(rest) else {
            return Ok(Step::Invalid("the frame is cut short"));
        };
        if !is_frame_length(header.length) {
            return Ok(Step::Invalid("the length is impossible"));
        }
        let begin = self.fill(header.length)?;
        Ok(match decode::check(&self.window[begin..]) {
            Ok(header) => Step::Frame { header, begin },
            Err(damage) => Step::Invalid(damage),
        })
    }

    /// The fixed part of the next frame, unchecked, to pass over frames that nobody asked for.
    pub fn peek(&mut self) -> io::Result<Option<FrameHeader>> {
        let begin = self.fill(FRAME_HEADER_BYTES)?;
        Ok(FrameHeader::peek(&self.window[begin.min(self.window.len())..])
            .filter(|h| is_frame_length(h.length)))
    }

    /// Goes behind a frame of this length.
    pub fn advance(&mut self, length: usize) {
        self.offset += length as u64;
        if self.offset - self.window_offset > self.window.len() as u64 {
            self.window = Bytes::new();
            self.window_offset = self.offset;
        }
    }
}
