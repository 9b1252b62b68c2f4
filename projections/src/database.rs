//! The file, its settings and the checkpoints.

use std::path::{Path, PathBuf};

use mainspring_eventlog::Position;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::{
    error::{ProjectionError, Result},
    projection::Projection,
    value::{integer, natural},
};

/// Name of the file in its directory.
pub(crate) const FILE: &str = "read-models.sqlite";

const CHECKPOINTS: &str = "CREATE TABLE IF NOT EXISTS checkpoints (
    projection     TEXT PRIMARY KEY,
    schema_version INTEGER NOT NULL,
    position       INTEGER NOT NULL -- of the next record to be projected
) STRICT, WITHOUT ROWID;";

/// Where the read models of a data directory are.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Opens the live file for writing.
///
/// WAL so that readers never wait; `synchronous=NORMAL` because whatever a power failure takes back is replayed; 16 MiB of
/// log before it is folded back: with less, hot pages reach the file more often, with more, folding takes so long that
/// the event log waits for the disk (measured: 128 MiB made one event in a hundred wait for 70 ms); `secure_delete` because
/// what is removed must not stay in the gaps of a page (GD-03).
pub(crate) fn open_live(path: &Path) -> Result<Connection> {
    let connection = open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=4096;
         PRAGMA journal_size_limit=268435456; PRAGMA cache_size=-131072; PRAGMA secure_delete=ON;",
    )?;
    Ok(connection)
}

/// Takes what an erasure removed out of the write-ahead log, where older copies of its pages stand. `false` if a reader
/// still looks at one of them.
pub(crate) fn scrub(connection: &Connection) -> Result<bool> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}

/// Opens a file that is thrown away if anything happens before it is complete.
pub(crate) fn open_scratch(path: &Path) -> Result<Connection> {
    let connection = open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-524288;",
    )?;
    Ok(connection)
}

/// Opens the live file for reading.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch(
        "PRAGMA busy_timeout=5000; PRAGMA cache_size=-32768; PRAGMA mmap_size=1073741824; PRAGMA temp_store=MEMORY;",
    )?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

fn open(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch("PRAGMA page_size=4096; PRAGMA busy_timeout=5000; PRAGMA temp_store=MEMORY;")?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.execute_batch(CHECKPOINTS)?;
    Ok(connection)
}

/// Makes the tables of a projection, empty, at position 0.
pub(crate) fn create(connection: &Connection, projection: Projection) -> Result<()> {
    connection.execute_batch(projection.schema().tables_sql)?;
    set_checkpoint(connection, projection, 0)
}

/// Makes the indexes that only reading needs.
pub(crate) fn index(connection: &Connection, projection: Projection) -> Result<()> {
    Ok(connection.execute_batch(projection.schema().indexes_sql)?)
}

/// Drops the tables of a projection, whatever version they have.
pub(crate) fn drop_tables(connection: &Connection, projection: Projection) -> Result<()> {
    for table in projection.schema().tables {
        connection.execute_batch(&format!("DROP TABLE IF EXISTS {}", table.name))?;
    }
    Ok(())
}

/// The stored schema version and position of a projection.
pub(crate) fn checkpoint(connection: &Connection, projection: Projection) -> Result<Option<(u32, Position)>> {
    let mut statement = connection
        .prepare_cached("SELECT schema_version, position FROM checkpoints WHERE projection = ?1")?;
    let row = statement
        .query_row([projection.name()], |row| Ok((row.get::<_, u32>(0)?, natural(row.get(1)?))))
        .optional()?;
    Ok(row)
}

/// Stores that everything below `position` is projected.
pub(crate) fn set_checkpoint(
    connection: &Connection,
    projection: Projection,
    position: Position,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO checkpoints (projection, schema_version, position) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![projection.name(), projection.schema_version(), integer(position)])?;
    Ok(())
}

/// Makes missing projections, empties those of an older schema, and refuses those of a newer one. What is emptied is
/// behind the others afterwards, so that the runner rebuilds it.
pub(crate) fn migrate(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for projection in Projection::ALL {
        let known = projection.schema_version();
        match checkpoint(&transaction, projection)? {
            Some((found, _)) if found == known => continue,
            Some((found, _)) if found > known => {
                return Err(ProjectionError::Newer { name: projection.name().to_owned(), found, known });
            }
            _ => drop_tables(&transaction, projection)?,
        }
        create(&transaction, projection)?;
        index(&transaction, projection)?;
    }
    transaction.commit()?;
    Ok(())
}

/// The positions of all projections.
pub(crate) fn positions(connection: &Connection) -> Result<Vec<(Projection, Position)>> {
    Projection::ALL
        .into_iter()
        .map(|projection| {
            Ok((projection, checkpoint(connection, projection)?.map_or(0, |(_, position)| position)))
        })
        .collect()
}
