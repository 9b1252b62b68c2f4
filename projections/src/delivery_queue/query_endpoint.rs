//! Questions about endpoints (OB-170, OB-172).

use mainspring_schemas::{
    EndpointId, Timestamp, endpoint_health::EndpointHealth, event::endpoint::EndpointSettings,
};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::{
    endpoint::EndpointRow,
    store_endpoint::{COLUMNS, read},
};
use crate::{
    error::Result,
    page::rows,
    value::{count, id},
};

/// An endpoint, without its credentials (OB-86): the engine's live view has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Version of the newest record of its configuration.
    pub version: u64,
    /// Its settings.
    pub settings: EndpointSettings,
    /// Why it is disabled (`operator`, `gone`, `failing`); `None` = it is enabled.
    pub disabled_reason: Option<String>,
    /// Since when.
    pub disabled_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its configuration changed last.
    pub updated_at: Timestamp,
    /// When a request last succeeded.
    pub last_delivery_at: Option<Timestamp>,
    /// How it is doing (OB-151, OB-152).
    pub health: EndpointHealth,
    /// What went wrong with the last attempt that failed.
    pub last_error: Option<String>,
    /// When it was deleted; such an endpoint is in no list.
    pub deleted_at: Option<Timestamp>,
}

impl Endpoint {
    /// Whether deliveries are held (OB-88).
    pub fn is_disabled(&self) -> bool {
        self.disabled_at.is_some()
    }
}

impl From<EndpointRow> for Endpoint {
    fn from(row: EndpointRow) -> Self {
        Self {
            id: row.id,
            version: row.version,
            settings: row.settings,
            disabled_reason: row.disabled_reason,
            disabled_at: row.disabled_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
            last_delivery_at: row.last_delivery_at,
            health: row.health,
            last_error: row.last_error,
            deleted_at: row.deleted_at,
        }
    }
}

/// How many deliveries are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Waiting, held ones included.
    pub pending: u64,
    /// Waiting for a disabled endpoint.
    pub held: u64,
    /// Taken.
    pub delivered: u64,
    /// Given up.
    pub failed: u64,
    /// Without an endpoint.
    pub discarded: u64,
}

/// An endpoint by its id, also a deleted one.
pub(crate) fn endpoint(connection: &Connection, endpoint: EndpointId) -> Result<Option<Endpoint>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM endpoints WHERE id = ?1"))?;
    Ok(statement.query_row([endpoint.0.as_bytes()], read).optional()?.map(Endpoint::from))
}

/// A page of the endpoints there are, newest first (OB-170).
pub(crate) fn endpoints(
    connection: &Connection,
    include_disabled: bool,
    limit: usize,
    offset: usize,
) -> Result<Vec<Endpoint>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM endpoints WHERE deleted_at IS NULL AND (?1 OR disabled_at IS NULL)
         ORDER BY created_at DESC, ordinal DESC LIMIT ?2 OFFSET ?3"
    ))?;
    let endpoints = statement.query_map(params![include_disabled, rows(limit), rows(offset)], read)?;
    Ok(endpoints.map(|row| row.map(Endpoint::from)).collect::<rusqlite::Result<_>>()?)
}

/// How many endpoints there are.
pub(crate) fn endpoint_total(connection: &Connection, include_disabled: bool) -> Result<u64> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*) FROM endpoints WHERE deleted_at IS NULL AND (?1 OR disabled_at IS NULL)",
    )?;
    Ok(statement.query_row([include_disabled], |row| count(row, 0))?)
}

/// Ids of all endpoints there are, in the order of creation.
pub(crate) fn endpoint_ids(connection: &Connection) -> Result<Vec<EndpointId>> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM endpoints WHERE deleted_at IS NULL ORDER BY ordinal")?;
    let ids = statement.query_map([], |row| Ok(EndpointId(id(row, 0)?)))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

/// Keys that sealed the credentials of deleted endpoints (OB-86).
pub(crate) fn destroyed_endpoint_keys(connection: &Connection) -> Result<Vec<Uuid>> {
    let mut statement = connection.prepare_cached(
        "SELECT destroyed_key FROM endpoints WHERE destroyed_key IS NOT NULL ORDER BY ordinal",
    )?;
    let keys = statement.query_map([], |row| id(row, 0))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// Deliveries by state, of one endpoint or of all.
pub(crate) fn counts(connection: &Connection, endpoint: Option<EndpointId>) -> Result<DeliveryCounts> {
    let mut statement = connection.prepare_cached(
        "SELECT c.status, sum(c.amount), sum(CASE WHEN e.disabled_at IS NULL THEN 0 ELSE c.amount END)
         FROM delivery_counts c JOIN endpoints e ON e.id = c.endpoint
         WHERE ?1 IS NULL OR c.endpoint = ?1 GROUP BY c.status",
    )?;
    let id = endpoint.as_ref().map(|endpoint| endpoint.0.as_bytes());
    let mut found = statement.query(params![id])?;
    let mut counts = DeliveryCounts::default();
    while let Some(row) = found.next()? {
        let amount = count(row, 1)?;
        match row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)? {
            "pending" => (counts.pending, counts.held) = (amount, count(row, 2)?),
            "delivered" => counts.delivered = amount,
            "failed" => counts.failed = amount,
            _ => counts.discarded = amount,
        }
    }
    Ok(counts)
}
