//! The delivery log (OB-180, OB-181).

use mainspring_schemas::{ContactId, DeliveryId, EndpointId, MessageId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter, types::Value};

use super::{
    DeliveryStatus,
    cell::DeliveryRow,
    store::{COLUMNS, read},
};
use crate::{
    error::Result,
    page::{Order, rows},
    value::{instant, integer},
};

/// A delivery (OB-180).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Place in the queue; the cursor of lists.
    pub seq: u64,
    /// Its id.
    pub id: DeliveryId,
    /// Where to.
    pub endpoint: EndpointId,
    /// The message: `webhookId`.
    pub message: MessageId,
    /// The outbound type.
    pub event_type: String,
    /// Whom it is about.
    pub contact: Option<ContactId>,
    /// Whether an operator asked for it as a test.
    pub test: bool,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Pending, but its endpoint is disabled.
    pub held: bool,
    /// Whether the receiver has it and a recovery sends it again (OC-93); as it was when it ended.
    pub replay: bool,
    /// Attempts made.
    pub attempts: u32,
    /// When the next one is due; `None` while it is held (OB-121).
    pub next_attempt_at: Option<Timestamp>,
    /// When the last one ended.
    pub last_attempt_at: Option<Timestamp>,
    /// The last answer's status.
    pub response_status: Option<u16>,
    /// The last answer's first bytes.
    pub response_snippet: Option<String>,
    /// What went wrong last (OB-132).
    pub last_error: Option<String>,
    /// The class of what went wrong last.
    pub error_class: Option<String>,
    /// When the receiver took it.
    pub delivered_at: Option<Timestamp>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the row changed last.
    pub updated_at: Timestamp,
}

impl Delivery {
    fn new(row: DeliveryRow, disabled: bool) -> Self {
        let held = row.status == DeliveryStatus::Pending && disabled && !row.test;
        Self {
            held,
            seq: row.seq,
            id: row.id,
            endpoint: row.endpoint,
            message: row.message,
            event_type: row.event_type,
            contact: row.contact,
            test: row.test,
            status: row.status,
            replay: row.replay,
            attempts: row.attempts,
            next_attempt_at: row.next_attempt_at.filter(|_| !held),
            last_attempt_at: row.last_attempt_at,
            response_status: row.response_status,
            response_snippet: row.response_snippet,
            last_error: row.last_error,
            error_class: row.error_class,
            delivered_at: row.delivered_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// One HTTP attempt (OB-181).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its ordinal, from 1.
    pub n: u32,
    /// When its outcome was known.
    pub at: Timestamp,
    /// How long it took.
    pub duration_ms: u32,
    /// What it led to: `delivered`, `retry` or `failed`.
    pub result: String,
    /// The receiver's status.
    pub response_status: Option<u16>,
    /// The first bytes of the answer.
    pub response_snippet: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// The class of what went wrong.
    pub error_class: Option<String>,
    /// Whether an operator asked for it: the first one after a requeue.
    pub manual: bool,
    /// How many secrets signed it; `None` if nobody counted.
    pub secret_count: Option<u8>,
}

impl Attempt {
    /// When it began.
    pub fn started_at(&self) -> Timestamp {
        self.at.plus(-i64::from(self.duration_ms))
    }
}

/// A delivery with its envelope and attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryDetail {
    /// The delivery.
    pub delivery: Delivery,
    /// The frozen envelope.
    pub payload: Vec<u8>,
    /// Its attempts, newest first, at most 50.
    pub attempts: Vec<Attempt>,
}

/// Which deliveries to list (OB-180); the default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Any of these states; empty and not `sending` = all.
    pub statuses: Vec<DeliveryStatus>,
    /// Those of which an attempt is under way. They are [`DeliveryStatus::Pending`] in the log, but none of the pending ones
    /// here (OB-120).
    pub in_flight: Vec<DeliveryId>,
    /// Also those in flight, beside the states.
    pub sending: bool,
    /// Any of these types or patterns (`*`, `<group>.*`); empty = all.
    pub event_types: Vec<String>,
    /// Only this message.
    pub message: Option<MessageId>,
    /// Only to this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Only about this contact.
    pub contact: Option<ContactId>,
    /// Created at this instant or later.
    pub since: Option<Timestamp>,
    /// Created at this instant or before.
    pub until: Option<Timestamp>,
    /// Only with this class of error.
    pub error_class: Option<String>,
}

/// Conditions with their values, numbered as they come.
#[derive(Default)]
pub(super) struct Conditions {
    pub clauses: Vec<String>,
    pub values: Vec<Value>,
}

impl Conditions {
    pub fn place(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }

    pub fn compare(&mut self, left: &str, value: Option<Value>) {
        if let Some(value) = value {
            let place = self.place(value);
            self.clauses.push(format!("{left} {place}"));
        }
    }

    pub fn clause(&self) -> String {
        if self.clauses.is_empty() { "1".to_owned() } else { self.clauses.join(" AND ") }
    }
}

fn blob(id: uuid::Uuid) -> Value {
    Value::Blob(id.as_bytes().to_vec())
}

