//! What is due, for whoever sends.

use mainspring_schemas::{ContactId, DeliveryId, EndpointId, MessageId, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    error::Result,
    page::rows,
    value::{count, id, instant, integer, maybe_id},
};

/// A delivery whose attempt is due, with everything frozen in it; settings and secrets are read live (OB-83).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueDelivery {
    /// Place in the queue; the cursor of the next page.
    pub seq: u64,
    /// Its id.
    pub id: DeliveryId,
    /// Where to.
    pub endpoint: EndpointId,
    /// The message: `Webhook-Id`.
    pub message: MessageId,
    /// The outbound type.
    pub event_type: String,
    /// Whom it is about; first attempts of one contact keep the order of the log (OB-131).
    pub contact: Option<ContactId>,
    /// A test: one attempt only (OB-177).
    pub test: bool,
    /// Attempts made so far.
    pub attempts: u32,
    /// Since when it is due.
    pub due_at: Timestamp,
    /// When the row was made.
    pub created_at: Timestamp,
    /// The frozen envelope (OB-52).
    pub body: Vec<u8>,
}

/// Whether an endpoint is disabled or gone: only tests leave then.
fn is_held(connection: &Connection, endpoint: EndpointId) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT disabled_at IS NOT NULL OR deleted_at IS NOT NULL FROM endpoints WHERE id = ?1",
    )?;
    let held: Option<bool> = statement.query_row([endpoint.0.as_bytes()], |row| row.get(0)).optional()?;
    Ok(held.unwrap_or(true))
}

/// Deliveries to an endpoint that are due at `now`, in log order, after a place in the queue. Held ones are not due.
pub(crate) fn due(
    connection: &Connection,
    endpoint: EndpointId,
    now: Timestamp,
    after: Option<u64>,
    limit: usize,
) -> Result<Vec<DueDelivery>> {
    let held = is_held(connection, endpoint)?;
    let mut statement = connection.prepare_cached(
        "SELECT d.seq, d.id, d.message, d.event_type, d.contact, d.test, d.attempts, d.next_attempt_at, d.created_at,
                b.body
         FROM deliveries d INDEXED BY deliveries_pending JOIN delivery_bodies b ON b.seq = d.seq
         WHERE d.status = 'pending' AND d.endpoint = ?1 AND d.seq > ?2 AND d.next_attempt_at <= ?3
           AND (d.test = 1 OR NOT ?4)
         ORDER BY d.seq LIMIT ?5",
    )?;
    let after = after.map_or(-1, integer);
    let due =
        statement.query_map(params![endpoint.0.as_bytes(), after, now.0, held, rows(limit)], |row| {
            Ok(DueDelivery {
                seq: count(row, 0)?,
                id: DeliveryId(id(row, 1)?),
                endpoint,
                message: MessageId(id(row, 2)?),
                event_type: row.get(3)?,
                contact: maybe_id(row, 4)?.map(ContactId),
                test: row.get(5)?,
                attempts: row.get(6)?,
                due_at: instant(row, 7)?,
                created_at: instant(row, 8)?,
                body: row.get(9)?,
            })
        })?;
    Ok(due.collect::<rusqlite::Result<_>>()?)
}

/// Endpoints with anything pending that is not held, due now or later.
pub(crate) fn pending_endpoints(connection: &Connection) -> Result<Vec<EndpointId>> {
    let mut statement = connection.prepare_cached(
        "SELECT e.id FROM endpoints e
         WHERE e.deleted_at IS NULL AND CASE WHEN e.disabled_at IS NULL
             THEN EXISTS (SELECT 1 FROM delivery_counts c
                          WHERE c.endpoint = e.id AND c.status = 'pending' AND c.amount > 0)
             ELSE EXISTS (SELECT 1 FROM deliveries d
                          WHERE d.endpoint = e.id AND d.status = 'pending' AND d.test = 1) END
         ORDER BY e.ordinal",
    )?;
    let endpoints = statement.query_map([], |row| Ok(EndpointId(id(row, 0)?)))?;
    Ok(endpoints.collect::<rusqlite::Result<_>>()?)
}

/// When an endpoint's next attempt is due, if anything is pending and not held.
pub(crate) fn next_due_of(connection: &Connection, endpoint: EndpointId) -> Result<Option<Timestamp>> {
    let sql = if is_held(connection, endpoint)? {
        "SELECT min(next_attempt_at) FROM deliveries WHERE endpoint = ?1 AND status = 'pending' AND test = 1"
    } else {
        "SELECT min(next_attempt_at) FROM deliveries INDEXED BY deliveries_due
         WHERE endpoint = ?1 AND status = 'pending'"
    };
    let at: Option<i64> =
        connection.prepare_cached(sql)?.query_row([endpoint.0.as_bytes()], |row| row.get(0))?;
    Ok(at.map(Timestamp))
}

/// When the next attempt of all is due.
pub(crate) fn next_due(connection: &Connection) -> Result<Option<Timestamp>> {
    let mut soonest: Option<Timestamp> = None;
    for endpoint in pending_endpoints(connection)? {
        if let Some(at) = next_due_of(connection, endpoint)? {
            soonest = Some(soonest.map_or(at, |soonest| soonest.min(at)));
        }
    }
    Ok(soonest)
}
