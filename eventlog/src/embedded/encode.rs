//! From an append to the bytes of its frame.

use sha2::{Digest, Sha256};

use super::layout::{
    Address, CHAINED_FROM, Chain, FRAME_HEADER_BYTES, MAX_EVENT_TYPE_BYTES, MAX_FRAME_BYTES, MAX_ITEMS,
    MAX_PAYLOAD_BYTES, RECORD_FIXED_BYTES, STREAM_FIXED_BYTES,
};
use crate::{Append, NewRecord, Position, Version};

/// Flag bits of a record.
pub(super) mod flag {
    pub const CAUSATION: u16 = 1;
    pub const TRACE: u16 = 2;
    pub const WAKE_AT: u16 = 4;
    pub const DEFINITIONS: u16 = 8;
    pub const SEALED_WITH: u16 = 16;
    pub const KNOWN: u16 = 31;
}

/// Where one stream of an append continues.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement {
    /// Version of the first new record.
    pub first_version: Version,
    /// The frame with the record before it.
    pub previous: Address,
}

/// What a frame says about itself besides its streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameStart {
    pub first_position: Position,
    pub records_since_sync: u32,
}

/// Checks the limits of the format.
///
/// # Errors
/// The limit that the append is over.
pub(super) fn measure(append: &Append) -> Result<usize, &'static str> {
    if append.streams.is_empty() {
        return Err("an append must write at least one stream");
    }
    if append.streams.len() > MAX_ITEMS {
        return Err("an append may write at most 65535 streams");
    }
    let mut length = FRAME_HEADER_BYTES;
    let mut records = 0;
    for stream in &append.streams {
        let name = stream.stream.as_str();
        if name.is_empty() || name.len() > mainspring_schemas::StreamName::MAX_BYTES {
            return Err("a stream name must have 1 to 512 bytes");
        }
        if stream.records.is_empty() {
            return Err("a stream of an append must have at least one record");
        }
        length += STREAM_FIXED_BYTES + name.len();
        records += stream.records.len();
        for record in &stream.records {
            length += record_length(record)?;
        }
    }
    if records > MAX_ITEMS {
        return Err("an append may hold at most 65535 records");
    }
    if length > MAX_FRAME_BYTES {
        return Err("an append may take at most 32 MiB");
    }
    Ok(length)
}

fn record_length(record: &NewRecord) -> Result<usize, &'static str> {
    if record.event_type.len() > MAX_EVENT_TYPE_BYTES {
        return Err("an event type may have at most 64 bytes");
    }
    if record.payload.len() > MAX_PAYLOAD_BYTES {
        return Err("a payload may have at most 16 MiB");
    }
    let optional = 16 * usize::from(record.causation.is_some())
        + 16 * usize::from(record.trace.is_some())
        + 8 * usize::from(record.wake_at.is_some())
        + 8 * usize::from(record.definitions != 0)
        + 16 * usize::from(record.sealed_with.is_some());
    Ok(RECORD_FIXED_BYTES + record.event_type.len() + optional + record.payload.len())
}

/// Adds the frame of a measured append to `buffer` and returns the new value of the chain.
pub(super) fn encode(
    append: &Append,
    placements: impl Iterator<Item = Placement>,
    start: FrameStart,
    chain: &Chain,
    buffer: &mut Vec<u8>,
) -> Chain {
    let begin = buffer.len();
    let records: usize = append.streams.iter().map(|stream| stream.records.len()).sum();
    buffer.extend_from_slice(&[0; CHAINED_FROM]);
    buffer.extend_from_slice(&start.first_position.to_le_bytes());
    buffer.extend_from_slice(&append.recorded_at.0.to_le_bytes());
    buffer.extend_from_slice(&(records as u32).to_le_bytes());
    buffer.extend_from_slice(&start.records_since_sync.to_le_bytes());
    buffer.extend_from_slice(&(append.streams.len() as u16).to_le_bytes());
    buffer.extend_from_slice(&[0; 2]);
    for (stream, placement) in append.streams.iter().zip(placements) {
        let name = stream.stream.as_str().as_bytes();
        buffer.extend_from_slice(&(name.len() as u16).to_le_bytes());
        buffer.extend_from_slice(name);
        buffer.extend_from_slice(&placement.first_version.to_le_bytes());
        buffer.extend_from_slice(&placement.previous.0.to_le_bytes());
        buffer.extend_from_slice(&(stream.records.len() as u16).to_le_bytes());
        for record in &stream.records {
            encode_record(record, buffer);
        }
    }
    let frame = &mut buffer[begin..];
    let length = frame.len() as u32;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    let value: Chain = next_chain(chain, &frame[CHAINED_FROM..]);
    frame[8..CHAINED_FROM].copy_from_slice(&value);
    let checksum = checksum(frame);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
    value
}

fn encode_record(record: &NewRecord, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(record.id.0.as_bytes());
    buffer.push(record.event_type.len() as u8);
    buffer.extend_from_slice(record.event_type.as_bytes());
    buffer.extend_from_slice(&record.schema_version.to_le_bytes());
    let flags_at = buffer.len();
    buffer.extend_from_slice(&[0; 2]);
    let mut flags = 0;
    if let Some(causation) = record.causation {
        flags |= flag::CAUSATION;
        buffer.extend_from_slice(causation.0.as_bytes());
    }
    if let Some(trace) = record.trace {
        flags |= flag::TRACE;
        buffer.extend_from_slice(trace.as_bytes());
    }
    if let Some(wake_at) = record.wake_at {
        flags |= flag::WAKE_AT;
        buffer.extend_from_slice(&wake_at.0.to_le_bytes());
    }
    if record.definitions != 0 {
        flags |= flag::DEFINITIONS;
        buffer.extend_from_slice(&record.definitions.to_le_bytes());
    }
    if let Some(key) = record.sealed_with {
        flags |= flag::SEALED_WITH;
        buffer.extend_from_slice(key.as_bytes());
    }
    buffer[flags_at..flags_at + 2].copy_from_slice(&flags.to_le_bytes());
    buffer.extend_from_slice(&(record.payload.len() as u32).to_le_bytes());
    buffer.extend_from_slice(&record.payload);
}

/// CRC32C of a frame: everything but the checksum itself.
pub(super) fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[8..])
}

/// The chain value after a frame, of which `content` is everything behind the chain value.
pub(super) fn next_chain(chain: &Chain, content: &[u8]) -> Chain {
    Sha256::new().chain_update(chain).chain_update(content).finalize().into()
}
