//! The SQL that writes contacts.

use mainspring_eventlog::{Position, Version};
use mainspring_schemas::{ContactId, Properties, StreamName, Timestamp, event::contact::Via};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    cell::{Aggregate, Cell, Touch},
    keys::{KeyName, KeyRow},
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
    id            BLOB PRIMARY KEY,
    version       INTEGER NOT NULL,
    wake_at       INTEGER,
    last_seen_at  INTEGER NOT NULL,
    first_seen_at INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    external_id   TEXT,
    email         TEXT,
    discord_id    TEXT,
    anonymous_id  TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE contact_properties (
    contact    BLOB PRIMARY KEY,
    properties TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE contact_keys (
    kind       INTEGER NOT NULL, -- 0 external, 1 email, 2 discord, 3 anonymous
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
CREATE TABLE contact_totals (
    what   TEXT PRIMARY KEY,
    amount INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO contact_totals VALUES ('live', 0);
",
    indexes_sql: "
CREATE INDEX IF NOT EXISTS contacts_by_last_seen ON contacts (last_seen_at DESC, id);
CREATE INDEX IF NOT EXISTS contacts_by_wake ON contacts (wake_at, id) WHERE wake_at IS NOT NULL;
",
    tables: &[
        Table {
            name: "contacts",
            key: &["id"],
            personal: &["external_id", "email", "discord_id", "anonymous_id"],
        },
        Table { name: "contact_properties", key: &["contact"], personal: &["properties"] },
        Table { name: "contact_keys", key: &["kind", "value"], personal: &["value", "folded"] },
        Table { name: "contact_former", key: &["id"], personal: &[] },
        Table { name: "contact_totals", key: &["what"], personal: &[] },
    ],
};

/// A contact's row.
pub(super) fn load(connection: &Connection, contact: ContactId) -> Result<Option<Aggregate>> {
    let mut statement = connection.prepare_cached(
        "SELECT version, wake_at, first_seen_at, last_seen_at, created_at, updated_at,
                external_id, email, discord_id, anonymous_id
         FROM contacts WHERE id = ?1",
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
                properties: None,
                properties_dirty: false,
            })
        })
        .optional()?;
    Ok(aggregate)
}

/// A contact's properties, if they are not here yet.
pub(super) fn load_properties(
    connection: &Connection,
    contact: ContactId,
    aggregate: &mut Aggregate,
) -> Result<()> {
    if aggregate.properties.is_some() {
        return Ok(());
    }
    let mut statement =
        connection.prepare_cached("SELECT properties FROM contact_properties WHERE contact = ?1")?;
    let text: Option<String> = statement.query_row([contact.0.as_bytes()], |row| row.get(0)).optional()?;
    aggregate.properties = Some(match text {
        Some(text) => serde_json::from_str(&text)?,
        None => Properties::new(),
    });
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
        connection.prepare_cached("DELETE FROM contact_properties WHERE contact = ?1")?.execute([id])?;
    }
    connection
        .prepare_cached("INSERT INTO contact_former (id, survivor, version) VALUES (?1, ?2, ?3)")?
        .execute(params![id, survivor.as_ref().map(|survivor| survivor.0.as_bytes()), integer(version)])?;
    Ok(())
}

/// Writes rows, sorted by contact.
pub(super) fn write(connection: &Connection, cells: &[(ContactId, Cell)], position: Position) -> Result<()> {
    let mut touch_row = connection.prepare_cached(
        "UPDATE contacts SET version = ?1, last_seen_at = max(last_seen_at, ?2), wake_at = ?3
         WHERE id = ?4 AND version = ?5",
    )?;
    for (contact, cell) in cells {
        match cell {
            Cell::Touched(touch) => {
                let Touch { stored, version, seen_at, wake_at } = *touch;
                let wake_at = wake_at.map(|at| at.0);
                let id = contact.0.as_bytes();
                let written =
                    touch_row.execute(params![integer(version), seen_at.0, wake_at, id, integer(stored)])?;
                if written == 0 {
                    touch_former(connection, *contact, touch, position)?;
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
    touch: &Touch,
    position: Position,
) -> Result<()> {
    let found = match load(connection, contact)? {
        Some(aggregate) => Some(aggregate.version),
        None => match load_former(connection, contact)? {
            Some(version) if version == touch.stored => {
                return write_former(connection, contact, touch.version);
            }
            other => other,
        },
    };
    Err(ProjectionError::VersionGap {
        stream: StreamName::contact(contact),
        position,
        expected: found.map_or(0, |version| version + 1),
        found: touch.stored + 1,
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
        "UPDATE contacts SET version = ?2, wake_at = ?3, last_seen_at = ?4, first_seen_at = ?5, created_at = ?6,
                updated_at = ?7, external_id = ?8, email = ?9, discord_id = ?10, anonymous_id = ?11
         WHERE id = ?1"
    } else {
        "INSERT INTO contacts (id, version, wake_at, last_seen_at, first_seen_at, created_at, updated_at,
                               external_id, email, discord_id, anonymous_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
    };
    let [external, email, discord, anonymous] = aggregate.primaries.each_ref().map(Option::as_deref);
    connection.prepare_cached(sql)?.execute(params![
        id,
        integer(aggregate.version),
        aggregate.wake_at.map(|at| at.0),
        aggregate.last_seen_at.0,
        aggregate.first_seen_at.0,
        aggregate.created_at.0,
        aggregate.updated_at.0,
        external,
        email,
        discord,
        anonymous,
    ])?;
    match &aggregate.properties {
        Some(properties) if aggregate.properties_dirty && !properties.is_empty() => {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO contact_properties (contact, properties) VALUES (?1, ?2)",
                )?
                .execute(params![id, serde_json::to_string(properties)?])?;
        }
        Some(_) if aggregate.properties_dirty && aggregate.stored => {
            connection.prepare_cached("DELETE FROM contact_properties WHERE contact = ?1")?.execute([id])?;
        }
        _ => {}
    }
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
