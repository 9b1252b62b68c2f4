//! What is due, for whoever sends.

use bytes::Bytes;
use mainspring_eventlog::Position;
use mainspring_schemas::{ContactId, DeliveryId, EndpointId, MessageId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::cell::{RANK_BITS, place};
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
    /// Attempts made on the current schedule.
    pub schedule_attempts: u32,
    /// How often it was requeued.
    pub requeues: u32,
    /// Whether the receiver has it and a recovery sends it again (OC-93).
    pub replay: bool,
    /// Since when it is due.
    pub due_at: Timestamp,
    /// When the row was made.
    pub created_at: Timestamp,
    /// The frozen envelope (OB-52).
    pub body: Bytes,
}

impl DueDelivery {
    /// Position of the record that caused it.
    pub fn position(&self) -> Position {
        self.seq >> RANK_BITS
    }
}

/// A page ends when the bodies in it are so large, however many deliveries were asked for: whoever holds a page per
/// endpoint must know how much that is.
pub const PAGE_BYTES: usize = 1 << 20;

/// Which attempts are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstAttempts {
    /// All of them.
    All,
    /// Those whose contact has no earlier delivery pending at the endpoint, and those about nobody.
    Heads,
    /// Only tests: everything else of a disabled endpoint is held (OB-88, OB-177).
    Tests,
}

const COLUMNS: &str = "d.seq, d.id, d.endpoint, d.message, d.event_type, d.contact, d.test, d.attempts,
    d.next_attempt_at, d.created_at, d.attempts - d.schedule_from, d.requeues, d.replay,
    (SELECT b.body FROM delivery_bodies b WHERE b.seq = d.seq)";

fn read(row: &Row<'_>) -> rusqlite::Result<DueDelivery> {
    Ok(DueDelivery {
        seq: count(row, 0)?,
        id: DeliveryId(id(row, 1)?),
        endpoint: EndpointId(id(row, 2)?),
        message: MessageId(id(row, 3)?),
        event_type: row.get(4)?,
        contact: maybe_id(row, 5)?.map(ContactId),
        test: row.get(6)?,
        attempts: row.get(7)?,
        due_at: instant(row, 8)?,
        created_at: instant(row, 9)?,
        schedule_attempts: row.get(10)?,
        requeues: row.get(11)?,
        replay: row.get(12)?,
        body: row.get::<_, Vec<u8>>(13)?.into(),
    })
}

fn select(connection: &Connection, rest: &str, values: &[&dyn ToSql]) -> Result<Vec<DueDelivery>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM deliveries d {rest}"))?;
    let (mut due, mut bytes) = (Vec::new(), 0);
    for found in statement.query_map(values, read)? {
        let found = found?;
        bytes += found.body.len();
        due.push(found);
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    Ok(due)
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
    let after = after.map_or(-1, integer);
    select(
        connection,
        "INDEXED BY deliveries_pending
         WHERE d.status = 'pending' AND d.endpoint = ?1 AND d.seq > ?2 AND d.next_attempt_at <= ?3
           AND (d.test = 1 OR NOT ?4)
         ORDER BY d.seq LIMIT ?5",
        params![endpoint.0.as_bytes(), after, now.0, held, rows(limit)],
    )
}

/// That no earlier delivery about the same contact is pending at the endpoint.
const IS_HEAD: &str = "AND NOT EXISTS (
    SELECT 1 FROM deliveries e INDEXED BY deliveries_of_contact
    WHERE e.contact = d.contact AND e.seq < d.seq AND e.endpoint = d.endpoint AND e.status = 'pending')";

/// Deliveries to an endpoint without an attempt or a requeue so far, in log order, after those of a record.
pub(crate) fn first_attempts(
    connection: &Connection,
    endpoint: EndpointId,
    wanted: FirstAttempts,
    after: Option<Position>,
    limit: usize,
) -> Result<Vec<DueDelivery>> {
    // One record makes at most one delivery to an endpoint, so the next record's first place is beyond it.
    let from = after.and_then(|position| place(position + 1, 0)).map_or(0, integer);
    let (index, further) = match wanted {
        FirstAttempts::All => ("deliveries_pending", ""),
        FirstAttempts::Heads => ("deliveries_pending", IS_HEAD),
        FirstAttempts::Tests => ("deliveries_tests", "AND d.test = 1"),
    };
    let rest = format!(
        "INDEXED BY {index}
         WHERE d.status = 'pending' AND d.endpoint = ?1 AND d.attempts = 0 AND d.requeues = 0
           AND d.seq >= ?2 {further}
         ORDER BY d.seq LIMIT ?3"
    );
    select(connection, &rest, params![endpoint.0.as_bytes(), from, rows(limit)])
}

