//! One payload, sealed and opened: AES-256-GCM under the contact's key.
//!
//! A record's nonce is made of the 96 last bits of its id: 16 bits of the clock and 74 random ones, fetched for many ids at
//! a time, so sealing asks the system for nothing. A key seals the records of one contact only, and no two of them share an
//! id, so no nonce comes twice under one key. The type, the id and the open part are authenticated with it: a sealed part
//! cannot be moved to another record.

use std::ops::Range;

use bytes::{Buf as _, Bytes};
use mainspring_schemas::{
    RecordId,
    codec::personal::{self, Parts},
};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, Tag, UnboundKey};

/// Bytes that give the length of the open part.
const LENGTH: usize = 4;

/// Bytes of a record's id.
const ID: usize = 16;

/// Why a sealed payload cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unopened {
    /// The bytes are not what was sealed, or the key is another one.
    #[error("the sealed payload is damaged")]
    Damaged,
    /// What was sealed is no event.
    #[error(transparent)]
    Malformed(#[from] personal::Malformed),
}

/// A data key made ready, which costs more than sealing a record with it.
pub struct Cipher(LessSafeKey);

impl Cipher {
    /// The cipher of a key.
    pub(super) fn new(key: &[u8; 32]) -> Option<Self> {
        UnboundKey::new(&AES_256_GCM, key).ok().map(LessSafeKey::new).map(Self)
    }
}

fn nonce_of(id: RecordId) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce.copy_from_slice(&id.0.as_bytes()[16 - NONCE_LEN..]);
    Nonce::assume_unique_for_key(nonce)
}

/// The beginning of what a sealed part is bound to: the type and the id. The open part follows.
///
/// Sealing and opening lay out type, id, open and sealed part one after the other in one buffer, and work in place.
fn bound_to(event_type: &str, id: RecordId, room: usize) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(event_type.len() + ID + room);
    buffer.extend_from_slice(event_type.as_bytes());
    buffer.extend_from_slice(id.0.as_bytes());
    buffer
}

/// The stored payload of a record: length of the open part, the open part, the sealed part. `None` if it is too long.
pub(super) fn seal(cipher: &Cipher, event_type: &str, id: RecordId, parts: &Parts<'_>) -> Option<Bytes> {
    let mut buffer = bound_to(event_type, id, parts.length() + AES_256_GCM.tag_len());
    let open = buffer.len();
    parts.write_open(&mut buffer);
    let personal = buffer.len();
    parts.write_personal(&mut buffer);
    let (bound, in_place) = buffer.split_at_mut(personal);
    let tag = cipher.0.seal_in_place_separate_tag(nonce_of(id), Aad::from(bound), in_place).ok()?;
    buffer.extend_from_slice(tag.as_ref());
    // The id has done its part: the length takes its place.
    let start = open - LENGTH;
    buffer[start..open].copy_from_slice(&u32::try_from(personal - open).ok()?.to_be_bytes());
    Some(from(buffer, start))
}

/// The end of a buffer that is exactly full, without copying it.
fn from(buffer: Vec<u8>, start: usize) -> Bytes {
    let mut bytes = Bytes::from(buffer);
    bytes.advance(start);
    bytes
}

/// Where in a stored payload the open and the sealed part are.
fn places(payload: &[u8]) -> Result<(Range<usize>, Range<usize>), Unopened> {
    let length = payload.first_chunk::<LENGTH>().ok_or(Unopened::Damaged)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Unopened::Damaged)?;
    let end = LENGTH.checked_add(length).filter(|end| *end <= payload.len()).ok_or(Unopened::Damaged)?;
    Ok((LENGTH..end, end..payload.len()))
}

/// What is left of a stored payload without its key.
pub(super) fn open_part(payload: &Bytes) -> Result<Bytes, Unopened> {
    places(payload).map(|(open, _)| payload.slice(open))
}

/// The payload as it was before it was sealed, up to the order of its fields.
pub(super) fn open(
    cipher: &Cipher,
    event_type: &str,
    id: RecordId,
    payload: &[u8],
) -> Result<Bytes, Unopened> {
    let (open, sealed) = places(payload)?;
    let (parts, tag) = payload.split_last_chunk().ok_or(Unopened::Damaged)?;
    let sealed = parts.get(sealed.start..).ok_or(Unopened::Damaged)?;
    let mut buffer = bound_to(event_type, id, parts.len() - LENGTH);
    let from_open = buffer.len();
    buffer.extend_from_slice(&parts[open]);
    let personal = buffer.len();
    buffer.extend_from_slice(sealed);
    let (bound, in_place) = buffer.split_at_mut(personal);
    cipher
        .0
        .open_in_place_separate_tag(nonce_of(id), Aad::from(bound), Tag::from(*tag), in_place, 0..)
        .map_err(|_| Unopened::Damaged)?;
    let start = personal::join(&mut buffer, from_open, personal)?;
    let whole = from(buffer, start);
    let fields = personal::personal_fields(event_type).unwrap_or_default();
    Ok(personal::lower(&whole, fields)?.map_or(whole, Bytes::from))
}

