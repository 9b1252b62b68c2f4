//! The dead letters (OB-154, OB-155).

use mainspring_schemas::{DeliveryId, EndpointId, MessageId, Timestamp};
use rusqlite::{Connection, params_from_iter, types::Value};

use super::query_log::Conditions;
use crate::{
    error::Result,
    page::rows,
    value::{count, id, instant, maybe_instant},
};

/// A delivery that was given up (OB-154).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The delivery: both the entry's id and its `sourceId`.
    pub id: DeliveryId,
    /// Where to.
    pub endpoint: EndpointId,
    /// The address when it was given up; a credential in itself for some kinds (OB-156).
    pub url: String,
    /// The endpoint's kind then.
    pub kind: String,
    /// The outbound type.
    pub event_type: String,
    /// The message.
    pub message: MessageId,
    /// The envelope.
    pub body: Vec<u8>,
    /// Attempts made.
    pub retry_count: u32,
    /// Why (OB-132).
    pub error: String,
    /// `pending`, `retried` or `discarded`.
    pub status: String,
    /// When it was retried.
    pub retried_at: Option<Timestamp>,
    /// When it was given up.
    pub created_at: Timestamp,
}

/// Which dead letters to list (OB-155); the default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// In one of these states; empty = all.
    pub statuses: Vec<String>,
    /// Only this entry.
    pub id: Option<DeliveryId>,
    /// Only of this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Given up at this instant or later.
    pub since: Option<Timestamp>,
    /// Only what can be sent again: its endpoint is enabled, and whom it is about was not erased.
    pub retriable: bool,
}

/// That the endpoint of a letter gets requests, and that there is a body to send.
const IS_RETRIABLE: &str = "EXISTS (
    SELECT 1 FROM deliveries d JOIN endpoints e ON e.id = d.endpoint JOIN delivery_bodies b ON b.seq = d.seq
    WHERE d.seq = l.seq AND e.disabled_at IS NULL AND e.deleted_at IS NULL AND length(b.body) > 0)";

fn of_letters(filter: &DeadLetterFilter) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.compare("l.id =", filter.id.map(|id| Value::Blob(id.0.as_bytes().to_vec())));
    if let Some(endpoint) = filter.endpoint {
        let place = conditions.place(Value::Blob(endpoint.0.as_bytes().to_vec()));
        let of_endpoint =
            format!("EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = l.seq AND d.endpoint = {place})");
        conditions.clauses.push(of_endpoint);
    }
    conditions.compare("l.created_at >=", filter.since.map(|at| Value::Integer(at.0)));
    if filter.retriable {
        conditions.clauses.push(IS_RETRIABLE.to_owned());
    }
    if !filter.statuses.is_empty() {
        let places: Vec<String> =
            filter.statuses.iter().map(|status| conditions.place(Value::Text(status.clone()))).collect();
        conditions.clauses.push(format!("l.status IN ({})", places.join(", ")));
    }
    conditions
}

/// A page of dead letters, newest first (OB-155).
pub(crate) fn dead_letters(
    connection: &Connection,
    filter: &DeadLetterFilter,
    limit: usize,
    offset: usize,
) -> Result<Vec<DeadLetter>> {
    let mut conditions = of_letters(filter);
    let limit = conditions.place(Value::Integer(rows(limit)));
    let offset = conditions.place(Value::Integer(rows(offset)));
    let mut statement = connection.prepare_cached(&format!(
        "SELECT l.id, d.endpoint, l.url, l.kind, d.event_type, d.message, b.body, l.retry_count, l.error, l.status,
                l.retried_at, l.created_at
         FROM dead_letters l JOIN deliveries d ON d.seq = l.seq JOIN delivery_bodies b ON b.seq = l.seq
         WHERE {} ORDER BY l.created_at DESC, l.seq DESC LIMIT {limit} OFFSET {offset}",
        conditions.clause()
    ))?;
    let letters = statement.query_map(params_from_iter(conditions.values), |row| {
        Ok(DeadLetter {
            id: DeliveryId(id(row, 0)?),
            endpoint: EndpointId(id(row, 1)?),
            url: row.get(2)?,
            kind: row.get(3)?,
            event_type: row.get(4)?,
            message: MessageId(id(row, 5)?),
            body: row.get(6)?,
            retry_count: row.get(7)?,
            error: row.get(8)?,
            status: row.get(9)?,
            retried_at: maybe_instant(row, 10)?,
            created_at: instant(row, 11)?,
        })
    })?;
    Ok(letters.collect::<rusqlite::Result<_>>()?)
}

/// The oldest dead letters that a filter leaves, in the order of the log (DL-05).
pub(crate) fn oldest_dead_letters(
    connection: &Connection,
    filter: &DeadLetterFilter,
    limit: usize,
) -> Result<Vec<(EndpointId, DeliveryId)>> {
    let mut conditions = of_letters(filter);
    let limit = conditions.place(Value::Integer(rows(limit)));
    let mut statement = connection.prepare_cached(&format!(
        "SELECT (SELECT d.endpoint FROM deliveries d WHERE d.seq = l.seq), l.id FROM dead_letters l
         WHERE {} ORDER BY l.seq LIMIT {limit}",
        conditions.clause()
    ))?;
    let letters = statement.query_map(params_from_iter(conditions.values), |row| {
        Ok((EndpointId(id(row, 0)?), DeliveryId(id(row, 1)?)))
    })?;
    Ok(letters.collect::<rusqlite::Result<_>>()?)
}

/// How many dead letters a filter leaves.
pub(crate) fn dead_letter_total(connection: &Connection, filter: &DeadLetterFilter) -> Result<u64> {
    let conditions = of_letters(filter);
    let sql = format!("SELECT count(*) FROM dead_letters l WHERE {}", conditions.clause());
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row(params_from_iter(conditions.values), |row| count(row, 0))?)
}
