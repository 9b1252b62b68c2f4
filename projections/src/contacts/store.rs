//! The SQL that writes contacts.

use mainspring_eventlog::{Position, Version};
use mainspring_schemas::{ContactId, StreamName, Timestamp, event::contact::Via};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::{
    cell::{Aggregate, Cell, Touch},
    keys::{KeyName, KeyRow},
    slot,
};
use crate::{
    error::{ProjectionError, Result},
    projection::{Schema, Table},
    value::{integer, maybe_instant, natural},
};

/// Tables of this projection.
pub(crate) const SCHEMA: Schema = Schema {
    tables_sql: "
CREATE TABLE contacts (
    id           BLOB PRIMARY KEY,
    version      INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    wake_at      INTEGER,
    seen_slot    INTEGER NOT NULL,
    wake_slot    INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE contact_profiles (
    contact       BLOB PRIMARY KEY,
    first_seen_at INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    external_id   TEXT,
    email         TEXT,
    discord_id    TEXT,
    anonymous_id  TEXT,
    properties    TEXT -- none if null
) STRICT, WITHOUT ROWID;
CREATE TABLE contact_keys (
    kind       INTEGER NOT NULL, -- 0 external, 1 email, 2 discord, 3 anonymous, 4 provider
    value      TEXT NOT NULL,
    folded     TEXT, -- the value in lower case, where that differs
    contact    BLOB NOT NULL,
    is_primary INTEGER NOT NULL,
    via        TEXT NOT NULL,
    since      INTEGER NOT NULL,
    PRIMARY KEY (kind, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX contact_keys_by_contact ON contact_keys (contact);
CREATE TABLE contact_former (
    id       BLOB PRIMARY KEY,
    survivor BLOB,
    version  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE destroyed_keys (
    data_key  BLOB PRIMARY KEY,
    contact   BLOB NOT NULL,
    erased_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE contact_totals (
    what   TEXT PRIMARY KEY,
    amount INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO contact_totals VALUES ('live', 0);
",
    indexes_sql: "
CREATE INDEX IF NOT EXISTS contacts_by_seen_slot ON contacts (seen_slot);
CREATE INDEX IF NOT EXISTS contacts_by_wake_slot ON contacts (wake_slot) WHERE wake_slot IS NOT NULL;
",
    tables: &[
        Table { name: "contacts", key: &["id"], personal: &[] },
        Table {
            name: "contact_profiles",
            key: &["contact"],
            personal: &["external_id", "email", "discord_id", "anonymous_id", "properties"],
        },
        Table { name: "contact_keys", key: &["kind", "value"], personal: &["value", "folded"] },
        Table { name: "contact_former", key: &["id"], personal: &[] },
        Table { name: "destroyed_keys", key: &["data_key"], personal: &[] },
        Table { name: "contact_totals", key: &["what"], personal: &[] },
    ],
};

/// A contact's row.
pub(super) fn load(connection: &Connection, contact: ContactId) -> Result<Option<Aggregate>> {
    let mut statement = connection.prepare_cached(
        "SELECT c.version, c.wake_at, p.first_seen_at, c.last_seen_at, p.created_at, p.updated_at,
                p.external_id, p.email, p.discord_id, p.anonymous_id, p.properties
         FROM contacts c JOIN contact_profiles p ON p.contact = c.id WHERE c.id = ?1",
    )?;
    let aggregate = statement
        .query_row([contact.0.as_bytes()], |row| {
            let primary =
                |index| -> rusqlite::Result<_> { Ok(row.get::<_, Option<String>>(index)?.map(Into::into)) };
            Ok(Aggregate {
                stored: true,
                version: natural(row.get(0)?),
                wake_at: maybe_instant(row, 1)?,
                first_seen_at: Timestamp(row.get(2)?),
                last_seen_at: Timestamp(row.get(3)?),
                created_at: Timestamp(row.get(4)?),
                updated_at: Timestamp(row.get(5)?),
                primaries: [primary(6)?, primary(7)?, primary(8)?, primary(9)?],
                stored_properties: row.get(10)?,
                properties: None,
                profile_dirty: false,
            })
        })
        .optional()?;
    Ok(aggregate)
}

/// Notes which keys an erasure destroyed.
pub(super) fn add_destroyed_keys(
    connection: &Connection,
    contact: ContactId,
    data_keys: &[Uuid],
    at: Timestamp,
) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO destroyed_keys (data_key, contact, erased_at) VALUES (?1, ?2, ?3)",
    )?;
    for key in data_keys {
        insert.execute(params![key.as_bytes(), contact.0.as_bytes(), at.0])?;
    }
    Ok(())
}

/// The version of a contact that is gone.
pub(super) fn load_former(connection: &Connection, contact: ContactId) -> Result<Option<Version>> {
    let mut statement = connection.prepare_cached("SELECT version FROM contact_former WHERE id = ?1")?;
    Ok(statement.query_row([contact.0.as_bytes()], |row| row.get(0).map(natural)).optional()?)
}

/// A key's row.
pub(super) fn load_key(connection: &Connection, (kind, value): &KeyName) -> Result<Option<KeyRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT contact, is_primary, via, since FROM contact_keys WHERE kind = ?1 AND value = ?2",
    )?;
    let row = statement
        .query_row(params![kind, value.as_str()], |row| {
            Ok(KeyRow {
                contact: ContactId(crate::value::id(row, 0)?),
                primary: row.get(1)?,
                via: crate::value::from_word(row, 2)?,
                since: Timestamp(row.get(3)?),
            })
        })
        .optional()?;
    Ok(row)
}

fn via_word(via: Via) -> &'static str {
    match via {
        Via::Created => "created",
        Via::Attached => "attached",
        Via::Merge => "merge",
        Via::Import => "import",
        Via::Connector => "connector",
    }
}

/// Writes keys, whoever had them before.
pub(super) fn write_keys(connection: &Connection, rows: &[(KeyName, KeyRow)]) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO contact_keys (kind, value, folded, contact, is_primary, via, since)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for ((kind, value), row) in rows {
        let folded = Some(value.to_lowercase()).filter(|folded| folded != value);
        let (contact, via) = (row.contact.0.as_bytes(), via_word(row.via));
        statement.execute(params![
            kind,
            value.as_str(),
            folded.as_deref(),
            contact,
            row.primary,
            via,
            row.since.0
        ])?;
    }
    Ok(())
}

