//! The SQL of recoveries and of what leaves by age.

use mainspring_schemas::{
    ContactId, EndpointId,
    event::redelivery::{Expired, RecoveryAdvanced, RecoveryEnded, RecoveryStarted},
};
use rusqlite::{Connection, params};

use super::DeliveryStatus;
use crate::{
    error::Result,
    value::{from_word, integer},
};

/// Which deliveries expire: ?1 = endpoint, ?2 and ?3 the two bounds of [`Expired`].
const EXPIRED: &str = "endpoint = ?1 AND status <> 'pending' AND updated_at <= max(?2, ?3)
    AND updated_at <= CASE status WHEN 'failed' THEN ?3 ELSE ?2 END";

/// Begins a recovery.
pub(super) fn start(connection: &Connection, endpoint: EndpointId, started: &RecoveryStarted) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO recoveries (id, endpoint, status, since, until, statuses, event_types,
                 include_missed, matched, queued, missed, through, log_end, started_at)
             VALUES (?1, ?2, 'running', ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, 0, ?9, ?10)",
        )?
        .execute(params![
            started.recovery.0.as_bytes(),
            endpoint.0.as_bytes(),
            started.since.0,
            started.until.0,
            serde_json::to_string(&started.statuses)?,
            serde_json::to_string(&started.event_types)?,
            started.include_missed,
            integer(started.matched),
            integer(started.end),
            started.at.0,
        ])?;
    Ok(())
}

/// Notes how far a recovery is.
pub(super) fn advance(connection: &Connection, advanced: &RecoveryAdvanced) -> Result<()> {
    connection
        .prepare_cached("UPDATE recoveries SET queued = ?2, missed = ?3, through = ?4 WHERE id = ?1")?
        .execute(params![
            advanced.recovery.0.as_bytes(),
            integer(advanced.queued),
            integer(advanced.missed),
            integer(advanced.through),
        ])?;
    Ok(())
}

/// Ends a recovery whose deliveries are all queued.
pub(super) fn end(connection: &Connection, ended: &RecoveryEnded) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE recoveries SET status = 'completed', ended_at = ?2 WHERE id = ?1 AND status = 'running'",
        )?
        .execute(params![ended.recovery.0.as_bytes(), ended.at.0])?;
    Ok(())
}

/// Ends the recoveries of an endpoint that is gone.
pub(super) fn cancel(connection: &Connection, endpoint: EndpointId, at: i64) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE recoveries SET status = 'cancelled', ended_at = ?2 WHERE endpoint = ?1 AND status = 'running'",
        )?
        .execute(params![endpoint.0.as_bytes(), at])?;
    Ok(())
}

/// Whether a contact was erased.
pub(super) fn is_withdrawn(connection: &Connection, contact: ContactId) -> Result<bool> {
    let mut statement =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM withdrawn WHERE contact = ?1)")?;
    Ok(statement.query_row([contact.0.as_bytes()], |row| row.get(0))?)
}

/// Forgets what ended long ago, and says how much that was of each state (OB-163).
pub(super) fn expire(
    connection: &Connection,
    endpoint: EndpointId,
    expired: &Expired,
) -> Result<Vec<(DeliveryStatus, i64)>> {
    let (ended, failed) = (expired.ended_until.0, expired.failed_until.0);
    let which = params![endpoint.0.as_bytes(), ended, failed];
    let gone = connection
        .prepare_cached(&format!("SELECT status, count(*) FROM deliveries WHERE {EXPIRED} GROUP BY status"))?
        .query_map(which, |row| Ok((from_word(row, 0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (table, column) in [("delivery_bodies", "seq"), ("attempts", "delivery"), ("dead_letters", "seq")] {
        connection
            .prepare_cached(&format!(
                "DELETE FROM {table} WHERE {column} IN (SELECT seq FROM deliveries WHERE {EXPIRED})"
            ))?
            .execute(which)?;
    }
    connection.prepare_cached(&format!("DELETE FROM deliveries WHERE {EXPIRED}"))?.execute(which)?;
    connection
        .prepare_cached(
            "DELETE FROM recoveries WHERE endpoint = ?1 AND status <> 'running' AND ended_at <= min(?2, ?3)",
        )?
        .execute(which)?;
    connection
        .prepare_cached(
            "INSERT INTO retention (endpoint, forgot_until) VALUES (?1, max(?2, ?3))
             ON CONFLICT (endpoint) DO UPDATE SET forgot_until = max(forgot_until, excluded.forgot_until)",
        )?
        .execute(which)?;
    Ok(gone)
}
