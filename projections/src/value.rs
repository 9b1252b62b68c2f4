//! Our types as SQLite values and back. Ids are BLOBs of 16 bytes, instants are milliseconds, positions are integers.

use mainspring_schemas::{BucketId, Timestamp};
use rusqlite::Row;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// A position, version or count as SQLite stores it; none of them ever comes near the limit.
pub(crate) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The way back of [`integer`].
pub(crate) fn natural(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

/// An id out of its BLOB.
pub(crate) fn id(row: &Row<'_>, index: usize) -> rusqlite::Result<Uuid> {
    Ok(Uuid::from_bytes(row.get::<_, [u8; 16]>(index)?))
}

/// An id that may be absent.
pub(crate) fn maybe_id(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Uuid>> {
    Ok(row.get::<_, Option<[u8; 16]>>(index)?.map(Uuid::from_bytes))
}

/// An instant.
pub(crate) fn instant(row: &Row<'_>, index: usize) -> rusqlite::Result<Timestamp> {
    row.get(index).map(Timestamp)
}

/// An instant that may be absent.
pub(crate) fn maybe_instant(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(index)?.map(Timestamp))
}

/// A count.
pub(crate) fn count(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    row.get(index).map(natural)
}

/// A bucket's id.
pub(crate) fn bucket(row: &Row<'_>, index: usize) -> rusqlite::Result<BucketId> {
    let text = row.get_ref(index)?.as_str()?;
    BucketId::new(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, error.into())
    })
}

/// JSON text of any type.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(index)?.as_str()?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, error.into())
    })
}

/// An enum whose variants carry nothing, out of its word on the wire.
pub(crate) fn from_word<T: DeserializeOwned>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    let text = row.get::<_, String>(index)?;
    serde_json::from_value(serde_json::Value::String(text)).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, error.into())
    })
}
