//! Digests of tables: two read models with equal digests are equal (C4).

use std::{fmt::Write as _, path::Path};

use rusqlite::{Connection, types::ValueRef};
use sha2::{Digest, Sha256};

use crate::{
    database,
    error::Result,
    projection::{Projection, Table},
};

/// What a table holds, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDigest {
    /// The projection it belongs to.
    pub projection: Projection,
    /// Its name.
    pub table: &'static str,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 over all of them in the order of their keys, in hexadecimal.
    pub digest: String,
}

/// Digests of every table of the read models of a directory, at one moment.
///
/// # Errors
/// If the database cannot be read.
pub fn digest(dir: &Path) -> Result<Vec<TableDigest>> {
    let connection = database::open_reader(&database::path(dir))?;
    connection.execute_batch("BEGIN")?;
    let mut digests = Vec::new();
    for projection in Projection::ALL {
        for table in projection.schema().tables {
            digests.push(table_digest(&connection, projection, table)?);
        }
    }
    Ok(digests)
}

/// The rows of a table in the order of its key.
pub(crate) fn ordered(table: &Table) -> String {
    format!("SELECT * FROM {} ORDER BY {}", table.name, table.key.join(", "))
}

/// The digest of one table.
pub(crate) fn table_digest(
    connection: &Connection,
    projection: Projection,
    table: &Table,
) -> Result<TableDigest> {
    let mut statement = connection.prepare(&ordered(table))?;
    let columns = statement.column_count();
    let mut found = statement.query([])?;
    let mut hasher = Sha256::new();
    let mut rows = 0;
    while let Some(row) = found.next()? {
        rows += 1;
        for column in 0..columns {
            absorb(&mut hasher, row.get_ref(column)?);
        }
    }
    Ok(TableDigest { projection, table: table.name, rows, digest: hexadecimal(&hasher.finalize()) })
}

/// Every value with its type and length, so that no two rows read alike.
fn absorb(hasher: &mut Sha256, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => hasher.update([0]),
        ValueRef::Integer(number) => {
            hasher.update([1]);
            hasher.update(number.to_le_bytes());
        }
        ValueRef::Real(number) => {
            hasher.update([2]);
            hasher.update(number.to_le_bytes());
        }
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            hasher.update([if matches!(value, ValueRef::Text(_)) { 3 } else { 4 }]);
            hasher.update(bytes.len().to_le_bytes());
            hasher.update(bytes);
        }
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
