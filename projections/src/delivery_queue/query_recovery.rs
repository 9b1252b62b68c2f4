//! What can be delivered again, how far recoveries are, and what is old enough to leave (OB-161, OB-163).

use mainspring_eventlog::Position;
use mainspring_schemas::{ContactId, DeliveryId, EndpointId, RecoveryId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value};

use super::{
    DeliveryStatus,
    cell::{RANK_BITS, place},
    query_log::{Conditions, DeliveryFilter, conditions},
};
use crate::{
    error::Result,
    page::rows,
    value::{count, id, instant, integer, json, maybe_instant},
};

/// What a recovery delivers again (OB-161).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverySpan {
    /// Where everything goes.
    pub endpoint: EndpointId,
    /// Deliveries made, and messages recorded, at this instant or later.
    pub since: Timestamp,
    /// And at this instant or before.
    pub until: Timestamp,
    /// Deliveries in one of these states.
    pub statuses: Vec<DeliveryStatus>,
    /// Of one of these types or patterns; empty = all.
    pub event_types: Vec<String>,
    /// Whether messages without a delivery get one.
    pub include_missed: bool,
}

impl RecoverySpan {
    /// States that can be sent again; what is pending goes out anyway.
    pub const STATUSES: [DeliveryStatus; 3] =
        [DeliveryStatus::Failed, DeliveryStatus::Delivered, DeliveryStatus::Discarded];

    /// The deliveries there are. What was held for too long counts as missed.
    pub fn filter(&self) -> DeliveryFilter {
        let mut statuses = self.statuses.clone();
        if self.include_missed && !statuses.contains(&DeliveryStatus::Discarded) {
            statuses.push(DeliveryStatus::Discarded);
        }
        DeliveryFilter {
            statuses,
            event_types: self.event_types.clone(),
            endpoint: Some(self.endpoint),
            since: Some(self.since),
            until: Some(self.until),
            ..DeliveryFilter::default()
        }
    }
}

/// A recovery and how far it is (OB-161).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Its id: the task's.
    pub id: RecoveryId,
    /// `running`, `completed` or, if the endpoint was deleted, `cancelled`.
    pub status: String,
    /// What it delivers again.
    pub span: RecoverySpan,
    /// Deliveries that matched when it was asked for, and missed messages found since.
    pub matched: u64,
    /// Deliveries queued so far.
    pub queued: u64,
    /// How many of them are of missed messages.
    pub missed: u64,
    /// Everything caused by records below is done.
    pub through: Position,
    /// Records from here on do not belong to it.
    pub end: Position,
    /// When it was asked for.
    pub started_at: Timestamp,
    /// When everything was queued.
    pub ended_at: Option<Timestamp>,
    /// Deliveries it queued that were delivered after.
    pub delivered: u64,
    /// Deliveries it queued that were given up.
    pub failed: u64,
    /// Deliveries it queued that still wait.
    pub pending: u64,
}

/// A delivery that can be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recoverable {
    /// Position of the record that caused it.
    pub position: Position,
    /// Its id.
    pub id: DeliveryId,
}

/// How far back an endpoint's deliveries may be forgotten at once (OB-163).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expirable {
    /// Whose.
    pub endpoint: EndpointId,
    /// Delivered and discarded ones that ended by then.
    pub ended_until: Timestamp,
    /// Failed ones that ended by then.
    pub failed_until: Timestamp,
}

/// Conditions on what a recovery may send again: a test goes out once, and nobody has the body of the erased.
fn recoverable_conditions(span: &RecoverySpan, from: Position, end: Position) -> Conditions {
    let mut conditions = conditions(&span.filter());
    let bound = |position| Value::Integer(place(position, 0).map_or(i64::MAX, integer));
    conditions.compare("d.seq >=", Some(bound(from)));
    conditions.compare("d.seq <", Some(bound(end)));
    conditions.clauses.push("d.test = 0".to_owned());
    let body = "EXISTS (SELECT 1 FROM delivery_bodies b WHERE b.seq = d.seq AND length(b.body) > 0)";
    conditions.clauses.push(body.to_owned());
    conditions
}

/// Deliveries of a span that can be made again, caused by records from `from` on and below `end`, in log order.
pub(crate) fn recoverable(
    connection: &Connection,
    span: &RecoverySpan,
    from: Position,
    end: Position,
    limit: usize,
) -> Result<Vec<Recoverable>> {
    let mut conditions = recoverable_conditions(span, from, end);
    let limit = conditions.place(Value::Integer(rows(limit)));
    let sql = format!(
        "SELECT d.seq, d.id FROM deliveries d WHERE {} ORDER BY d.seq LIMIT {limit}",
        conditions.clause()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_map(params_from_iter(conditions.values), |row| {
        Ok(Recoverable { position: count(row, 0)? >> RANK_BITS, id: DeliveryId(id(row, 1)?) })
    })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// How many these are.
pub(crate) fn recoverable_total(connection: &Connection, span: &RecoverySpan, end: Position) -> Result<u64> {
    let conditions = recoverable_conditions(span, 0, end);
    let sql = format!("SELECT count(*) FROM deliveries d WHERE {}", conditions.clause());
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row(params_from_iter(conditions.values), |row| count(row, 0))?)
}

/// Whether a message needs no delivery: it has one, or whom it is about was erased.
pub(crate) fn is_known(
    connection: &Connection,
    delivery: DeliveryId,
    contact: Option<ContactId>,
) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM deliveries WHERE id = ?1)
             OR EXISTS (SELECT 1 FROM withdrawn WHERE contact = ?2)",
    )?;
    let contact = contact.as_ref().map(|contact| contact.0.as_bytes());
    Ok(statement.query_row(params![delivery.0.as_bytes(), contact], |row| row.get(0))?)
}

