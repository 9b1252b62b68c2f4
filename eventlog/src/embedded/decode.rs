//! From the bytes of a frame to its records. Every length is checked: nothing here can be made to panic.

use std::ops::Range;

use bytes::Bytes;
use compact_str::CompactString;
use mainspring_schemas::{RecordId, StreamName, Timestamp};
use uuid::Uuid;

use super::{
    encode::{checksum, flag},
    layout::{Address, Chain, FRAME_HEADER_BYTES, MAX_FRAME_BYTES, MIN_FRAME_BYTES, fixed, le16, le32, le64},
};
use crate::{Position, Recorded, Version};

/// What is wrong with a frame.
pub(super) type Damage = &'static str;

const STRUCTURE: Damage = "the frame's structure contradicts its length";

/// The fixed part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub length: usize,
    pub chain: Chain,
    pub first_position: Position,
    pub recorded_at: Timestamp,
    pub records: u32,
    pub records_since_sync: u32,
    pub streams: u16,
}

impl FrameHeader {
    /// Position after the frame's last record.
    pub fn end(&self) -> Position {
        self.first_position.saturating_add(u64::from(self.records))
    }

    /// Everything below had been synced when the frame was written.
    pub fn synced_below(&self) -> Position {
        self.first_position.saturating_sub(u64::from(self.records_since_sync))
    }

    /// Reads the fixed part without checking anything but its presence.
    pub fn peek(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..FRAME_HEADER_BYTES)?;
        Some(Self {
            length: le32(bytes, 0) as usize,
            chain: fixed(bytes, 8),
            first_position: le64(bytes, 40),
            recorded_at: Timestamp(le64(bytes, 48).cast_signed()),
            records: le32(bytes, 56),
            records_since_sync: le32(bytes, 60),
            streams: le16(bytes, 64),
        })
    }
}

/// Whether a number can be the length of a frame.
pub(super) fn is_frame_length(length: usize) -> bool {
    (MIN_FRAME_BYTES..=MAX_FRAME_BYTES).contains(&length)
}

/// Checks length and checksum of a frame that begins with `bytes`, and returns its fixed part.
pub(super) fn check(bytes: &[u8]) -> Result<FrameHeader, Damage> {
    let header = FrameHeader::peek(bytes).ok_or("the frame is cut short")?;
    if !is_frame_length(header.length) {
        return Err("the length is impossible");
    }
    let frame = bytes.get(..header.length).ok_or("the frame is cut short")?;
    if checksum(frame) != le32(frame, 4) {
        return Err("the checksum does not match");
    }
    if le16(frame, 66) != 0 {
        return Err("a later version of the program wrote this frame");
    }
    if header.records == 0 || header.streams == 0 {
        return Err(STRUCTURE);
    }
    Ok(header)
}

/// One stream's part of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    pub name: &'a str,
    pub first_version: Version,
    pub previous: Address,
    pub records: u16,
}

impl Section<'_> {
    /// Version of the part's last record.
    pub fn last_version(&self) -> Version {
        self.first_version.saturating_add(u64::from(self.records)).saturating_sub(1)
    }
}

/// One record of a frame; the payload is a range of the frame's bytes.
#[derive(Clone, Debug)]
pub(super) struct RawRecord<'a> {
    pub id: Uuid,
    pub event_type: &'a str,
    pub schema_version: u16,
    pub causation: Option<Uuid>,
    pub trace: Option<Uuid>,
    pub wake_at: Option<i64>,
    pub definitions: Position,
    pub sealed_with: Option<Uuid>,
    pub payload: Range<usize>,
}

/// Walks through a checked frame: a section, its records, the next section, ...
pub(super) struct FrameReader<'a> {
    frame: &'a [u8],
    at: usize,
}

impl<'a> FrameReader<'a> {
    /// Starts at the first section of a frame that [`check`] accepted.
    pub fn new(frame: &'a [u8]) -> Self {
        Self { frame, at: FRAME_HEADER_BYTES }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Damage> {
        let bytes = self.frame.get(self.at..).and_then(|rest| rest.get(..count)).ok_or(STRUCTURE)?;
        self.at += count;
        Ok(bytes)
    }

    fn take_16(&mut self) -> Result<u16, Damage> {
        Ok(le16(self.take(2)?, 0))
    }

    fn take_64(&mut self) -> Result<u64, Damage> {
        Ok(le64(self.take(8)?, 0))
    }

    fn take_uuid(&mut self) -> Result<Uuid, Damage> {
        Ok(Uuid::from_bytes(fixed(self.take(16)?, 0)))
    }

    fn take_text(&mut self, length: usize) -> Result<&'a str, Damage> {
        std::str::from_utf8(self.take(length)?).map_err(|_| "a name is not UTF-8")
    }