/// The conditions of a filter on `deliveries d`.
pub(super) fn conditions(filter: &DeliveryFilter) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.compare("d.endpoint =", filter.endpoint.map(|endpoint| blob(endpoint.0)));
    conditions.compare("d.message =", filter.message.map(|message| blob(message.0)));
    conditions.compare("d.contact =", filter.contact.map(|contact| blob(contact.0)));
    conditions.compare("d.created_at >=", filter.since.map(|at| Value::Integer(at.0)));
    conditions.compare("d.created_at <=", filter.until.map(|at| Value::Integer(at.0)));
    conditions.compare("d.error_class =", filter.error_class.clone().map(Value::Text));
    if !filter.statuses.is_empty() || filter.sending {
        let words: Vec<String> =
            filter.statuses.iter().map(|status| format!("'{}'", status.as_str())).collect();
        let ids: Vec<String> = filter.in_flight.iter().map(|id| format!("x'{}'", id.0.simple())).collect();
        let in_flight = format!("(d.status = 'pending' AND d.id IN ({}))", ids.join(", "));
        let listed = format!("d.status IN ({})", words.join(", "));
        let wanted = if filter.sending {
            format!("({in_flight} OR {listed})")
        } else {
            format!("({listed} AND NOT {in_flight})")
        };
        conditions.clauses.push(wanted);
    }
    if !filter.event_types.is_empty() && !filter.event_types.iter().any(|pattern| pattern == "*") {
        // One value however many there are: SQLite takes neither chains nor lists of any length.
        let place =
            conditions.place(Value::Text(serde_json::Value::from(filter.event_types.clone()).to_string()));
        let any = format!("(SELECT value FROM json_each({place}))");
        let group = "substr(d.event_type, 1, instr(d.event_type, '.')) || '*'";
        conditions.clauses.push(format!("(d.event_type IN {any} OR {group} IN {any})"));
    }
    conditions
}

fn read_with_endpoint(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery::new(read(row)?, row.get(22)?))
}

const SELECT: &str = "e.disabled_at IS NOT NULL FROM deliveries d JOIN endpoints e ON e.id = d.endpoint";

/// A page of deliveries, in log order or against it, after a place in the queue.
pub(crate) fn deliveries(
    connection: &Connection,
    filter: &DeliveryFilter,
    order: Order,
    cursor: Option<u64>,
    limit: usize,
) -> Result<Vec<Delivery>> {
    let mut conditions = conditions(filter);
    let beyond = match order {
        Order::Descending => "d.seq <",
        Order::Ascending => "d.seq >",
    };
    conditions.compare(beyond, cursor.map(|seq| Value::Integer(integer(seq))));
    let limit = conditions.place(Value::Integer(rows(limit)));
    let sql = format!(
        "SELECT {COLUMNS}, {SELECT} WHERE {} ORDER BY d.seq {} LIMIT {limit}",
        conditions.clause(),
        order.sql()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let deliveries = statement.query_map(params_from_iter(conditions.values), read_with_endpoint)?;
    Ok(deliveries.collect::<rusqlite::Result<_>>()?)
}

/// A delivery with its envelope and its newest attempts.
pub(crate) fn detail(connection: &Connection, delivery: DeliveryId) -> Result<Option<DeliveryDetail>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS}, {SELECT} WHERE d.id = ?1"))?;
    let Some(delivery) = statement.query_row([delivery.0.as_bytes()], read_with_endpoint).optional()? else {
        return Ok(None);
    };
    let seq = integer(delivery.seq);
    let payload = connection
        .prepare_cached("SELECT body FROM delivery_bodies WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))
        .optional()?
        .unwrap_or_default();
    let mut statement = connection.prepare_cached(
        "SELECT n, at, duration_ms, result, response_status, response_snippet, error, error_class, manual,
                secret_count
         FROM attempts
         WHERE delivery = ?1 ORDER BY n DESC LIMIT 50",
    )?;
    let attempts = statement.query_map([seq], |row| {
        Ok(Attempt {
            n: row.get(0)?,
            at: instant(row, 1)?,
            duration_ms: row.get(2)?,
            result: row.get(3)?,
            response_status: row.get(4)?,
            response_snippet: row.get(5)?,
            error: row.get(6)?,
            error_class: row.get(7)?,
            manual: row.get(8)?,
            secret_count: row.get(9)?,
        })
    })?;
    Ok(Some(DeliveryDetail { delivery, payload, attempts: attempts.collect::<rusqlite::Result<_>>()? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob_180_types_are_found_by_name_and_by_group_however_many_are_named() {
        let connection = Connection::open_in_memory().unwrap();
        let found = |types: &[&str]| {
            let event_types = types.iter().map(|name| (*name).to_owned()).collect();
            let conditions = conditions(&DeliveryFilter { event_types, ..DeliveryFilter::default() });
            let sql = format!(
                "SELECT event_type FROM (SELECT 'bucket.entered' AS event_type UNION ALL SELECT 'bucket.left'
                     UNION ALL SELECT 'email.sent') d WHERE {} ORDER BY 1",
                conditions.clause()
            );
            let mut statement = connection.prepare(&sql).unwrap();
            let names = statement.query_map(params_from_iter(conditions.values), |row| row.get(0)).unwrap();
            names.collect::<rusqlite::Result<Vec<String>>>().unwrap()
        };
        assert_eq!(found(&["bucket.left"]), ["bucket.left"]);
        assert_eq!(found(&["bucket.*"]), ["bucket.entered", "bucket.left"]);
        assert_eq!(found(&["email.sent", "bucket.entered", "x'\""]), ["bucket.entered", "email.sent"]);
        assert_eq!(found(&["buck*", ".*", "bucket", "bucket.%"]), Vec::<String>::new());
        assert_eq!(found(&["*", "none"]).len(), 3);
        let mut many = vec!["a"; 40_000];
        many.push("email.*");
        assert_eq!(found(&many), ["email.sent"]);
    }
}
