//! Reading what is durable.

use std::collections::VecDeque;

use bytes::Bytes;
use mainspring_schemas::StreamName;

use super::{
    decode::{self, Damage, FrameHeader, Section, is_frame_length},
    heads::Head,
    layout::{Address, FRAME_HEADER_BYTES},
    scan::{Scanner, Step},
    segment::{Mark, Segment},
    shared::Shared,
};
use crate::{LogError, Position, Recorded, Version};

/// Most frames fit into this many bytes, so that one read fetches them.
const FIRST_READ: usize = 4096;
const MIN_CHUNK: usize = 64 << 10;
const MAX_CHUNK: usize = 1 << 20;
/// What a record takes on average, to guess how much to read for a number of them.
const TYPICAL_RECORD: usize = 512;

/// A checked frame and its fixed part.
type Frame = (Bytes, FrameHeader);

impl Shared {
    /// The frame at an address that the log itself noted.
    fn read_frame(&self, address: Address) -> Result<Frame, LogError> {
        let Some(segment) = self.segments.by_number(address.segment()) else {
            return Err(LogError::Corrupt {
                file: self.file_system.describe(""),
                offset: address.offset(),
                position: 0,
                reason: format!("segment {} does not exist", address.segment()),
            });
        };
        let file = self.segments.file(&segment)?;
        let io = |error| self.segments.io(&segment, "reading", error);
        let mut first = [0; FIRST_READ];
        let read = file.read_at(&mut first, address.offset()).map_err(io)?;
        let length = FrameHeader::peek(&first[..read]).map_or(0, |header| header.length);
        if read < FRAME_HEADER_BYTES || !is_frame_length(length) {
            return Err(self.damaged(&segment, address.offset(), "there is no frame"));
        }
        let frame = if length <= read {
            Bytes::copy_from_slice(&first[..length])
        } else {
            let mut bytes = vec![0; length];
            bytes[..read].copy_from_slice(&first[..read]);
            let rest = file.read_at(&mut bytes[read..], address.offset() + read as u64).map_err(io)?;
            bytes.truncate(read + rest);
            Bytes::from(bytes)
        };
        match decode::check(&frame) {
            Ok(header) => Ok((frame, header)),
            Err(damage) => Err(self.damaged(&segment, address.offset(), damage)),
        }
    }

    fn damaged(&self, segment: &Segment, offset: u64, damage: Damage) -> LogError {
        self.segments.corrupt(segment, self.mark_of(segment, offset), damage)
    }

    fn damaged_at(&self, address: Address, damage: Damage) -> LogError {
        match self.segments.by_number(address.segment()) {
            Some(segment) => self.damaged(&segment, address.offset(), damage),
            None => LogError::Unusable(format!("segment {} does not exist", address.segment())),
        }
    }

    /// The position at an offset, found by walking there from the nearest noted frame, as far as frames are readable.
    fn mark_of(&self, segment: &Segment, offset: u64) -> Mark {
        let mut mark = Mark { position: segment.first_position, offset };
        let Ok(file) = self.segments.file(segment) else { return mark };
        let start = segment.marks().into_iter().rev().find(|noted| noted.offset <= offset);
        let start = start.unwrap_or_else(|| segment.seek(segment.first_position));
        let mut scanner = Scanner::new(file, start.offset, offset, MIN_CHUNK);
        mark.position = start.position;
        while let Ok(Step::Frame { header, .. }) = scanner.step() {
            mark.position = header.end();
            scanner.advance(header.length);
        }
        mark
    }

