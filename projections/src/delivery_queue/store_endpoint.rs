//! The SQL that writes endpoints and their counts.

use mainspring_schemas::{EndpointId, endpoint_health::EndpointHealth};
use rusqlite::{Connection, Row, params};

use super::{DeliveryStatus, endpoint::EndpointRow};
use crate::{
    error::Result,
    value::{count, id, instant, integer, json, maybe_id, maybe_instant},
};

/// Columns of an endpoint, for [`read`].
pub(super) const COLUMNS: &str = "id, ordinal, version, outcomes, touched_at, settings, disabled_reason,
    disabled_at, created_at, updated_at, last_delivery_at, consecutive_failures, quick_failures, failing_since,
    last_failure_at, throttled_until, last_error, deleted_at, destroyed_key";

/// An endpoint's row out of [`COLUMNS`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<EndpointRow> {
    Ok(EndpointRow {
        id: EndpointId(id(row, 0)?),
        ordinal: count(row, 1)?,
        version: count(row, 2)?,
        outcomes: count(row, 3)?,
        touched_at: count(row, 4)?,
        settings: json(row, 5)?,
        disabled_reason: row.get(6)?,
        disabled_at: maybe_instant(row, 7)?,
        created_at: instant(row, 8)?,
        updated_at: instant(row, 9)?,
        last_delivery_at: maybe_instant(row, 10)?,
        health: EndpointHealth {
            consecutive_failures: row.get(11)?,
            quick_failures: row.get(12)?,
            failing_since: maybe_instant(row, 13)?,
            last_failure_at: maybe_instant(row, 14)?,
            throttled_until: maybe_instant(row, 15)?,
        },
        last_error: row.get(16)?,
        deleted_at: maybe_instant(row, 17)?,
        destroyed_key: maybe_id(row, 18)?,
    })
}

/// Every endpoint that was ever created, in that order.
pub(super) fn load_all(connection: &Connection) -> Result<Vec<EndpointRow>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM endpoints ORDER BY ordinal"))?;
    let endpoints = statement.query_map([], read)?;
    Ok(endpoints.collect::<rusqlite::Result<_>>()?)
}

/// Writes an endpoint's row.
pub(super) fn save(connection: &Connection, endpoint: &EndpointRow) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO endpoints (id, ordinal, version, outcomes, touched_at, settings,
                 disabled_reason, disabled_at, created_at, updated_at, last_delivery_at, consecutive_failures,
                 quick_failures, failing_since, last_failure_at, throttled_until, last_error, deleted_at,
                 destroyed_key)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        )?
        .execute(params![
            endpoint.id.0.as_bytes(),
            integer(endpoint.ordinal),
            integer(endpoint.version),
            integer(endpoint.outcomes),
            integer(endpoint.touched_at),
            serde_json::to_string(&endpoint.settings)?,
            endpoint.disabled_reason,
            endpoint.disabled_at.map(|at| at.0),
            endpoint.created_at.0,
            endpoint.updated_at.0,
            endpoint.last_delivery_at.map(|at| at.0),
            endpoint.health.consecutive_failures,
            endpoint.health.quick_failures,
            endpoint.health.failing_since.map(|at| at.0),
            endpoint.health.last_failure_at.map(|at| at.0),
            endpoint.health.throttled_until.map(|at| at.0),
            endpoint.last_error,
            endpoint.deleted_at.map(|at| at.0),
            endpoint.destroyed_key.as_ref().map(|key| key.as_bytes()),
        ])?;
    Ok(())
}

/// Moves the number of an endpoint's deliveries in a state. A row is made even for nothing in sum, so that the rows do
/// not depend on how records fell into batches.
pub(super) fn add_count(
    connection: &Connection,
    endpoint: EndpointId,
    status: DeliveryStatus,
    amount: i64,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO delivery_counts (endpoint, status, amount) VALUES (?1, ?2, ?3)
             ON CONFLICT (endpoint, status) DO UPDATE SET amount = amount + excluded.amount",
        )?
        .execute(params![endpoint.0.as_bytes(), status.as_str(), amount])?;
    Ok(())
}
