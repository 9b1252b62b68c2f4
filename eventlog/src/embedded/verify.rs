//! Checking the whole log: every byte, the hash chain, and that no version of any stream is missing.

use std::{collections::HashMap, sync::Arc};

use super::{
    decode::{self, Damage},
    encode::next_chain,
    layout::{Address, CHAINED_FROM, Chain, SEGMENT_HEADER_BYTES, SegmentHeader},
    name_hash::sip_hash_1_3,
    scan::{Scanner, Step},
    segment::{Mark, Segment},
    shared::Shared,
};
use crate::{LogError, Position, Version};

const CHUNK: usize = 1 << 20;

/// How far a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Records checked so far.
    pub records: u64,
    /// Records there are.
    pub total_records: u64,
}

/// What a verification that found nothing wrong has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Records, all of which were read.
    pub records: u64,
    /// Appends that wrote them.
    pub frames: u64,
    /// Streams, each with every version from 0.
    pub streams: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes read.
    pub bytes: u64,
    /// The chain value after the last frame. It commits to every byte of every record before: whoever kept one from
    /// an earlier day can prove that nothing older was changed.
    pub head: [u8; 32],
}

/// Streams seen so far, under 128 bits of their names' hash: next version and newest frame.
type Streams = HashMap<[u64; 2], (Version, Address)>;

impl Shared {
    pub(super) fn verify(&self, mut progress: impl FnMut(Progress)) -> Result<Verification, LogError> {
        let end = *self.end.lock();
        let mut seen =
            Verification { records: 0, frames: 0, streams: 0, segments: 0, bytes: 0, head: [0; 32] };
        let mut streams = Streams::new();
        for segment in self.segments.all() {
            if segment.number > end.segment {
                break;
            }
            let file = self.segments.file(&segment)?;
            let io = |error| self.segments.io(&segment, "reading", error);
            let limit = if segment.number == end.segment { end.offset } else { file.length().map_err(io)? };
            self.verify_header(&segment, &seen)?;
            let mut scanner = Scanner::new(Arc::clone(&file), SEGMENT_HEADER_BYTES as u64, limit, CHUNK);
            while scanner.offset() < limit {
                let mark = Mark { position: seen.records, offset: scanner.offset() };
                let corrupt = |damage: Damage| self.segments.corrupt(&segment, mark, damage);
                let step = scanner.step().map_err(io)?;
                let (header, begin) = match step {
                    Step::Frame { header, begin } => (header, begin),
                    Step::End => return Err(corrupt("the segment ends before its end")),
                    Step::Invalid(damage) => return Err(corrupt(damage)),
                };
                let frame = &scanner.window()[begin..begin + header.length];
                let address = Address::new(segment.number, mark.offset);
                if header.first_position != seen.records {
                    return Err(corrupt("the frame states another position"));
                }
                seen.head = verify_chain(&seen.head, frame, &header.chain).map_err(corrupt)?;
                decode::for_each_section(frame, &header, |section| {
                    let key = [1, 2].map(|key| sip_hash_1_3(&[key; 16], section.name.as_bytes()));
                    let known = streams.entry(key).or_insert((0, Address::NONE));
                    if *known != (section.first_version, section.previous) {
                        return Err("a version of a stream is missing, or its frames are not linked");
                    }
                    *known = (section.last_version() + 1, address);
                    Ok(())
                })
                .map_err(corrupt)?;
                seen.records = header.end();
                seen.frames += 1;
                scanner.advance(header.length);
                if seen.frames.is_multiple_of(4096) {
                    progress(Progress { records: seen.records, total_records: end.position });
                }
            }
            seen.segments += 1;
            seen.bytes += limit;
        }
        seen.streams = streams.len() as u64;
        progress(Progress { records: seen.records, total_records: end.position });
        self.verify_end(&seen, end.position)?;
        Ok(seen)
    }

    fn verify_header(&self, segment: &Segment, seen: &Verification) -> Result<(), LogError> {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let file = self.segments.file(segment)?;
        file.read_at(&mut bytes, 0).map_err(|error| self.segments.io(segment, "reading", error))?;
        let expected = SegmentHeader {
            number: segment.number,
            log_id: self.log_id,
            first_position: seen.records,
            chain: seen.head,
        };
        if SegmentHeader::decode(&bytes) == Ok(expected) {
            return Ok(());
        }
        let mark = Mark { position: seen.records, offset: 0 };
        Err(self.segments.corrupt(segment, mark, "the header does not continue the segment before"))
    }

    fn verify_end(&self, seen: &Verification, end: Position) -> Result<(), LogError> {
        if seen.records == end {
            return Ok(());
        }
        Err(LogError::Unusable(format!(
            "the log holds {} records, but {end} were acknowledged",
            seen.records
        )))
    }
}

fn verify_chain(before: &Chain, frame: &[u8], stated: &Chain) -> Result<Chain, Damage> {
    let value = next_chain(before, &frame[CHAINED_FROM..]);
    if value == *stated { Ok(value) } else { Err("the hash chain is broken: an earlier record was changed") }
}
