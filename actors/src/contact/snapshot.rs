//! A contact's state as bytes, so that waking it need not read its whole stream.

use super::state::ContactState;

/// Version of the encoding; a snapshot of another version is ignored.
pub const SNAPSHOT_SCHEMA: u16 = 3;

/// Encodes a state; `None` if it cannot be, which only costs time.
pub fn to_snapshot(state: &ContactState) -> Option<Vec<u8>> {
    rmp_serde::to_vec_named(state).ok()
}

/// Decodes a state; `None` if the bytes hold something else.
pub fn from_snapshot(bytes: &[u8]) -> Option<ContactState> {
    rmp_serde::from_slice(bytes).ok()
}