/// Takes all keys from a contact.
pub(super) fn delete_keys(connection: &Connection, contact: ContactId) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM contact_keys WHERE contact = ?1")?
        .execute([contact.0.as_bytes()])?;
    Ok(())
}

/// Takes a contact's row away and remembers that it was.
pub(super) fn remove(
    connection: &Connection,
    contact: ContactId,
    stored: bool,
    survivor: Option<ContactId>,
    version: Version,
) -> Result<()> {
    let id = contact.0.as_bytes();
    if stored {
        connection.prepare_cached("DELETE FROM contacts WHERE id = ?1")?.execute([id])?;
        connection.prepare_cached("DELETE FROM contact_profiles WHERE contact = ?1")?.execute([id])?;
    }
    connection
        .prepare_cached("INSERT INTO contact_former (id, survivor, version) VALUES (?1, ?2, ?3)")?
        .execute(params![id, survivor.as_ref().map(|survivor| survivor.0.as_bytes()), integer(version)])?;
    Ok(())
}

/// Writes rows, sorted by contact.
pub(super) fn write(connection: &Connection, cells: &[(ContactId, Cell)], position: Position) -> Result<()> {
    // Most often neither slot changes, and then no index is written.
    let mut touch = connection.prepare_cached(
        "UPDATE contacts SET version = ?1, last_seen_at = max(last_seen_at, ?2), wake_at = ?3
         WHERE id = ?4 AND version = ?5 AND seen_slot >= ?6 AND wake_slot IS ?7",
    )?;
    let mut touch_and_move = connection.prepare_cached(
        "UPDATE contacts SET version = ?1, last_seen_at = max(last_seen_at, ?2), wake_at = ?3,
                             seen_slot = max(seen_slot, ?6), wake_slot = ?7
         WHERE id = ?4 AND version = ?5",
    )?;
    for (contact, cell) in cells {
        match cell {
            Cell::Touched(Touch { stored, version, seen_at, wake_at }) => {
                let values = params![
                    integer(*version),
                    seen_at.0,
                    wake_at.map(|at| at.0),
                    contact.0.as_bytes(),
                    integer(*stored),
                    slot::seen(*seen_at),
                    wake_at.map(slot::wake),
                ];
                if touch.execute(values)? == 0 && touch_and_move.execute(values)? == 0 {
                    touch_former(connection, *contact, *stored, *version, position)?;
                }
            }
            Cell::Loaded(aggregate) => write_aggregate(connection, *contact, aggregate)?,
            Cell::Former { version, dirty: true } => write_former(connection, *contact, *version)?,
            Cell::Former { dirty: false, .. } => {}
        }
    }
    Ok(())
}