/// Deliveries to an endpoint with attempts behind them, or requeued, that are due by `until`, soonest first and in log
/// order where that is equal, after the given one of that order.
pub(crate) fn retries(
    connection: &Connection,
    endpoint: EndpointId,
    wanted: FirstAttempts,
    until: Timestamp,
    after: Option<(Timestamp, DeliveryId)>,
    limit: usize,
) -> Result<Vec<DueDelivery>> {
    let (at, delivery): (i64, &[u8]) =
        after.as_ref().map_or((i64::MIN, &[]), |(at, delivery)| (at.0, delivery.0.as_bytes()));
    let further = match wanted {
        FirstAttempts::All => "",
        FirstAttempts::Heads => IS_HEAD,
        FirstAttempts::Tests => "AND d.test = 1",
    };
    let rest = format!(
        "INDEXED BY deliveries_retries
         WHERE d.status = 'pending' AND (d.attempts > 0 OR d.requeues > 0) AND d.endpoint = ?1
           AND d.next_attempt_at <= ?2
           AND (d.next_attempt_at, d.seq) > (?3, coalesce((SELECT seq FROM deliveries WHERE id = ?4), -1)) {further}
         ORDER BY d.next_attempt_at, d.seq LIMIT ?5"
    );
    select(connection, &rest, params![endpoint.0.as_bytes(), until.0, at, delivery, rows(limit)])
}

/// The first pending delivery about a contact to an endpoint, in log order; no test.
pub(crate) fn next_of_contact(
    connection: &Connection,
    endpoint: EndpointId,
    contact: ContactId,
) -> Result<Option<DueDelivery>> {
    let found = select(
        connection,
        "INDEXED BY deliveries_of_contact
         WHERE d.contact = ?2 AND d.endpoint = ?1 AND d.status = 'pending' AND d.test = 0 ORDER BY d.seq LIMIT 1",
        params![endpoint.0.as_bytes(), contact.0.as_bytes()],
    )?;
    Ok(found.into_iter().next())
}

/// Pending deliveries to an endpoint but tests, oldest first, with the instants they were made at (OB-88).
pub(crate) fn held(
    connection: &Connection,
    endpoint: EndpointId,
    limit: usize,
) -> Result<Vec<(DeliveryId, Timestamp)>> {
    // First attempts are found in order; those with attempts behind them are few.
    let mut statement = connection.prepare_cached(
        "SELECT id, created_at, seq FROM (
             SELECT id, created_at, seq FROM deliveries INDEXED BY deliveries_pending
             WHERE status = 'pending' AND endpoint = ?1 AND attempts = 0 AND test = 0 ORDER BY seq LIMIT ?2)
         UNION ALL
         SELECT id, created_at, seq FROM (
             SELECT id, created_at, seq FROM deliveries INDEXED BY deliveries_retries
             WHERE status = 'pending' AND endpoint = ?1 AND attempts > 0 AND test = 0 ORDER BY seq LIMIT ?2)
         ORDER BY 3 LIMIT ?2",
    )?;
    let held = statement.query_map(params![endpoint.0.as_bytes(), rows(limit)], |row| {
        Ok((DeliveryId(id(row, 0)?), instant(row, 1)?))
    })?;
    Ok(held.collect::<rusqlite::Result<_>>()?)
}

/// When an endpoint's next retry is due that is not due yet at `now`.
pub(crate) fn next_retry(
    connection: &Connection,
    endpoint: EndpointId,
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    let mut statement = connection.prepare_cached(
        "SELECT min(next_attempt_at) FROM deliveries INDEXED BY deliveries_retries
         WHERE status = 'pending' AND (attempts > 0 OR requeues > 0) AND endpoint = ?1 AND next_attempt_at > ?2",
    )?;
    let at: Option<i64> = statement.query_row(params![endpoint.0.as_bytes(), now.0], |row| row.get(0))?;
    Ok(at.map(Timestamp))
}

/// Endpoints with anything pending, held or not, whose queue changed at `since` or later; `None` = whenever.
pub(crate) fn changed_endpoints(connection: &Connection, since: Option<Position>) -> Result<Vec<EndpointId>> {
    let mut statement = connection.prepare_cached(
        "SELECT e.id FROM endpoints e JOIN delivery_counts c ON c.endpoint = e.id AND c.status = 'pending'
         WHERE e.deleted_at IS NULL AND e.touched_at >= ?1 AND c.amount > 0 ORDER BY e.ordinal",
    )?;
    let endpoints = statement.query_map([since.map_or(0, integer)], |row| Ok(EndpointId(id(row, 0)?)))?;
    Ok(endpoints.collect::<rusqlite::Result<_>>()?)
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
    let held = is_held(connection, endpoint)?;
    let wanted = if held { FirstAttempts::Tests } else { FirstAttempts::All };
    // First attempts are due from the moment they come, so the oldest is the soonest.
    let first = first_attempts(connection, endpoint, wanted, None, 1)?.first().map(|due| due.due_at);
    let retry = if held { None } else { next_retry(connection, endpoint, Timestamp(i64::MIN))? };
    Ok(match (first, retry) {
        (Some(first), Some(retry)) => Some(first.min(retry)),
        (first, retry) => first.or(retry),
    })
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