/// Seals bytes that are no record, under a random nonce; `purpose` must be given again to open them.
pub fn seal_bytes(cipher: &Cipher, purpose: &[u8], mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).ok()?;
    let unique = Nonce::assume_unique_for_key(nonce);
    cipher.0.seal_in_place_append_tag(unique, Aad::from(purpose), &mut bytes).ok()?;
    Some([nonce.as_slice(), &bytes].concat())
}

/// Opens what [`seal_bytes`] made; `None` if it is something else.
pub fn open_bytes(cipher: &Cipher, purpose: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut bytes = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let opened = cipher.0.open_in_place(nonce, Aad::from(purpose), &mut bytes).ok()?.len();
    bytes.truncate(opened);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use mainspring_schemas::codec::personal::split;
    use uuid::Uuid;

    use super::*;

    /// `{"at": 1, "name": "ada"}`.
    const EVENT: &[u8] = b"\x82\xa2at\x01\xa4name\xa3ada";

    fn cipher(byte: u8) -> Cipher {
        Cipher::new(&[byte; 32]).unwrap()
    }

    fn sealed(event: &[u8], id: RecordId) -> Bytes {
        seal(&cipher(7), "t", id, &split(event, &["name", "who"]).unwrap()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_only_where_and_as_it_was_sealed() {
        let (id, other) = (RecordId(Uuid::from_u128(1)), RecordId(Uuid::from_u128(2)));
        let payload = sealed(EVENT, id);
        assert!(!payload.windows(3).any(|window| window == b"ada"));
        assert_eq!(open(&cipher(7), "t", id, &payload).unwrap(), EVENT);
        assert_eq!(open(&cipher(8), "t", id, &payload), Err(Unopened::Damaged));
        assert_eq!(open(&cipher(7), "u", id, &payload), Err(Unopened::Damaged));
        assert_eq!(open(&cipher(7), "t", other, &payload), Err(Unopened::Damaged));
        for bit in 0..payload.len() * 8 {
            let mut damaged = payload.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&cipher(7), "t", id, &damaged).is_err(), "bit {bit}");
        }
        for end in 0..payload.len() {
            assert_eq!(open(&cipher(7), "t", id, &payload[..end]), Err(Unopened::Damaged), "cut at {end}");
        }
    }

    /// What older releases wrote, byte by byte: a payload once sealed can be opened for ever.
    #[test]
    fn sealed_bytes_are_what_they_always_were() {
        let id = RecordId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
        let hex: String = sealed(EVENT, id).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0000000581a26174012a17537656adddd464d4d995c5243a7392cd9bb6b8477f698ede");
    }

    #[test]
    fn personal_fields_may_stand_anywhere_and_be_everything() {
        let id = RecordId(Uuid::from_u128(1));
        let opened = |event: &[u8]| open(&cipher(7), "t", id, &sealed(event, id)).unwrap();
        assert_eq!(opened(b"\x81\xa4name\xa3ada"), b"\x81\xa4name\xa3ada".as_slice());
        assert_eq!(
            opened(b"\x83\xa4name\xa3ada\xa2at\x01\xa3who\x02"),
            b"\x83\xa2at\x01\xa4name\xa3ada\xa3who\x02".as_slice()
        );
        assert_eq!(open_part(&sealed(EVENT, id)).unwrap(), b"\x81\xa2at\x01".as_slice());
        assert_eq!(open_part(&Bytes::from_static(b"\0\0\0\x05ab")), Err(Unopened::Damaged));
    }

    /// Fields of a map without and with a longer header, on either side.
    #[test]
    fn maps_of_any_size_come_together_again() {
        let id = RecordId(Uuid::from_u128(1));
        for fields in [14, 15, 16, 17, 18, 300_u16] {
            let mut event = match fields {
                0..16 => vec![0x80 | fields as u8],
                _ => [[0xde].as_slice(), &fields.to_be_bytes()].concat(),
            };
            let (header, last) = (event.clone(), b"\xa4name\xa3ada\xa3who\x02");
            event.extend_from_slice(b"\xa4name\xa3ada");
            (2..fields).for_each(|_| event.extend_from_slice(b"\xa2at\x01"));
            event.extend_from_slice(b"\xa3who\x02");
            let expected = [header, b"\xa2at\x01".repeat(usize::from(fields) - 2), last.to_vec()].concat();
            let opened = open(&cipher(7), "t", id, &sealed(&event, id)).unwrap();
            assert_eq!(opened, expected, "{fields} fields");
        }
    }

    #[test]
    fn bytes_open_only_for_the_purpose_they_were_sealed_for() {
        let sealed = seal_bytes(&cipher(7), b"a", b"ada".to_vec()).unwrap();
        assert_eq!(open_bytes(&cipher(7), b"a", &sealed).unwrap(), b"ada");
        assert_eq!(open_bytes(&cipher(7), b"b", &sealed), None);
        assert_eq!(open_bytes(&cipher(8), b"a", &sealed), None);
        assert_eq!(open_bytes(&cipher(7), b"a", b"short"), None);
        assert_ne!(sealed, seal_bytes(&cipher(7), b"a", b"ada".to_vec()).unwrap());
    }
}
