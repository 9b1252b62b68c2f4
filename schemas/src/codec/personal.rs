//! Which fields of an event are personal, and how an encoded event is taken apart along that line.
//!
//! The personal fields are sealed with the contact's own key. Once that key is destroyed only the rest can be read: what
//! kind of thing happened, when, and to which bucket, stay or delivery. So every personal field has a serde default, and
//! an erased event decodes like any other, with nothing in it that tells who it was.
//!
//! Credentials of endpoints and of webhook sources are treated alike, with a key of the endpoint's or the source's own
//! (OB-86, WS-92).

mod nested;

use std::ops::Range;

pub use nested::{lift, lower};

/// The personal fields of an event type; `None` if the type is not known here. `a.b` is field `b` of the map in field `a`.
pub fn personal_fields(event_type: &str) -> Option<&'static [&'static str]> {
    Some(match event_type {
        "contact.created" | "contact.restored" => &["keys", "properties"],
        "contact.keys-attached" => &["keys"],
        "contact.properties" => &["set", "removed"],
        "contact.event" => &["name", "properties", "idempotency"],
        "contact.bucket-entered" | "contact.bucket-left" | "contact.bucket-dwelled" => &["user_key", "email"],
        "contact.announced" => &["data"],
        "contact.absorbed" => &["keys", "properties", "occurrences", "idempotency"],
        "contact.seen"
        | "contact.bucket-deadline"
        | "contact.dwell-planned"
        | "contact.reacted"
        | "contact.merged-into"
        | "contact.conflict"
        | "contact.deleted"
        | "contact.erased"
        | "contact.looked"
        | "delivery.requeued"
        | "delivery.discarded"
        | "delivery.recovery-started"
        | "delivery.recovery-advanced"
        | "delivery.recovery-ended"
        | "delivery.letter-discarded"
        | "delivery.expired" => &[],
        "delivery.attempted" => &["response_snippet"],
        "delivery.recovered" => &["body"],
        "endpoint.created" => &["secret", "settings.config", "settings.headers", "settings.secret_url"],
        "endpoint.updated" => &["settings.config", "settings.headers", "settings.secret_url"],
        "endpoint.rotated" => &["secrets"],
        "source.secret-stored" => &["secret"],
        "endpoint.disabled" | "endpoint.enabled" | "endpoint.deleted" | "endpoint.tested" => &[],
        _ => return None,
    })
}

/// Most personal fields of one event.
const MOST: usize = 8;

/// Bytes that are no map with text keys, which this program never writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payload is no MessagePack map with named fields")]
pub struct Malformed;

/// An encoded event seen as two parts, each of which can be written as a map of its own; nothing is copied before that.
#[derive(Debug)]
pub struct Parts<'a> {
    /// All fields, without the map's header.
    entries: &'a [u8],
    /// Where the personal ones are in `entries`, in ascending order.
    personal: [Range<usize>; MOST],
    /// How many there are of each part.
    open_fields: usize,
    personal_fields: usize,
}

/// Takes an encoded event apart.
///
/// # Errors
/// [`Malformed`] if `payload` is not what [`super::Encoded`] holds.
pub fn split<'a>(payload: &'a [u8], personal: &[&str]) -> Result<Parts<'a>, Malformed> {
    let mut reader = Reader { rest: payload };
    let fields = reader.map_header()?;
    let entries = reader.rest;
    let mut places = [const { 0..0 }; MOST];
    let mut found = 0;
    for _ in 0..fields {
        let start = entries.len() - reader.rest.len();
        let name = reader.text()?;
        reader.skip()?;
        if personal.iter().any(|field| field.as_bytes() == name) {
            *places.get_mut(found).ok_or(Malformed)? = start..entries.len() - reader.rest.len();
            found += 1;
        }
    }
    if !reader.rest.is_empty() {
        return Err(Malformed);
    }
    Ok(Parts { entries, personal: places, open_fields: fields - found, personal_fields: found })
}

impl Parts<'_> {
    /// Whether anything of the event is personal.
    pub fn has_personal(&self) -> bool {
        self.personal_fields > 0
    }

    /// Bytes that both parts need together.
    pub fn length(&self) -> usize {
        Header::of(self.open_fields).length + Header::of(self.personal_fields).length + self.entries.len()
    }

    /// Appends the part that anybody who holds the log may read.
    pub fn write_open(&self, target: &mut Vec<u8>) {
        target.extend_from_slice(Header::of(self.open_fields).bytes());
        let mut from = 0;
        for place in self.places() {
            target.extend_from_slice(&self.entries[from..place.start]);
            from = place.end;
        }
        target.extend_from_slice(&self.entries[from..]);
    }

    /// The part that anybody who holds the log may read.
    pub fn open(&self) -> Vec<u8> {
        let mut open = Vec::with_capacity(self.length());
        self.write_open(&mut open);
        open
    }

    /// Appends the part that only the contact's key may open.
    pub fn write_personal(&self, target: &mut Vec<u8>) {
        target.extend_from_slice(Header::of(self.personal_fields).bytes());
        for place in self.places() {
            target.extend_from_slice(&self.entries[place.clone()]);
        }
    }

    fn places(&self) -> &[Range<usize>] {
        &self.personal[..self.personal_fields]
    }
}

