//! The SQL that writes deliveries.

use mainspring_schemas::{
    ContactId, DeliveryId, EndpointId, MessageId, RecoveryId, Timestamp,
    event::delivery::{AttemptResult, Attempted},
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    cell::{Cell, DeliveryRow},
    envelope,
};
use crate::{
    error::Result,
    value::{count, from_word, id, instant, integer, maybe_id, maybe_instant},
};

/// Columns of a delivery, for [`read`].
pub(super) const COLUMNS: &str =
    "d.seq, d.id, d.endpoint, d.message, d.event_type, d.contact, d.test, d.status,
    d.attempts, d.next_attempt_at, d.last_attempt_at, d.response_status, d.response_snippet, d.last_error,
    d.error_class, d.delivered_at, d.created_at, d.updated_at, d.requeues, d.schedule_from, d.recovery, d.replay";

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
        requeues: row.get(18)?,
        schedule_from: row.get(19)?,
        recovery: maybe_id(row, 20)?.map(RecoveryId),
        replay: row.get(21)?,
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
             delivered_at, created_at, updated_at, requeues, schedule_from, recovery, replay)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
    )?;
    let mut insert_body =
        connection.prepare_cached("INSERT INTO delivery_bodies (seq, body) VALUES (?1, ?2)")?;
    let mut update = connection.prepare_cached(
        "UPDATE deliveries SET status = ?2, attempts = ?3, next_attempt_at = ?4, last_attempt_at = ?5,
             response_status = ?6, response_snippet = ?7, last_error = ?8, error_class = ?9, delivered_at = ?10,
             updated_at = ?11, requeues = ?12, schedule_from = ?13, recovery = ?14, replay = ?15
         WHERE seq = ?1",
    )?;
    for Cell { row, body } in cells {
        let (next, last) = (row.next_attempt_at.map(|at| at.0), row.last_attempt_at.map(|at| at.0));
        let delivered = row.delivered_at.map(|at| at.0);
        let recovery = row.recovery.as_ref().map(|recovery| recovery.0.as_bytes());
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
                    row.requeues,
                    row.schedule_from,
                    recovery,
                    row.replay,
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
                    row.requeues,
                    row.schedule_from,
                    recovery,
                    row.replay,
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

/// Makes the retries to an endpoint due that are not due yet (OB-152).
pub(super) fn make_due(connection: &Connection, endpoint: EndpointId, at: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE deliveries SET next_attempt_at = ?2, updated_at = ?2
             WHERE endpoint = ?1 AND status = 'pending' AND (attempts > 0 OR requeues > 0) AND next_attempt_at > ?2",
        )?
        .execute(params![endpoint.0.as_bytes(), at.0])?;
    Ok(())
}

/// Takes away what the deliveries about a contact show of it, and ends those that are still to be made; says how many
/// of which endpoint these were.
pub(super) fn erase(
    connection: &Connection,
    contact: ContactId,
    at: Timestamp,
) -> Result<Vec<(EndpointId, i64)>> {
    let about = [contact.0.as_bytes()];
    let partings = partings(connection, contact)?;
    let ended = connection
        .prepare_cached(
            "SELECT endpoint, count(*) FROM deliveries
             WHERE contact = ?1 AND status = 'pending' AND event_type <> 'contact.deleted' GROUP BY endpoint",
        )?
        .query_map(about, |row| Ok((EndpointId(id(row, 0)?), row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    connection
        .prepare_cached(
            "UPDATE deliveries SET status = 'discarded', next_attempt_at = NULL, updated_at = ?2
             WHERE contact = ?1 AND status = 'pending' AND event_type <> 'contact.deleted'",
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
        .prepare_cached("INSERT OR IGNORE INTO withdrawn (contact, erased_at) VALUES (?1, ?2)")?
        .execute(params![contact.0.as_bytes(), at.0])?;
    connection
        .prepare_cached(
            "UPDATE dead_letters SET status = 'discarded'
             WHERE status = 'pending' AND seq IN (SELECT seq FROM deliveries WHERE contact = ?1)",
        )?
        .execute(about)?;
    for (seq, body) in partings {
        connection
            .prepare_cached("UPDATE delivery_bodies SET body = ?2 WHERE seq = ?1")?
            .execute(params![integer(seq), body])?;
        connection
            .prepare_cached("UPDATE deliveries SET contact = NULL WHERE seq = ?1")?
            .execute([integer(seq)])?;
    }
    Ok(ended)
}

/// What is still to be told of a contact's end, as it is told of somebody who is erased: by the id alone. It is not
/// withdrawn (OB-163), and is about nobody any more.
fn partings(connection: &Connection, contact: ContactId) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, message, created_at FROM deliveries
         WHERE contact = ?1 AND status = 'pending' AND event_type = 'contact.deleted'",
    )?;
    let found = statement.query_map([contact.0.as_bytes()], |row| {
        Ok((count(row, 0)?, MessageId(id(row, 1)?), instant(row, 2)?))
    })?;
    let mut partings = Vec::new();
    for row in found {
        let (seq, message, at) = row?;
        partings.push((seq, envelope::parting(message, contact, at)?));
    }
    Ok(partings)
}

/// An attempt with what its delivery says about it.
#[derive(Debug)]
pub(super) struct AttemptRow {
    /// Place of the delivery.
    pub seq: u64,
    /// Where it went.
    pub endpoint: EndpointId,
    /// Whether the delivery is a test.
    pub test: bool,
    /// Whether it is the first one after a requeue.
    pub manual: bool,
    /// The outcome.
    pub attempted: Attempted,
}

/// Writes attempts; a repeated one keeps what was recorded first.
pub(super) fn write_attempts(connection: &Connection, attempts: &[AttemptRow]) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO attempts (delivery, n, endpoint, test, manual, secret_count, at, duration_ms, result,
             response_status, response_snippet, error, error_class)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    for AttemptRow { seq, endpoint, test, manual, attempted } in attempts {
        let result = match attempted.result {
            AttemptResult::Delivered => "delivered",
            AttemptResult::Retry { .. } => "retry",
            AttemptResult::Failed => "failed",
        };
        insert.execute(params![
            integer(*seq),
            attempted.attempt,
            endpoint.0.as_bytes(),
            test,
            manual,
            attempted.secret_count,
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
