//! Which fields of an event are personal, and how an encoded event is taken apart along that line.
//!
//! The personal fields are sealed with the contact's own key. Once that key is destroyed only the rest can be read: what
//! kind of thing happened, when, and to which bucket, stay or delivery. So every personal field has a serde default, and
//! an erased event decodes like any other, with nothing in it that tells who it was.
//!
//! Credentials of endpoints are treated alike, with a key of the endpoint's own (OB-86).

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
        "endpoint.created" => &["secret", "settings.config", "settings.headers"],
        "endpoint.updated" => &["settings.config", "settings.headers"],
        "endpoint.rotated" => &["secrets"],
        "endpoint.disabled" | "endpoint.enabled" | "endpoint.deleted" | "endpoint.tested" => &[],
        _ => return None,
    })
}

/// An encoded event in two parts, each a map of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// What anybody who holds the log may read.
    pub open: Vec<u8>,
    /// What only the contact's key opens; `None` if nothing of the event is personal.
    pub personal: Option<Vec<u8>>,
}

/// Bytes that are no map with text keys, which this program never writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payload is no MessagePack map with named fields")]
pub struct Malformed;

/// Takes an encoded event apart.
///
/// # Errors
/// [`Malformed`] if `payload` is not what [`super::Encoded`] holds.
pub fn split(payload: &[u8], personal: &[&str]) -> Result<Parts, Malformed> {
    let mut reader = Reader { rest: payload };
    let fields = reader.map_header()?;
    let (mut open, mut sealed) = (Map::with_capacity(payload.len()), Map::with_capacity(payload.len()));
    for _ in 0..fields {
        let entry = reader.entry()?;
        let within: Vec<&str> = personal.iter().filter_map(|field| below(field, entry.name)).collect();
        if personal.iter().any(|field| field.as_bytes() == entry.name) {
            sealed.push(entry.bytes);
        } else if within.is_empty() || !entry.holds_map() {
            open.push(entry.bytes);
        } else {
            let parts = split(entry.value, &within)?;
            open.push(&[entry.name_bytes(), &parts.open].concat());
            if let Some(personal) = parts.personal {
                sealed.push(&[entry.name_bytes(), &personal].concat());
            }
        }
    }
    if !reader.rest.is_empty() {
        return Err(Malformed);
    }
    Ok(Parts { personal: (sealed.fields > 0).then(|| sealed.finish()), open: open.finish() })
}

/// The rest of a path that leads into a field.
fn below<'p>(path: &'p str, field: &[u8]) -> Option<&'p str> {
    path.split_once('.').filter(|(first, _)| first.as_bytes() == field).map(|(_, rest)| rest)
}

/// Puts an encoded event together again; `fields` are those it was [`split`] along. The order of its fields may be
/// another one, which decoding does not mind.
///
/// # Errors
/// [`Malformed`] if a part is not what [`split`] made.
pub fn join(open: &[u8], personal: &[u8], fields: &[&str]) -> Result<Vec<u8>, Malformed> {
    let (mut left, mut right) = (Reader { rest: open }, Reader { rest: personal });
    let (of_open, of_personal) = (left.map_header()?, right.map_header()?);
    let mut whole = Map::with_capacity(open.len() + personal.len());
    if !fields.iter().any(|field| field.contains('.')) {
        whole.bytes.extend_from_slice(left.rest);
        whole.bytes.extend_from_slice(right.rest);
        whole.fields = of_open + of_personal;
        return Ok(whole.finish());
    }
    let mut sealed = (0..of_personal).map(|_| right.entry()).collect::<Result<Vec<_>, _>>()?;
    for _ in 0..of_open {
        let entry = left.entry()?;
        match sealed.iter().position(|other| other.name == entry.name) {
            None => whole.push(entry.bytes),
            Some(place) => {
                let within: Vec<&str> = fields.iter().filter_map(|field| below(field, entry.name)).collect();
                let value = join(entry.value, sealed.swap_remove(place).value, &within)?;
                whole.push(&[entry.name_bytes(), &value].concat());
            }
        }
    }
    sealed.iter().for_each(|entry| whole.push(entry.bytes));
    Ok(whole.finish())
}

/// Room in front of a map's entries for the longest header that its number of fields may need.
const HEADER: usize = 3;

/// A map that grows entry by entry and gets its header last.
struct Map {
    fields: usize,
    bytes: Vec<u8>,
}

impl Map {
    fn with_capacity(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADER + capacity);
        bytes.extend_from_slice(&[0; HEADER]);
        Self { fields: 0, bytes }
    }

    fn push(&mut self, entry: &[u8]) {
        self.fields += 1;
        self.bytes.extend_from_slice(entry);
    }

    fn finish(mut self) -> Vec<u8> {
        match u8::try_from(self.fields) {
            Ok(few) if few < 16 => {
                self.bytes[HEADER - 1] = 0x80 | few;
                self.bytes.drain(..HEADER - 1);
            }
            _ => {
                // No event has more fields than fit into sixteen bits.
                let [high, low] = u16::try_from(self.fields).unwrap_or(u16::MAX).to_be_bytes();
                self.bytes[..HEADER].copy_from_slice(&[0xde, high, low]);
            }
        }
        self.bytes
    }
}

/// One field of a map.
struct Entry<'a> {
    name: &'a [u8],
    value: &'a [u8],
    /// Name and value as they are encoded.
    bytes: &'a [u8],
}

impl<'a> Entry<'a> {
    fn name_bytes(&self) -> &'a [u8] {
        &self.bytes[..self.bytes.len() - self.value.len()]
    }

    fn holds_map(&self) -> bool {
        matches!(self.value.first(), Some(0x80..=0x8f | 0xde | 0xdf))
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

    fn entry(&mut self) -> Result<Entry<'a>, Malformed> {
        let start = self.rest;
        let name = self.text()?;
        let before = self.rest;
        self.skip()?;
        let left = self.rest.len();
        Ok(Entry { name, value: &before[..before.len() - left], bytes: &start[..start.len() - left] })
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