/// Puts an event together again, in place: `bytes[from..middle]` holds its open part, all from `middle` on the personal
/// one. Returns where the whole event begins; it ends with `bytes`. The order of its fields may be another one than
/// before it was taken apart, which decoding does not mind. One byte before `from` may be needed and overwritten.
///
/// # Errors
/// [`Malformed`] if a part is not what [`split`] made.
pub fn join(bytes: &mut [u8], from: usize, middle: usize) -> Result<usize, Malformed> {
    let (left, right) = bytes.split_at_checked(middle).ok_or(Malformed)?;
    let (mut left, mut right) = (Reader { rest: left.get(from..).ok_or(Malformed)? }, Reader { rest: right });
    let fields = left.map_header()? + right.map_header()?;
    let (open, personal) = (middle - left.rest.len(), bytes.len() - right.rest.len());
    // The open entries move up to the personal ones, and the common header goes right before them.
    let entries = personal - (middle - open);
    bytes.copy_within(open..middle, entries);
    let header = Header::of(fields);
    let start = entries.checked_sub(header.length).ok_or(Malformed)?;
    bytes[start..entries].copy_from_slice(header.bytes());
    Ok(start)
}

/// The header of a map.
struct Header {
    bytes: [u8; 3],
    length: usize,
}

impl Header {
    fn of(fields: usize) -> Self {
        match u8::try_from(fields) {
            Ok(few) if few < 16 => Self { bytes: [0x80 | few, 0, 0], length: 1 },
            _ => {
                // No event has more fields than fit into sixteen bits.
                let [high, low] = u16::try_from(fields).unwrap_or(u16::MAX).to_be_bytes();
                Self { bytes: [0xde, high, low], length: 3 }
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Walks over MessagePack without building anything.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn marker(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    /// A length of `width` bytes, big end first.
    fn length(&mut self, width: usize) -> Result<usize, Malformed> {
        Ok(self.take(width)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    }

    fn map_header(&mut self) -> Result<usize, Malformed> {
        match self.marker()? {
            few @ 0x80..=0x8f => Ok(usize::from(few & 0x0f)),
            0xde => self.length(2),
            0xdf => self.length(4),
            _ => Err(Malformed),
        }
    }

    fn text(&mut self) -> Result<&'a [u8], Malformed> {
        let length = match self.marker()? {
            short @ 0xa0..=0xbf => usize::from(short & 0x1f),
            0xd9 => self.length(1)?,
            0xda => self.length(2)?,
            0xdb => self.length(4)?,
            _ => return Err(Malformed),
        };
        self.take(length)
    }

    /// Passes one value, however deep it is, without recursion.
    fn skip(&mut self) -> Result<(), Malformed> {
        let mut values = 1_usize;
        while values > 0 {
            values -= 1;
            let marker = self.marker()?;
            let (bytes, within) = match marker {
                0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => (0, 0),
                0x80..=0x8f => (0, 2 * usize::from(marker & 0x0f)),
                0x90..=0x9f => (0, usize::from(marker & 0x0f)),
                0xa0..=0xbf => (usize::from(marker & 0x1f), 0),
                0xc4 | 0xd9 => (self.length(1)?, 0),
                0xc5 | 0xda => (self.length(2)?, 0),
                0xc6 | 0xdb => (self.length(4)?, 0),
                0xc7 => (self.length(1)? + 1, 0),
                0xc8 => (self.length(2)? + 1, 0),
                0xc9 => (self.length(4)? + 1, 0),
                0xcc | 0xd0 => (1, 0),
                0xcd | 0xd1 => (2, 0),
                0xca | 0xce | 0xd2 => (4, 0),
                0xcb | 0xcf | 0xd3 => (8, 0),
                0xd4..=0xd8 => (1 + (1 << (marker - 0xd4)), 0),
                0xdc => (0, self.length(2)?),
                0xdd => (0, self.length(4)?),
                0xde => (0, 2 * self.length(2)?),
                0xdf => (0, 2 * self.length(4)?),
                0xc1 => return Err(Malformed),
            };
            self.take(bytes)?;
            values = values.checked_add(within).ok_or(Malformed)?;
        }
        Ok(())
    }
}