    pub fn section(&mut self) -> Result<Section<'a>, Damage> {
        let length = usize::from(self.take_16()?);
        Ok(Section {
            name: self.take_text(length)?,
            first_version: self.take_64()?,
            previous: Address(self.take_64()?),
            records: self.take_16()?,
        })
    }

    pub fn record(&mut self) -> Result<RawRecord<'a>, Damage> {
        let id = self.take_uuid()?;
        let type_length = usize::from(self.take(1)?[0]);
        let event_type = self.take_text(type_length)?;
        let schema_version = self.take_16()?;
        let flags = self.take_16()?;
        if flags & !flag::KNOWN != 0 {
            return Err("a later version of the program wrote this record");
        }
        let has = |bit| flags & bit != 0;
        let causation = if has(flag::CAUSATION) { Some(self.take_uuid()?) } else { None };
        let trace = if has(flag::TRACE) { Some(self.take_uuid()?) } else { None };
        let wake_at = if has(flag::WAKE_AT) { Some(self.take_64()?.cast_signed()) } else { None };
        let definitions = if has(flag::DEFINITIONS) { self.take_64()? } else { 0 };
        let sealed_with = if has(flag::SEALED_WITH) { Some(self.take_uuid()?) } else { None };
        let payload_length = le32(self.take(4)?, 0) as usize;
        let payload = self.at..self.at.saturating_add(payload_length);
        self.take(payload_length)?;
        Ok(RawRecord {
            id,
            event_type,
            schema_version,
            causation,
            trace,
            wake_at,
            definitions,
            sealed_with,
            payload,
        })
    }

    /// Passes over the records of a section.
    pub fn skip_records(&mut self, section: &Section<'_>) -> Result<(), Damage> {
        for _ in 0..section.records {
            self.record()?;
        }
        Ok(())
    }

    /// Where the next part begins.
    pub fn offset(&self) -> usize {
        self.at
    }
}

/// Calls `visit` for every section of a checked frame, and checks that the parts add up to the whole.
pub(super) fn for_each_section<'a>(
    frame: &'a [u8],
    header: &FrameHeader,
    mut visit: impl FnMut(&Section<'a>) -> Result<(), Damage>,
) -> Result<(), Damage> {
    let mut reader = FrameReader::new(frame);
    let mut records = 0;
    for _ in 0..header.streams {
        let section = reader.section()?;
        records += u32::from(section.records);
        if section.records == 0 {
            return Err(STRUCTURE);
        }
        visit(&section)?;
        reader.skip_records(&section)?;
    }
    if records != header.records || reader.offset() != header.length {
        return Err(STRUCTURE);
    }
    Ok(())
}

/// The part of a checked frame that belongs to a stream, if any.
pub(super) fn find_section<'a>(
    frame: &'a [u8],
    header: &FrameHeader,
    name: &str,
) -> Result<Option<Section<'a>>, Damage> {
    let mut reader = FrameReader::new(frame);
    for _ in 0..header.streams {
        let section = reader.section()?;
        if section.name == name {
            return Ok(Some(section));
        }
        reader.skip_records(&section)?;
    }
    Ok(None)
}

/// Adds the records of a checked frame that `wanted` picks by stream, position and version. Payloads share
/// `window`, in which the frame begins at byte `begin`.
pub(super) fn records(
    window: &Bytes,
    begin: usize,
    header: &FrameHeader,
    mut wanted: impl FnMut(&str, Position, Version) -> bool,
    into: &mut Vec<Recorded>,
) -> Result<(), Damage> {
    let frame = window.get(begin..begin + header.length).ok_or(STRUCTURE)?;
    let mut reader = FrameReader::new(frame);
    let mut position = header.first_position;
    for _ in 0..header.streams {
        let section = reader.section()?;
        let name = StreamName::new(section.name);
        for index in 0..section.records {
            let raw = reader.record()?;
            let version = section.first_version + u64::from(index);
            if wanted(section.name, position, version) {
                into.push(Recorded {
                    position,
                    stream: name.clone(),
                    version,
                    recorded_at: header.recorded_at,
                    id: RecordId(raw.id),
                    event_type: CompactString::from(raw.event_type),
                    schema_version: raw.schema_version,
                    causation: raw.causation.map(RecordId),
                    trace: raw.trace,
                    wake_at: raw.wake_at.map(Timestamp),
                    definitions: raw.definitions,
                    sealed_with: raw.sealed_with,
                    payload: window.slice(begin + raw.payload.start..begin + raw.payload.end),
                });
            }
            position += 1;
        }
    }
    if position != header.end() || reader.offset() != header.length {
        return Err(STRUCTURE);
    }
    Ok(())
}