    fn section_of<'a>(
        &self,
        address: Address,
        (frame, header): &'a Frame,
        stream: &StreamName,
    ) -> Result<Option<Section<'a>>, LogError> {
        let section = decode::find_section(frame, header, stream.as_str());
        let section = section.map_err(|damage| self.damaged_at(address, damage))?;
        // Addresses only ever point backwards; anything else would send a reader round in circles.
        if section.is_some_and(|section| section.previous >= address) {
            return Err(self.damaged_at(address, "the stream's previous frame is not before this one"));
        }
        Ok(section)
    }

    /// The stream's last record, from disk.
    pub(super) fn durable_head(&self, hash: u64, stream: &StreamName) -> Result<Option<Head>, LogError> {
        let Some(address) = self.index.find(hash, stream) else { return Ok(None) };
        let frame = self.read_frame(address)?;
        let section = self.section_of(address, &frame, stream)?;
        Ok(section.map(|section| Head { version: section.last_version(), address }))
    }

    /// Visits the stream's frames from the newest to the oldest until `visit` returns `false`.
    fn walk_back(
        &self,
        stream: &StreamName,
        mut visit: impl FnMut(Address, Frame, Version, u16) -> Result<bool, LogError>,
    ) -> Result<(), LogError> {
        let newest = self.index.find(self.index.hash(stream.as_str()), stream).unwrap_or(Address::NONE);
        let mut address = newest;
        while address != Address::NONE {
            let frame = self.read_frame(address)?;
            let Some(section) = self.section_of(address, &frame, stream)? else {
                if address == newest {
                    // Another stream of the same hash: this one does not exist.
                    return Ok(());
                }
                return Err(self.damaged_at(address, "the frame does not hold the stream that points to it"));
            };
            let (first_version, records, previous) =
                (section.first_version, section.records, section.previous);
            if !visit(address, frame, first_version, records)? {
                return Ok(());
            }
            address = previous;
        }
        Ok(())
    }

    /// Adds a stream's records of a frame, versions within `versions`.
    fn collect(
        &self,
        address: Address,
        (frame, header): &Frame,
        stream: &StreamName,
        versions: std::ops::RangeInclusive<Version>,
        into: &mut Vec<Recorded>,
    ) -> Result<(), LogError> {
        decode::records(
            frame,
            0,
            header,
            |name, _, version| name == stream.as_str() && versions.contains(&version),
            into,
        )
        .map_err(|damage| self.damaged_at(address, damage))
    }

    pub(super) fn read_stream(
        &self,
        stream: &StreamName,
        from: Version,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        let mut frames: VecDeque<(Address, Frame, u16)> = VecDeque::new();
        let mut held = 0;
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.walk_back(stream, |address, frame, first_version, records| {
            if first_version.saturating_add(u64::from(records)) <= from {
                return Ok(false);
            }
            frames.push_front((address, frame, records));
            held += usize::from(records);
            // The newest frames are not needed if the older ones hold enough. What precedes `from` in the oldest frame
            // does not count, so one frame more than the limit is kept.
            while let Some((_, _, newest)) = frames.back()
                && held - usize::from(*newest) >= limit.saturating_add(usize::from(records))
            {
                held -= usize::from(*newest);
                frames.pop_back();
            }
            Ok(first_version > from)
        })?;
        let mut found = Vec::new();
        for (address, frame, _) in frames {
            self.collect(address, &frame, stream, from..=Version::MAX, &mut found)?;
            if found.len() >= limit {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    pub(super) fn read_stream_back(
        &self,
        stream: &StreamName,
        from: Option<Version>,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        let from = from.unwrap_or(Version::MAX);
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        self.walk_back(stream, |address, frame, first_version, _| {
            if first_version <= from {
                let mut part = Vec::new();
                self.collect(address, &frame, stream, 0..=from, &mut part)?;
                found.extend(part.into_iter().rev());
            }
            Ok(found.len() < limit)
        })?;
        found.truncate(limit);
        Ok(found)
    }

    pub(super) fn read_all(&self, from: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let mut found = Vec::new();
        let end = *self.end.lock();
        if from >= end.position || limit == 0 {
            return Ok(found);
        }
        let (mut segment, mut mark) = self.seek(from)?;
        let chunk = limit.saturating_mul(TYPICAL_RECORD).clamp(MIN_CHUNK, MAX_CHUNK);
        let mut scanner = self.scanner(&segment, mark.offset, end, chunk)?;
        while mark.position < end.position {
            mark.offset = scanner.offset();
            if mark.position < from
                && let Some(header) =
                    scanner.peek().map_err(|error| self.segments.io(&segment, "reading", error))?
                && header.first_position == mark.position
                && header.end() <= from
            {
                scanner.advance(header.length);
                mark.position = header.end();
                continue;
            }
            if found.len() >= limit || (!found.is_empty() && scanner.is_window_used_up()) {
                break;
            }
            match scanner.step().map_err(|error| self.segments.io(&segment, "reading", error))? {
                Step::Frame { header, begin } => {
                    if header.first_position != mark.position {
                        return Err(self.segments.corrupt(
                            &segment,
                            mark,
                            "the frame states another position",
                        ));
                    }
                    decode::records(
                        scanner.window(),
                        begin,
                        &header,
                        |_, position, _| position >= from,
                        &mut found,
                    )
                    .map_err(|damage| self.segments.corrupt(&segment, mark, damage))?;
                    scanner.advance(header.length);
                    mark.position = header.end();
                }
                Step::End => match self.segments.by_number(segment.number + 1) {
                    Some(next) if next.first_position == mark.position => {
                        segment = next;
                        mark = segment.seek(mark.position);
                        scanner = self.scanner(&segment, mark.offset, end, chunk)?;
                    }
                    _ => return Err(self.segments.corrupt(&segment, mark, "records are missing")),
                },
                Step::Invalid(damage) => return Err(self.segments.corrupt(&segment, mark, damage)),
            }
        }
        self.hints.keep(mark.position, Address::new(segment.number, scanner.offset()));
        Ok(found)
    }

    fn seek(&self, from: Position) -> Result<(std::sync::Arc<Segment>, Mark), LogError> {
        if let Some(address) = self.hints.find(from)
            && let Some(segment) = self.segments.by_number(address.segment())
        {
            return Ok((segment, Mark { position: from, offset: address.offset() }));
        }
        match self.segments.by_position(from) {
            Some(segment) => {
                let mark = segment.seek(from);
                Ok((segment, mark))
            }
            None => Err(LogError::Unusable(format!("no segment holds position {from}"))),
        }
    }

    fn scanner(
        &self,
        segment: &Segment,
        offset: u64,
        end: super::shared::End,
        chunk: usize,
    ) -> Result<Scanner, LogError> {
        let limit = if segment.number == end.segment { end.offset } else { u64::MAX };
        Ok(Scanner::new(self.segments.file(segment)?, offset, limit, chunk))
    }
}