/// Up to which instant of recording an endpoint's deliveries may have been forgotten.
pub(crate) fn forgot_until(connection: &Connection, endpoint: EndpointId) -> Result<Option<Timestamp>> {
    let mut statement =
        connection.prepare_cached("SELECT forgot_until FROM retention WHERE endpoint = ?1")?;
    Ok(statement.query_row([endpoint.0.as_bytes()], |row| instant(row, 0)).optional()?)
}

/// How many deliveries of an endpoint wait for the first attempt of their schedule; counts no further than `most`.
pub(crate) fn untried(connection: &Connection, endpoint: EndpointId, most: usize) -> Result<usize> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*) FROM (
             SELECT 1 FROM deliveries INDEXED BY deliveries_pending
             WHERE endpoint = ?1 AND status = 'pending' AND attempts = 0
             UNION ALL
             SELECT 1 FROM deliveries INDEXED BY deliveries_requeued
             WHERE endpoint = ?1 AND status = 'pending' AND requeues > 0 AND attempts = schedule_from LIMIT ?2)",
    )?;
    let waiting = statement.query_row(params![endpoint.0.as_bytes(), rows(most)], |row| count(row, 0))?;
    Ok(usize::try_from(waiting).unwrap_or(most))
}

const RECOVERY: &str = "SELECT r.id, r.endpoint, r.status, r.since, r.until, r.statuses, r.event_types,
    r.include_missed, r.matched, r.queued, r.missed, r.through, r.log_end, r.started_at, r.ended_at,
    (SELECT count(*) FROM deliveries d WHERE d.recovery = r.id AND d.status = 'delivered'),
    (SELECT count(*) FROM deliveries d WHERE d.recovery = r.id AND d.status = 'failed'),
    (SELECT count(*) FROM deliveries d WHERE d.recovery = r.id AND d.status = 'pending') FROM recoveries r";

fn read(row: &Row<'_>) -> rusqlite::Result<Recovery> {
    let missed = count(row, 10)?;
    Ok(Recovery {
        id: RecoveryId(id(row, 0)?),
        status: row.get(2)?,
        span: RecoverySpan {
            endpoint: EndpointId(id(row, 1)?),
            since: instant(row, 3)?,
            until: instant(row, 4)?,
            statuses: json(row, 5)?,
            event_types: json(row, 6)?,
            include_missed: row.get(7)?,
        },
        matched: count(row, 8)? + missed,
        queued: count(row, 9)?,
        missed,
        through: count(row, 11)?,
        end: count(row, 12)?,
        started_at: instant(row, 13)?,
        ended_at: maybe_instant(row, 14)?,
        delivered: count(row, 15)?,
        failed: count(row, 16)?,
        pending: count(row, 17)?,
    })
}

/// A recovery by its id.
pub(crate) fn recovery(connection: &Connection, recovery: RecoveryId) -> Result<Option<Recovery>> {
    let mut statement = connection.prepare_cached(&format!("{RECOVERY} WHERE r.id = ?1"))?;
    Ok(statement.query_row([recovery.0.as_bytes()], read).optional()?)
}

/// Recoveries that are not over, oldest first.
pub(crate) fn running_recoveries(connection: &Connection) -> Result<Vec<Recovery>> {
    let mut statement = connection
        .prepare_cached(&format!("{RECOVERY} WHERE r.status = 'running' ORDER BY r.started_at, r.id"))?;
    let found = statement.query_map([], read)?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// What may be forgotten, at most `most` deliveries of each endpoint: what was delivered or discarded until `ended`, and
/// what failed until `failed`. Nothing older than a bound that is told remains, so asking again goes on.
pub(crate) fn expirable(
    connection: &Connection,
    ended: Timestamp,
    failed: Timestamp,
    most: usize,
) -> Result<Vec<Expirable>> {
    let mut bounds = connection.prepare_cached(
        "SELECT max(CASE status WHEN 'failed' THEN NULL ELSE updated_at END),
                max(CASE status WHEN 'failed' THEN updated_at END)
         FROM (SELECT status, updated_at FROM deliveries INDEXED BY deliveries_ended
               WHERE endpoint = ?1 AND status <> 'pending' AND updated_at <= max(?2, ?3)
                 AND updated_at <= CASE status WHEN 'failed' THEN ?3 ELSE ?2 END
               ORDER BY updated_at LIMIT ?4)",
    )?;
    let mut endpoints = connection.prepare_cached("SELECT id FROM endpoints ORDER BY ordinal")?;
    let endpoints: Vec<EndpointId> =
        endpoints.query_map([], |row| Ok(EndpointId(id(row, 0)?)))?.collect::<rusqlite::Result<_>>()?;
    let mut found = Vec::new();
    for endpoint in endpoints {
        let (one, other) = bounds
            .query_row(params![endpoint.0.as_bytes(), ended.0, failed.0, rows(most)], |row| {
                Ok((maybe_instant(row, 0)?, maybe_instant(row, 1)?))
            })?;
        if one.is_some() || other.is_some() {
            let never = Timestamp(i64::MIN);
            let (ended_until, failed_until) = (one.unwrap_or(never), other.unwrap_or(never));
            found.push(Expirable { endpoint, ended_until, failed_until });
        }
    }
    Ok(found)
}
