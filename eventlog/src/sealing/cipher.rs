//! One payload, sealed and opened: AES-256-GCM under the contact's key.
//!
//! A record's nonce is made of the 96 last bits of its id. A key seals the records of one contact only, and no two of them
//! share an id, so no nonce comes twice under one key. The type, the id and the open part are authenticated with it: a
//! sealed part cannot be moved to another record.

use mainspring_schemas::{RecordId, codec::personal};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// Bytes that give the length of the open part.
const LENGTH: usize = 4;

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

/// What the sealed part is bound to.
fn bound_to(event_type: &str, id: RecordId, open: &[u8]) -> Vec<u8> {
    let mut bound = Vec::with_capacity(event_type.len() + 16 + open.len());
    bound.extend_from_slice(event_type.as_bytes());
    bound.extend_from_slice(id.0.as_bytes());
    bound.extend_from_slice(open);
    bound
}

/// The stored payload of a record: length of the open part, the open part, the sealed part.
pub(super) fn seal(
    cipher: &Cipher,
    event_type: &str,
    id: RecordId,
    open: &[u8],
    mut personal: Vec<u8>,
) -> Option<Vec<u8>> {
    let bound = bound_to(event_type, id, open);
    cipher.0.seal_in_place_append_tag(nonce_of(id), Aad::from(&bound), &mut personal).ok()?;
    let mut payload = Vec::with_capacity(LENGTH + open.len() + personal.len());
    payload.extend_from_slice(&u32::try_from(open.len()).ok()?.to_be_bytes());
    payload.extend_from_slice(open);
    payload.extend_from_slice(&personal);
    Some(payload)
}

/// The open and the sealed part of a stored payload.
pub(super) fn parts(payload: &[u8]) -> Result<(&[u8], &[u8]), Unopened> {
    let (length, rest) = payload.split_first_chunk::<LENGTH>().ok_or(Unopened::Damaged)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Unopened::Damaged)?;
    rest.split_at_checked(length).ok_or(Unopened::Damaged)
}

/// The payload as it was before it was sealed, up to the order of its fields.
pub(super) fn open(
    cipher: &Cipher,
    event_type: &str,
    id: RecordId,
    payload: &[u8],
) -> Result<Vec<u8>, Unopened> {
    let (open, sealed) = parts(payload)?;
    let mut personal = sealed.to_vec();
    let bound = bound_to(event_type, id, open);
    let personal = cipher
        .0
        .open_in_place(nonce_of(id), Aad::from(&bound), &mut personal)
        .map_err(|_| Unopened::Damaged)?;
    let fields = personal::personal_fields(event_type).unwrap_or_default();
    Ok(personal::join(open, personal, fields)?)
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

    fn sealed(id: RecordId) -> Vec<u8> {
        let parts = split(EVENT, &["name"]).unwrap();
        seal(&cipher(7), "t", id, &parts.open, parts.personal.unwrap()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_only_where_and_as_it_was_sealed() {
        let (id, other) = (RecordId(Uuid::from_u128(1)), RecordId(Uuid::from_u128(2)));
        let payload = sealed(id);
        assert!(!payload.windows(3).any(|window| window == b"ada"));
        assert_eq!(open(&cipher(7), "t", id, &payload).unwrap(), EVENT);
        assert_eq!(open(&cipher(8), "t", id, &payload), Err(Unopened::Damaged));
        assert_eq!(open(&cipher(7), "u", id, &payload), Err(Unopened::Damaged));
        assert_eq!(open(&cipher(7), "t", other, &payload), Err(Unopened::Damaged));
        for bit in 0..payload.len() * 8 {
            let mut damaged = payload.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&cipher(7), "t", id, &damaged).is_err(), "bit {bit}");
        }
        assert_eq!(open(&cipher(7), "t", id, &[]), Err(Unopened::Damaged));
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
