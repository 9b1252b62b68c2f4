//! The SQL that writes stays.

use mainspring_schemas::{BucketId, ContactId, StayId, Timestamp};
use rusqlite::{Connection, params};

use super::{
    project::StayRow,
    unit::{Cell, End},
};
use crate::{
    error::Result,
    projection::{Schema, Table},
    value::{bucket, id, instant, maybe_instant},
};

/// The columns of a stay.
macro_rules! columns {
    () => {
        "
    id              BLOB NOT NULL,
    contact         BLOB NOT NULL,
    origin          BLOB NOT NULL, -- whose it was when it began
    bucket          TEXT NOT NULL,
    entered_at      INTEGER NOT NULL,
    left_at         INTEGER,
    reason          TEXT,
    max_dwell_at    INTEGER,
    epoch           INTEGER NOT NULL,
    source          TEXT NOT NULL,
    dwell_anchor_at INTEGER,
    announced       INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,"
    };
}

/// Tables of this projection. A stay is active while it has not been left. Stays of deleted contacts that can come back are
/// kept apart, so that no question has to leave them out.
pub(crate) const SCHEMA: Schema = Schema {
    tables_sql: concat!(
        "CREATE TABLE stays (",
        columns!(),
        " PRIMARY KEY (id)) STRICT, WITHOUT ROWID;
CREATE INDEX stays_by_contact ON stays (contact);
CREATE TABLE hidden_stays (",
        columns!(),
        " PRIMARY KEY (contact, id)) STRICT, WITHOUT ROWID;",
    ),
    indexes_sql: "
CREATE INDEX IF NOT EXISTS stays_active ON stays (bucket, entered_at DESC, id) WHERE left_at IS NULL;
CREATE INDEX IF NOT EXISTS stays_left ON stays (bucket, entered_at DESC, id) WHERE left_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS stays_ended ON stays (bucket, left_at) WHERE left_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS stays_paged ON stays (bucket, id) WHERE left_at IS NULL;
",
    tables: &[
        Table { name: "stays", key: &["id"], personal: &[] },
        Table { name: "hidden_stays", key: &["contact", "id"], personal: &[] },
    ],
};

/// What a merge or a deletion must know of a stay.
pub(super) struct HeldStay {
    /// The stay.
    pub id: StayId,
    /// The bucket.
    pub bucket: BucketId,
    /// When it began.
    pub entered_at: Timestamp,
    /// When it ended.
    pub left_at: Option<Timestamp>,
}

/// All stays of a contact, in the order of their ids.
pub(super) fn stays_of(connection: &Connection, contact: ContactId) -> Result<Vec<HeldStay>> {
    let mut statement = connection
        .prepare_cached("SELECT id, bucket, entered_at, left_at FROM stays WHERE contact = ?1 ORDER BY id")?;
    let stays = statement.query_map([contact.0.as_bytes()], |row| {
        Ok(HeldStay {
            id: StayId(id(row, 0)?),
            bucket: bucket(row, 1)?,
            entered_at: instant(row, 2)?,
            left_at: maybe_instant(row, 3)?,
        })
    })?;
    Ok(stays.collect::<rusqlite::Result<_>>()?)
}

/// Takes all stays of a contact out of sight.
pub(super) fn hide_stays_of(connection: &Connection, contact: ContactId) -> Result<()> {
    put_aside(connection, contact, "stays", "hidden_stays")
}

/// Brings back what was hidden.
pub(super) fn show_stays_of(connection: &Connection, contact: ContactId) -> Result<()> {
    put_aside(connection, contact, "hidden_stays", "stays")
}

fn put_aside(connection: &Connection, contact: ContactId, from: &str, to: &str) -> Result<()> {
    connection
        .prepare_cached(&format!("INSERT INTO {to} SELECT * FROM {from} WHERE contact = ?1"))?
        .execute([contact.0.as_bytes()])?;
    delete(connection, contact, from)
}

/// Forgets all stays of a contact, hidden ones too.
pub(super) fn delete_stays_of(connection: &Connection, contact: ContactId) -> Result<()> {
    delete(connection, contact, "stays")?;
    delete(connection, contact, "hidden_stays")
}

fn delete(connection: &Connection, contact: ContactId, table: &str) -> Result<()> {
    connection
        .prepare_cached(&format!("DELETE FROM {table} WHERE contact = ?1"))?
        .execute([contact.0.as_bytes()])?;
    Ok(())
}

/// Hands all stays of a contact to another one.
pub(super) fn move_stays(
    connection: &Connection,
    loser: ContactId,
    survivor: ContactId,
    recorded_at: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached("UPDATE stays SET contact = ?1, updated_at = ?2 WHERE contact = ?3")?
        .execute(params![survivor.0.as_bytes(), recorded_at.0, loser.0.as_bytes()])?;
    Ok(())
}

/// Gives a stored stay its unconditional end.
pub(super) fn set_deadline(
    connection: &Connection,
    stay: StayId,
    max_dwell_at: Timestamp,
    recorded_at: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached("UPDATE stays SET max_dwell_at = ?1, updated_at = ?2 WHERE id = ?3")?
        .execute(params![max_dwell_at.0, recorded_at.0, stay.0.as_bytes()])?;
    Ok(())
}

/// Ends a stored stay.
pub(super) fn end(connection: &Connection, stay: StayId, end: End) -> Result<()> {
    connection
        .prepare_cached("UPDATE stays SET left_at = ?1, reason = ?2, updated_at = ?3 WHERE id = ?4")?
        .execute(params![end.left_at.0, end.reason.as_str(), end.recorded_at.0, stay.0.as_bytes()])?;
    Ok(())
}

/// Writes rows, sorted by stay.
pub(super) fn write(connection: &Connection, cells: &[(StayId, Cell)]) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO stays (id, contact, origin, bucket, entered_at, left_at, reason, max_dwell_at, epoch, source,
                            dwell_anchor_at, announced, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    for (stay, cell) in cells {
        match cell {
            Cell::New(row) => insert_row(&mut insert, row)?,
            Cell::Ended(ended) => end(connection, *stay, *ended)?,
        }
    }
    Ok(())
}

fn insert_row(insert: &mut rusqlite::Statement<'_>, row: &StayRow) -> Result<()> {
    insert.execute(params![
        row.id.0.as_bytes(),
        row.contact.0.as_bytes(),
        row.origin.0.as_bytes(),
        row.bucket.as_str(),
        row.entered_at.0,
        row.left_at.map(|at| at.0),
        row.reason.map(|reason| reason.as_str()),
        row.max_dwell_at.map(|at| at.0),
        row.epoch,
        row.source.as_str(),
        row.dwell_anchor_at.map(|at| at.0),
        row.announced,
        row.created_at.0,
        row.updated_at.0,
    ])?;
    Ok(())
}
