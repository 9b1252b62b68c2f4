//! Verification: nothing to say about what is right, and something about every table that is not.

use std::sync::Arc;

use mainspring_eventlog::EventLog;
use mainspring_projections::{digest, verify};
use rusqlite::Connection;

use crate::{
    following::{follow, steps},
    history::History,
    memory_log::MemoryLog,
};

#[test]
fn an_injected_difference_is_found_in_every_table() {
    let mut history = History::of(&steps(1500));
    history.create(15);
    history.enter(0, 1);
    history.delete(0, 1);
    let dir = tempfile::tempdir().unwrap();
    let memory = MemoryLog::of(&history.records);
    follow(dir.path(), &memory);
    let log: Arc<dyn EventLog> = memory;
    assert_eq!(verify(&log, dir.path(), &mut |_| {}).unwrap(), []);

    let path = dir.path().join("read-models.sqlite");
    let backup = dir.path().join("backup.sqlite");
    Connection::open(&path).unwrap().execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
    for table in digest(dir.path()).unwrap() {
        let name = table.table;
        assert!(table.rows > 0, "the history fills every table: {name}");
        let columns: Vec<String> = Connection::open(&backup)
            .unwrap()
            .prepare(&format!("SELECT * FROM {name}"))
            .unwrap()
            .column_names()
            .map(str::to_owned)
            .collect();
        // A changed value in the last column, a row too few, a row too many.
        let last = columns.last().unwrap();
        let copied: Vec<String> = columns
            .iter()
            .map(|column| match column.as_str() {
                "id" | "contact" | "data_key" => "randomblob(16)".to_owned(),
                "what" | "bucket" | "value" => "'invented'".to_owned(),
                "seq" | "delivery" => format!("{column} + 1"),
                "endpoint" if ["delivery_counts", "retention"].contains(&name) => "randomblob(16)".to_owned(),
                column => column.to_owned(),
            })
            .collect();
        let declared: String = Connection::open(&backup)
            .unwrap()
            .query_row(
                "SELECT type FROM pragma_table_info(?1) WHERE name = ?2",
                [name, last.as_str()],
                |row| row.get(0),
            )
            .unwrap();
        let instead_of_null = if declared == "BLOB" { "x'00'" } else { "1" };
        let key = if name == "buckets" {
            copied.join(", ").replacen("randomblob(16)", "'invented'", 1)
        } else {
            copied.join(", ")
        };
        for (damage, column) in [
            (
                format!(
                    "UPDATE {name} SET {last} = CASE typeof({last}) WHEN 'integer' THEN {last} + 1
                WHEN 'blob' THEN x'00' WHEN 'null' THEN {instead_of_null} ELSE 'invented' END
                WHERE rowid_of = 1"
                ),
                last.as_str(),
            ),
            (format!("DELETE FROM {name} WHERE rowid_of = 1"), "*"),
            (format!("INSERT INTO {name} SELECT {key} FROM {name} WHERE rowid_of = 1"), "*"),
        ] {
            std::fs::copy(&backup, &path).unwrap();
            let connection = Connection::open(&path).unwrap();
            let first = first_row(&connection, name);
            connection.execute_batch(&damage.replace("rowid_of = 1", &first)).unwrap();
            drop(connection);
            let found = verify(&log, dir.path(), &mut |_| {}).unwrap();
            assert_eq!(found.len(), 1, "{name}: {damage}: {found:?}");
            assert_eq!((found[0].table, found[0].column.as_str()), (name, column));
            assert_ne!(found[0].expected, found[0].found);
        }
    }
}

/// A condition that holds for exactly one row, of the greatest key so that the row after it is free.
fn first_row(connection: &Connection, table: &str) -> String {
    let mut statement =
        connection.prepare(&format!("SELECT * FROM pragma_table_info('{table}') WHERE pk > 0")).unwrap();
    let keys: Vec<String> =
        statement.query_map([], |row| row.get::<_, String>(1)).unwrap().map(Result::unwrap).collect();
    let list = keys.join(", ");
    let order: Vec<String> = keys.iter().map(|key| format!("{key} DESC")).collect();
    format!("({list}) = (SELECT {list} FROM {table} ORDER BY {} LIMIT 1)", order.join(", "))
}

#[test]
fn a_difference_names_the_row_but_shows_no_personal_value() {
    let mut history = History::default();
    history.create(3);
    let dir = tempfile::tempdir().unwrap();
    let memory = MemoryLog::of(&history.records);
    follow(dir.path(), &memory);
    let connection = Connection::open(dir.path().join("read-models.sqlite")).unwrap();
    connection
        .execute_batch(
            "UPDATE contacts SET version = 9; UPDATE contact_profiles SET email = 'secret@example.com'",
        )
        .unwrap();
    drop(connection);
    let log: Arc<dyn EventLog> = memory;
    let found = verify(&log, dir.path(), &mut |_| {}).unwrap();
    let [version, email] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((version.expected.as_str(), version.found.as_str()), ("0", "9"));
    assert_eq!(version.key, history.contacts[0].id.0.simple().to_string());
    assert!(email.found.starts_with("sha256:") && email.expected.starts_with("sha256:"));
}
