//! The SQL that writes figures of buckets.

use mainspring_schemas::BucketId;
use rusqlite::{Connection, OptionalExtension, params};

use super::project::{DayFigures, Figures, Standing};
use crate::{
    error::Result,
    projection::{Schema, Table},
    value::{count, instant, integer, maybe_instant},
};

/// Tables of this projection.
pub(crate) const SCHEMA: Schema = Schema {
    tables_sql: "
CREATE TABLE buckets (
    id                TEXT PRIMARY KEY,
    version           INTEGER NOT NULL,
    ordinal           INTEGER NOT NULL, -- position of the first definition
    definition        TEXT NOT NULL,
    criteria_hash     TEXT NOT NULL,
    defined_at        INTEGER NOT NULL,
    switched          INTEGER,
    enabled           INTEGER NOT NULL,
    retired_at        INTEGER,
    building          INTEGER NOT NULL,
    fill_started_at   INTEGER,
    fill_total        INTEGER NOT NULL,
    fill_processed    INTEGER NOT NULL,
    fill_completed_at INTEGER,
    updated_at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE bucket_figures (
    bucket           TEXT PRIMARY KEY,
    entered          INTEGER NOT NULL,
    ended            INTEGER NOT NULL,
    ended_millis     INTEGER NOT NULL,
    active_since_sum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE bucket_days (
    bucket  TEXT NOT NULL,
    day     INTEGER NOT NULL, -- since 1970, UTC
    entered INTEGER NOT NULL,
    ended   INTEGER NOT NULL,
    PRIMARY KEY (bucket, day)
) STRICT, WITHOUT ROWID;
",
    indexes_sql: "",
    tables: &[
        Table { name: "buckets", key: &["id"], personal: &[] },
        Table { name: "bucket_figures", key: &["bucket"], personal: &[] },
        Table { name: "bucket_days", key: &["bucket", "day"], personal: &[] },
    ],
};

/// A bucket's row.
pub(super) fn load(connection: &Connection, bucket: &str) -> Result<Option<Standing>> {
    let mut statement = connection.prepare_cached(
        "SELECT version, ordinal, definition, criteria_hash, defined_at, switched, enabled, retired_at, building,
                fill_started_at, fill_total, fill_processed, fill_completed_at, updated_at
         FROM buckets WHERE id = ?1",
    )?;
    let standing = statement
        .query_row([bucket], |row| {
            Ok(Standing {
                version: count(row, 0)?,
                ordinal: count(row, 1)?,
                definition: row.get(2)?,
                criteria_hash: row.get(3)?,
                defined_at: instant(row, 4)?,
                switched: row.get(5)?,
                enabled: row.get(6)?,
                retired_at: maybe_instant(row, 7)?,
                building: row.get(8)?,
                fill_started_at: maybe_instant(row, 9)?,
                fill_total: count(row, 10)?,
                fill_processed: count(row, 11)?,
                fill_completed_at: maybe_instant(row, 12)?,
                updated_at: instant(row, 13)?,
            })
        })
        .optional()?;
    Ok(standing)
}

/// Writes a bucket's row.
pub(super) fn save(connection: &Connection, bucket: &str, standing: &Standing) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO buckets (id, version, ordinal, definition, criteria_hash, defined_at, switched,
                 enabled, retired_at, building, fill_started_at, fill_total, fill_processed, fill_completed_at,
                 updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            bucket,
            integer(standing.version),
            integer(standing.ordinal),
            standing.definition,
            standing.criteria_hash,
            standing.defined_at.0,
            standing.switched,
            standing.enabled,
            standing.retired_at.map(|at| at.0),
            standing.building,
            standing.fill_started_at.map(|at| at.0),
            integer(standing.fill_total),
            integer(standing.fill_processed),
            standing.fill_completed_at.map(|at| at.0),
            standing.updated_at.0,
        ])?;
    Ok(())
}

/// Adds to a bucket's figures.
pub(super) fn add_figures(connection: &Connection, bucket: &BucketId, figures: Figures) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO bucket_figures (bucket, entered, ended, ended_millis, active_since_sum)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (bucket) DO UPDATE SET entered = entered + excluded.entered, ended = ended + excluded.ended,
                 ended_millis = ended_millis + excluded.ended_millis,
                 active_since_sum = active_since_sum + excluded.active_since_sum",
        )?
        .execute(params![
            bucket.as_str(),
            figures.entered,
            figures.ended,
            figures.ended_millis,
            figures.active_since_sum
        ])?;
    Ok(())
}

/// Adds to a bucket's day; days without activity are not kept (BK-225).
pub(super) fn add_day(
    connection: &Connection,
    bucket: &BucketId,
    day: i64,
    figures: DayFigures,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO bucket_days (bucket, day, entered, ended) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (bucket, day) DO UPDATE SET entered = entered + excluded.entered, ended = ended + excluded.ended",
        )?
        .execute(params![bucket.as_str(), day, figures.entered, figures.ended])?;
    if figures.entered < 0 || figures.ended < 0 || figures == DayFigures::default() {
        connection
            .prepare_cached(
                "DELETE FROM bucket_days WHERE bucket = ?1 AND day = ?2 AND entered = 0 AND ended = 0",
            )?
            .execute(params![bucket.as_str(), day])?;
    }
    Ok(())
}
