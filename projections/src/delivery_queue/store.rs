//! The SQL that writes deliveries.

use mainspring_schemas::{
    ContactId, DeliveryId, EndpointId, MessageId, Timestamp,
    event::{
        delivery::{AttemptResult, Attempted},
        endpoint::EndpointSettings,
    },
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::cell::{Cell, DeliveryRow};
use crate::{
    error::Result,
    projection::{Schema, Table},
    value::{count, from_word, id, instant, integer, maybe_id, maybe_instant},
};

/// Tables of this projection.
pub(crate) const SCHEMA: Schema = Schema {
    tables_sql: "
CREATE TABLE endpoints (
    id                   BLOB PRIMARY KEY,
    ordinal              INTEGER NOT NULL, -- position of its creation
    version              INTEGER NOT NULL,
    outcomes             INTEGER NOT NULL, -- records of its stream of outcomes
    touched_at           INTEGER NOT NULL, -- position of the newest record that changed its queue
    settings             TEXT NOT NULL, -- without credentials (OB-86)
    disabled_reason      TEXT,
    disabled_at          INTEGER,
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL,
    last_delivery_at     INTEGER,
    consecutive_failures INTEGER NOT NULL,
    quick_failures       INTEGER NOT NULL,
    failing_since        INTEGER,
    last_failure_at      INTEGER,
    throttled_until      INTEGER,
    last_error           TEXT,
    deleted_at           INTEGER,
    destroyed_key        BLOB           -- what sealed its credentials
) STRICT, WITHOUT ROWID;
CREATE TABLE deliveries (
    seq              INTEGER PRIMARY KEY, -- position of the causing record, then the rank of the receiver
    id               BLOB NOT NULL,
    endpoint         BLOB NOT NULL,
    message          BLOB NOT NULL,
    event_type       TEXT NOT NULL,
    contact          BLOB,
    test             INTEGER NOT NULL,
    status           TEXT NOT NULL,
    attempts         INTEGER NOT NULL,
    next_attempt_at  INTEGER,
    last_attempt_at  INTEGER,
    response_status  INTEGER,
    response_snippet TEXT,
    last_error       TEXT,
    error_class      TEXT,
    delivered_at     INTEGER,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX deliveries_by_id ON deliveries (id);
CREATE INDEX deliveries_pending ON deliveries (endpoint, attempts, seq) WHERE status = 'pending';
CREATE INDEX deliveries_by_contact ON deliveries (contact, seq) WHERE contact IS NOT NULL;
CREATE TABLE delivery_bodies (
    seq  INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE attempts (
    delivery         INTEGER NOT NULL, -- seq
    n                INTEGER NOT NULL,
    at               INTEGER NOT NULL,
    duration_ms      INTEGER NOT NULL,
    result           TEXT NOT NULL,
    response_status  INTEGER,
    response_snippet TEXT,
    error            TEXT,
    error_class      TEXT,
    PRIMARY KEY (delivery, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE dead_letters (
    seq         INTEGER PRIMARY KEY,
    id          BLOB NOT NULL, -- of the delivery
    url         TEXT NOT NULL,
    kind        TEXT NOT NULL,
    retry_count INTEGER NOT NULL,
    error       TEXT NOT NULL,
    status      TEXT NOT NULL,
    retried_at  INTEGER,
    created_at  INTEGER NOT NULL
) STRICT;
CREATE TABLE delivery_counts (
    endpoint BLOB NOT NULL,
    status   TEXT NOT NULL,
    amount   INTEGER NOT NULL,
    PRIMARY KEY (endpoint, status)
) STRICT, WITHOUT ROWID;
",
    indexes_sql: "
CREATE INDEX IF NOT EXISTS deliveries_retries ON deliveries (endpoint, next_attempt_at, id)
    WHERE status = 'pending' AND attempts > 0;
CREATE INDEX IF NOT EXISTS deliveries_tests ON deliveries (endpoint, seq) WHERE status = 'pending' AND test = 1;
CREATE INDEX IF NOT EXISTS deliveries_by_endpoint ON deliveries (endpoint, seq);
CREATE INDEX IF NOT EXISTS deliveries_by_message ON deliveries (message);
CREATE INDEX IF NOT EXISTS dead_letters_by_time ON dead_letters (created_at, seq);
CREATE INDEX IF NOT EXISTS dead_letters_by_id ON dead_letters (id);
",
    tables: &[
        Table { name: "endpoints", key: &["id"], personal: &["settings", "last_error"] },
        Table { name: "deliveries", key: &["seq"], personal: &["response_snippet", "last_error"] },
        Table { name: "delivery_bodies", key: &["seq"], personal: &["body"] },
        Table { name: "attempts", key: &["delivery", "n"], personal: &["response_snippet", "error"] },
        Table { name: "dead_letters", key: &["seq"], personal: &["url", "error"] },
        Table { name: "delivery_counts", key: &["endpoint", "status"], personal: &[] },
    ],
};

/// Columns of a delivery, for [`read`].
pub(super) const COLUMNS: &str =
    "d.seq, d.id, d.endpoint, d.message, d.event_type, d.contact, d.test, d.status,
    d.attempts, d.next_attempt_at, d.last_attempt_at, d.response_status, d.response_snippet, d.last_error,
    d.error_class, d.delivered_at, d.created_at, d.updated_at";

/// A delivery's row out of [`COLUMNS`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<DeliveryRow> {
    Ok(DeliveryRow {
        seq: count(row, 0)?,
        id: DeliveryId(id(row, 1)?),
        endpoint: EndpointId(id(row, 2)?),
        message: MessageId(id(row, 3)?),
        event_type: row.get(4)?,
        contact: maybe_id(row, 5)?.map(ContactId),
        test: row.get(6)?,
        status: from_word(row, 7)?,
        attempts: row.get(8)?,
        next_attempt_at: maybe_instant(row, 9)?,
        last_attempt_at: maybe_instant(row, 10)?,
        response_status: row.get(11)?,
        response_snippet: row.get(12)?,
        last_error: row.get(13)?,
        error_class: row.get(14)?,
        delivered_at: maybe_instant(row, 15)?,
        created_at: instant(row, 16)?,
        updated_at: instant(row, 17)?,
    })
}

/// A delivery by its id.
pub(super) fn load(connection: &Connection, delivery: DeliveryId) -> Result<Option<DeliveryRow>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM deliveries d WHERE d.id = ?1"))?;
    Ok(statement.query_row([delivery.0.as_bytes()], read).optional()?)
}

/// Writes deliveries, sorted by place.
pub(super) fn write(connection: &Connection, cells: &[Cell]) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO deliveries (seq, id, endpoint, message, event_type, contact, test, status, attempts,
             next_attempt_at, last_attempt_at, response_status, response_snippet, last_error, error_class,
             delivered_at, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?;
    let mut insert_body =
        connection.prepare_cached("INSERT INTO delivery_bodies (seq, body) VALUES (?1, ?2)")?;
    let mut update = connection.prepare_cached(
        "UPDATE deliveries SET status = ?2, attempts = ?3, next_attempt_at = ?4, last_attempt_at = ?5,
             response_status = ?6, response_snippet = ?7, last_error = ?8, error_class = ?9, delivered_at = ?10,
             updated_at = ?11
         WHERE seq = ?1",
    )?;
    for Cell { row, body } in cells {
        let (next, last) = (row.next_attempt_at.map(|at| at.0), row.last_attempt_at.map(|at| at.0));
        let delivered = row.delivered_at.map(|at| at.0);
        match body {
            Some(body) => {
                insert.execute(params![
                    integer(row.seq),
                    row.id.0.as_bytes(),
                    row.endpoint.0.as_bytes(),
                    row.message.0.as_bytes(),
                    row.event_type,
                    row.contact.as_ref().map(|contact| contact.0.as_bytes()),
                    row.test,
                    row.status.as_str(),
                    row.attempts,
                    next,
                    last,
                    row.response_status,
                    row.response_snippet,
                    row.last_error,
                    row.error_class,
                    delivered,
                    row.created_at.0,
                    row.updated_at.0,
                ])?;
                insert_body.execute(params![integer(row.seq), &body[..]])?;
            }
            None => {
                update.execute(params![
                    integer(row.seq),
                    row.status.as_str(),
                    row.attempts,
                    next,
                    last,
                    row.response_status,
                    row.response_snippet,
                    row.last_error,
                    row.error_class,
                    delivered,
                    row.updated_at.0,
                ])?;
            }
        }
    }
    Ok(())
}

/// Ends everything an endpoint still had to get; says how much that was (OB-87).
pub(super) fn discard_pending(connection: &Connection, endpoint: EndpointId, at: Timestamp) -> Result<i64> {
    let discarded = connection
        .prepare_cached(
            "UPDATE deliveries SET status = 'discarded', next_attempt_at = NULL, updated_at = ?2
             WHERE endpoint = ?1 AND status = 'pending'",
        )?
        .execute(params![endpoint.0.as_bytes(), at.0])?;
    Ok(crate::page::rows(discarded))
}

/// Takes away what the deliveries about a contact show of it, and ends those that are still to be made; says how many
/// of which endpoint these were.
pub(super) fn erase(
    connection: &Connection,
    contact: ContactId,
    at: Timestamp,
) -> Result<Vec<(EndpointId, i64)>> {
    let about = [contact.0.as_bytes()];
    let ended = connection
        .prepare_cached(
            "SELECT endpoint, count(*) FROM deliveries WHERE contact = ?1 AND status = 'pending' GROUP BY endpoint",
        )?
        .query_map(about, |row| Ok((EndpointId(id(row, 0)?), row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    connection
        .prepare_cached(
            "UPDATE deliveries SET status = 'discarded', next_attempt_at = NULL, updated_at = ?2
             WHERE contact = ?1 AND status = 'pending'",
        )?
        .execute(params![contact.0.as_bytes(), at.0])?;
    connection
        .prepare_cached("UPDATE deliveries SET response_snippet = NULL WHERE contact = ?1")?
        .execute(about)?;
    for (table, column, value) in
        [("delivery_bodies", "seq", "body = x''"), ("attempts", "delivery", "response_snippet = NULL")]
    {
        connection
            .prepare_cached(&format!(
                "UPDATE {table} SET {value} WHERE {column} IN (SELECT seq FROM deliveries WHERE contact = ?1)"
            ))?
            .execute(about)?;
    }
    connection
        .prepare_cached(
            "UPDATE dead_letters SET status = 'discarded'
             WHERE status = 'pending' AND seq IN (SELECT seq FROM deliveries WHERE contact = ?1)",
        )?
        .execute(about)?;
    Ok(ended)
}

/// Whether a delivery's body was taken away because its contact was erased.
pub(super) fn is_erased(connection: &Connection, delivery: DeliveryId) -> Result<bool> {
    let blank = connection
        .prepare_cached(
            "SELECT b.body = x'' FROM deliveries d JOIN delivery_bodies b ON b.seq = d.seq WHERE d.id = ?1",
        )?
        .query_row([delivery.0.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(blank.unwrap_or(false))
}

/// Writes attempts with the place of their delivery; a repeated one keeps what was recorded first.
pub(super) fn write_attempts(connection: &Connection, attempts: &[(u64, Attempted)]) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO attempts (delivery, n, at, duration_ms, result, response_status, response_snippet,
             error, error_class)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for (seq, attempted) in attempts {
        let result = match attempted.result {
            AttemptResult::Delivered => "delivered",
            AttemptResult::Retry { .. } => "retry",
            AttemptResult::Failed => "failed",
        };
        insert.execute(params![
            integer(*seq),
            attempted.attempt,
            attempted.at.0,
            attempted.duration_ms,
            result,
            attempted.response_status,
            attempted.response_snippet,
            attempted.error,
            attempted.error_class,
        ])?;
    }
    Ok(())
}

/// A dead letter's row (OB-154): what cannot be read off the delivery later.
#[derive(Debug)]
pub(super) struct LetterRow {
    seq: u64,
    id: DeliveryId,
    url: String,
    kind: String,
    retry_count: u32,
    error: String,
    created_at: Timestamp,
}

impl LetterRow {
    /// The dead letter of a delivery that was given up.
    pub fn new(delivery: &DeliveryRow, settings: &EndpointSettings, created_at: Timestamp) -> Self {
        // The text of OB-132.
        let cause = delivery.last_error.as_deref().unwrap_or("unknown");
        Self {
            seq: delivery.seq,
            id: delivery.id,
            url: settings.url.clone(),
            kind: settings.kind.clone(),
            retry_count: delivery.attempts,
            error: format!("Exhausted {}: {cause}", delivery.attempts),
            created_at,
        }
    }
}

/// Notes that what was given up is tried again (OB-155).
pub(super) fn retry_letter(connection: &Connection, seq: u64, at: Timestamp) -> Result<()> {
    connection
        .prepare_cached("UPDATE dead_letters SET status = 'retried', retried_at = ?2 WHERE seq = ?1")?
        .execute(params![integer(seq), at.0])?;
    Ok(())
}

/// Writes dead letters. A delivery that is given up again is a new letter in the place of the old one.
pub(super) fn write_letters(connection: &Connection, letters: &[LetterRow]) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO dead_letters (seq, id, url, kind, retry_count, error, status, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7)",
    )?;
    for letter in letters {
        insert.execute(params![
            integer(letter.seq),
            letter.id.0.as_bytes(),
            letter.url,
            letter.kind,
            letter.retry_count,
            letter.error,
            letter.created_at.0,
        ])?;
    }
    Ok(())
}
