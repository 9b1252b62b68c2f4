//! Telling a write that a crash tore from damage to what was acknowledged.

use std::{io, sync::Arc};

use super::{
    decode::{self, FrameHeader, is_frame_length},
    file_system::StorageFile,
    layout::{FRAME_HEADER_BYTES, MIN_FRAME_BYTES},
    segment::Mark,
};

/// Disks write sectors of this size whole or not at all.
const SECTOR: u64 = 512;
const CHUNK: usize = 1 << 20;

/// What to think of an invalid frame in the newest segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was being written when the crash came; nothing behind it was acknowledged.
    Torn,
    /// Something behind it proves that it was whole once.
    Damaged(&'static str),
}

/// Judges the frame at `mark`, which is invalid, by what stands behind it.
///
/// * A valid frame behind it that was written after the invalid one had been synced: damage.
/// * A valid frame of the same write behind it: torn if a whole sector of what is missing reads as zeros, because
///   that is how bytes look that never reached the disk; otherwise damage.
/// * No valid frame behind it: torn.
pub(super) fn judge(file: &Arc<dyn StorageFile>, mark: Mark, end: u64) -> io::Result<Verdict> {
    let mut search = mark.offset + 1;
    let mut neighbour_seen = false;
    while let Some((offset, header)) = next_valid_frame(file, search, mark, end)? {
        if header.synced_below() > mark.position {
            return Ok(Verdict::Damaged(
                "frames behind it are whole and were written after it had been synced",
            ));
        }
        if !neighbour_seen && !has_lost_sector(file, mark.offset, offset)? {
            return Ok(Verdict::Damaged(
                "a frame behind it is whole, and nothing in between looks unwritten",
            ));
        }
        neighbour_seen = true;
        search = offset + header.length as u64;
    }
    Ok(Verdict::Torn)
}

/// The first byte that is not zero, if any.
pub(super) fn first_written_byte(
    file: &Arc<dyn StorageFile>,
    from: u64,
    end: u64,
) -> io::Result<Option<u64>> {
    let mut buffer = vec![0; CHUNK];
    let mut offset = from;
    while offset < end {
        let count = ((end - offset) as usize).min(CHUNK);
        let read = file.read_at(&mut buffer[..count], offset)?;
        if let Some(at) = buffer[..read].iter().position(|byte| *byte != 0) {
            return Ok(Some(offset + at as u64));
        }
        if read < count {
            break;
        }
        offset += read as u64;
    }
    Ok(None)
}

/// The first valid frame at or behind `from` whose position can follow the mark's.
fn next_valid_frame(
    file: &Arc<dyn StorageFile>,
    from: u64,
    mark: Mark,
    end: u64,
) -> io::Result<Option<(u64, FrameHeader)>> {
    let mut buffer = vec![0; CHUNK];
    let mut offset = from;
    while offset + MIN_FRAME_BYTES as u64 <= end {
        let count = ((end - offset) as usize).min(CHUNK);
        let read = file.read_at(&mut buffer[..count], offset)?;
        if read < FRAME_HEADER_BYTES {
            break;
        }
        for at in 0..=read - FRAME_HEADER_BYTES {
            let place = offset + at as u64;
            let Some(candidate) = FrameHeader::peek(&buffer[at..read]) else { break };
            if !is_plausible(&candidate, place, mark, end) {
                continue;
            }
            let mut frame = vec![0; candidate.length];
            if file.read_at(&mut frame, place)? == frame.len()
                && let Ok(header) = decode::check(&frame)
            {
                return Ok(Some((place, header)));
            }
        }
        // The next piece repeats what a header that begins at the end of this one needs.
        offset += (read - FRAME_HEADER_BYTES + 1) as u64;
    }
    Ok(None)
}

fn is_plausible(candidate: &FrameHeader, place: u64, mark: Mark, end: u64) -> bool {
    // Every record takes more than one byte, so positions cannot run ahead of bytes.
    let highest = mark.position.saturating_add(place - mark.offset);
    is_frame_length(candidate.length)
        && place + candidate.length as u64 <= end
        && (mark.position..=highest).contains(&candidate.first_position)
        && candidate.records > 0
        && candidate.streams > 0
}

/// Whether some sector's whole share of `from..to` reads as zeros.
fn has_lost_sector(file: &Arc<dyn StorageFile>, from: u64, to: u64) -> io::Result<bool> {
    let mut buffer = [0; SECTOR as usize];
    let mut offset = from;
    while offset < to {
        let next = (offset / SECTOR + 1) * SECTOR;
        let count = (next.min(to) - offset) as usize;
        let read = file.read_at(&mut buffer[..count], offset)?;
        if buffer[..read].iter().all(|byte| *byte == 0) {
            return Ok(true);
        }
        offset = next;
    }
    Ok(false)
}
