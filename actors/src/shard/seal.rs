//! Data keys of contacts, and snapshots sealed with them: a snapshot must not outlive the person it shows.

use mainspring_eventlog::{
    LogError, Snapshot,
    sealing::{DataKeys, open_bytes, seal_bytes},
};
use mainspring_schemas::ContactId;
use uuid::Uuid;

use super::{Entity, Shared};
use crate::contact::{Command, Fate, SNAPSHOT_SCHEMA};

/// Marks the schema version of a sealed snapshot.
const SEALED: u16 = 0x8000;

/// A snapshot in clear.
pub(super) struct Opened {
    /// The encoded state.
    pub state: Vec<u8>,
    /// The contact's key.
    pub data_key: Option<Uuid>,
}

/// Opens a snapshot; `None` if it is of another version, or nobody can open it any more.
pub(super) fn open_snapshot(
    keys: Option<&DataKeys>,
    contact: ContactId,
    snapshot: &Snapshot,
) -> Option<Opened> {
    if snapshot.schema_version == SNAPSHOT_SCHEMA {
        return Some(Opened { state: snapshot.payload.clone(), data_key: None });
    }
    if snapshot.schema_version != SNAPSHOT_SCHEMA | SEALED {
        return None;
    }
    let (id, sealed) = snapshot.payload.split_first_chunk::<16>()?;
    let id = Uuid::from_bytes(*id);
    let cipher = keys?.cipher(id).ok()??;
    let state = open_bytes(&cipher, contact.0.as_bytes(), sealed)?;
    Some(Opened { state, data_key: Some(id) })
}

/// The schema version and the bytes to keep; `None` if they cannot be sealed, which only costs time.
pub(super) fn seal_snapshot(
    keys: Option<&DataKeys>,
    contact: ContactId,
    data_key: Option<Uuid>,
    state: Vec<u8>,
) -> Option<(u16, Vec<u8>)> {
    let Some(keys) = keys else { return Some((SNAPSHOT_SCHEMA, state)) };
    let id = data_key?;
    let cipher = keys.cipher(id).ok()??;
    let sealed = seal_bytes(&cipher, contact.0.as_bytes(), state)?;
    Some((SNAPSHOT_SCHEMA | SEALED, [id.as_bytes().as_slice(), &sealed].concat()))
}

/// Gives a contact its key, if it may be about to write its first sealed record.
pub(super) fn give_key(shared: &Shared, entity: &mut Entity, command: &Command) -> Result<(), LogError> {
    let begins = match entity.state.fate {
        Fate::Absent => matches!(command, Command::Call(_)),
        Fate::Live => true,
        Fate::Deleted(_) => matches!(command, Command::Restore(_)),
        Fate::MergedInto(_) | Fate::Erased => false,
    };
    if let Some(keys) = shared.data_keys.as_deref().filter(|_| begins && entity.data_key.is_none()) {
        entity.data_key = Some(keys.create()?);
    }
    Ok(())
}