/// No live contact stood at the version due: either it is gone, or a record is missing.
fn touch_former(
    connection: &Connection,
    contact: ContactId,
    stored: Version,
    version: Version,
    position: Position,
) -> Result<()> {
    let found = match load(connection, contact)? {
        Some(aggregate) => Some(aggregate.version),
        None => match load_former(connection, contact)? {
            Some(former) if former == stored => return write_former(connection, contact, version),
            other => other,
        },
    };
    Err(ProjectionError::VersionGap {
        stream: StreamName::contact(contact),
        position,
        expected: found.map_or(0, |version| version + 1),
        found: stored + 1,
    })
}

fn write_former(connection: &Connection, contact: ContactId, version: Version) -> Result<()> {
    connection
        .prepare_cached("UPDATE contact_former SET version = ?1 WHERE id = ?2")?
        .execute(params![integer(version), contact.0.as_bytes()])?;
    Ok(())
}

fn write_aggregate(connection: &Connection, contact: ContactId, aggregate: &Aggregate) -> Result<()> {
    let id = contact.0.as_bytes();
    let sql = if aggregate.stored {
        "UPDATE contacts SET version = ?2, last_seen_at = ?3, wake_at = ?4, seen_slot = ?5, wake_slot = ?6
         WHERE id = ?1"
    } else {
        "INSERT INTO contacts (id, version, last_seen_at, wake_at, seen_slot, wake_slot)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
    };
    connection.prepare_cached(sql)?.execute(params![
        id,
        integer(aggregate.version),
        aggregate.last_seen_at.0,
        aggregate.wake_at.map(|at| at.0),
        slot::seen(aggregate.last_seen_at),
        aggregate.wake_at.map(slot::wake),
    ])?;
    if !aggregate.profile_dirty {
        return Ok(());
    }
    let [external, email, discord, anonymous] = aggregate.primaries.each_ref().map(Option::as_deref);
    let rendered = match aggregate.properties.as_ref().filter(|properties| !properties.is_empty()) {
        Some(properties) => Some(serde_json::to_string(properties)?),
        None => None,
    };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO contact_profiles (contact, first_seen_at, created_at, updated_at, external_id,
                 email, discord_id, anonymous_id, properties)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            id,
            aggregate.first_seen_at.0,
            aggregate.created_at.0,
            aggregate.updated_at.0,
            external,
            email,
            discord,
            anonymous,
            rendered.as_ref().or(aggregate.stored_properties.as_ref()),
        ])?;
    Ok(())
}

/// Moves the number of live contacts.
pub(super) fn add_total(connection: &Connection, born: i64) -> Result<()> {
    if born != 0 {
        connection
            .prepare_cached("UPDATE contact_totals SET amount = amount + ?1 WHERE what = 'live'")?
            .execute([born])?;
    }
    Ok(())
}
