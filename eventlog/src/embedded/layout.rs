//! The bytes on disk.
//!
//! # Constraints
//!
//! * Little-endian everywhere. CRC32C (Castagnoli) guards every byte; SHA-256 chains every frame to all before it.
//! * A frame is one append: it is whole or it is absent. No frame spans two segments.
//! * Frame <= 32 MiB, payload of a record <= 16 MiB, stream name 1 to 512 bytes, event type <= 64 bytes, 65,535
//!   streams and 65,535 records per append, segment <= 2 GiB unless a single frame needs more.
//! * Positions and versions have no holes; segments are numbered 0, 1, 2, ... and named after their first position.
//! * A length of zero where a frame should begin is the end of a segment. Only the newest segment may have zeros after
//!   its last frame (prepared space); a sealed one ends with its last frame.
//! * Bytes are never overwritten once they were acknowledged, so a write torn by a crash leaves zeros or the end of
//!   the file where something is missing, never older frames.
//!
//! # Segment: `<first position, 20 digits>.log`
//!
//! ```text
//!   0   8  magic "MSPRLOG\0"
//!   8   4  format version, 1
//!  12   4  number of the segment
//!  16  16  id of the log, the same in all its files
//!  32   8  first position
//!  40  32  chain value before the first frame; zeros in segment 0
//!  72  20  zeros
//!  92   4  CRC32C of bytes 0..92
//!  96  ..  frames, one after the other
//! ```
//!
//! # Frame
//!
//! ```text
//!   0   4  length of the frame, these four bytes included
//!   4   4  CRC32C of bytes 0..4 and 8..length
//!   8  32  chain value: SHA-256(chain value of the frame before || bytes 40..length)
//!  40   8  first position
//!  48   8  recorded at, milliseconds since 1970
//!  56   4  number of records
//!  60   4  number of records between the last sync before this frame was written and this frame
//!  64   2  number of streams
//!  66   2  flags, all zero so far; a reader refuses what it does not know
//!  68  ..  streams
//!
//! stream
//!       2  length of the name, then the name
//!       8  version of the first record
//!       8  address of the frame with the stream's record before that; 0 = there is none
//!       2  number of records, then the records
//!
//! record
//!      16  id
//!       1  length of the event type, then the event type
//!       2  schema version
//!       2  flags: 1 causation, 2 trace, 4 wake at, 8 definitions, 16 sealed with; the others are zero
//!   0..64  the fields flagged, in that order: 16, 16, 8, 8, 16 bytes
//!       4  length of the payload, then the payload
//! ```
//!
//! Bytes 60..64 tell a torn write from damage: everything below `first position - that number` had been synced when
//! the frame was written, so if something below it is unreadable, acknowledged records were damaged.
//!
//! # Address
//!
//! Number of the segment in the upper 32 bits, byte offset in the lower. Offset 0 is the header, so 0 is no frame.

use std::fmt;

use crate::Position;

/// First bytes of a segment.
pub(super) const SEGMENT_MAGIC: [u8; 8] = *b"MSPRLOG\0";
/// Version of everything described above.
pub(super) const FORMAT_VERSION: u32 = 1;
/// Bytes of a segment's header.
pub(super) const SEGMENT_HEADER_BYTES: usize = 96;
/// Bytes of a frame before its first stream.
pub(super) const FRAME_HEADER_BYTES: usize = 68;
/// Where the bytes under the chain begin.
pub(super) const CHAINED_FROM: usize = 40;
/// Longest frame.
pub(super) const MAX_FRAME_BYTES: usize = 32 << 20;
/// Longest payload of one record.
pub(super) const MAX_PAYLOAD_BYTES: usize = 16 << 20;
/// Longest name of an event type.
pub(super) const MAX_EVENT_TYPE_BYTES: usize = 64;
/// Most streams, and most records, of one append.
pub(super) const MAX_ITEMS: usize = u16::MAX as usize;
/// Bytes of a stream's part besides name and records.
pub(super) const STREAM_FIXED_BYTES: usize = 20;
/// Bytes of a record besides event type, optional fields and payload.
pub(super) const RECORD_FIXED_BYTES: usize = 25;
/// The shortest frame: one stream with a name of one byte and one record of nothing.
pub(super) const MIN_FRAME_BYTES: usize = FRAME_HEADER_BYTES + STREAM_FIXED_BYTES + 1 + RECORD_FIXED_BYTES;

/// A value of the hash chain.
pub(super) type Chain = [u8; 32];

/// Where a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Address(pub u64);

impl Address {
    /// No frame.
    pub const NONE: Self = Self(0);

    /// A place in a segment.
    pub fn new(segment: u32, offset: u64) -> Self {
        Self(u64::from(segment) << 32 | (offset & 0xffff_ffff))
    }

    /// Number of the segment.
    pub fn segment(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Byte offset in it.
    pub fn offset(self) -> u64 {
        self.0 & 0xffff_ffff
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment(), self.offset())
    }
}

/// What the header of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub number: u32,
    pub log_id: [u8; 16],
    pub first_position: Position,
    pub chain: Chain,
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InvalidHeader {
    /// The bytes are not what was written.
    Damaged,
    /// A later version of the program wrote it.
    OtherVersion(u32),
}

impl SegmentHeader {
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.log_id);
        bytes[32..40].copy_from_slice(&self.first_position.to_le_bytes());
        bytes[40..72].copy_from_slice(&self.chain);
        let checksum = crc32c::crc32c(&bytes[..92]);
        bytes[92..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Self, InvalidHeader> {
        if bytes[..8] != SEGMENT_MAGIC || le32(bytes, 92) != crc32c::crc32c(&bytes[..92]) {
            return Err(InvalidHeader::Damaged);
        }
        let version = le32(bytes, 8);
        if version != FORMAT_VERSION {
            return Err(InvalidHeader::OtherVersion(version));
        }
        Ok(Self {
            number: le32(bytes, 12),
            log_id: fixed(bytes, 16),
            first_position: le64(bytes, 32),
            chain: fixed(bytes, 40),
        })
    }
}

/// The name of the segment that begins with a position.
pub(super) fn segment_name(first_position: Position) -> String {
    format!("{first_position:020}.log")
}

/// The first position a file name states; `None` if the file is no segment.
pub(super) fn segment_position(name: &str) -> Option<Position> {
    let digits = name.strip_suffix(".log")?;
    if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// `N` bytes at an offset that the caller knows to exist.
pub(super) fn fixed<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[at..at + N]);
    value
}

/// Two bytes at an offset that the caller knows to exist.
pub(super) fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(fixed(bytes, at))
}

/// Four bytes at an offset that the caller knows to exist.
pub(super) fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(fixed(bytes, at))
}

/// Eight bytes at an offset that the caller knows to exist.
pub(super) fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(fixed(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d3_every_flipped_bit_of_a_segment_header_is_noticed() {
        let header = SegmentHeader { number: 7, log_id: [3; 16], first_position: 99, chain: [9; 32] };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&flipped), Err(InvalidHeader::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn names_of_segments_round_trip() {
        assert_eq!(segment_name(42), "00000000000000000042.log");
        assert_eq!(segment_position("00000000000000000042.log"), Some(42));
        for other in ["42.log", "lock", "index.checkpoint", "+0000000000000000042.log"] {
            assert_eq!(segment_position(other), None, "{other}");
        }
    }
}
