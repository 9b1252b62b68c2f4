//! Questions about contacts in an order: by id for back-fills, by wake-up for timers.

use mainspring_schemas::{ContactId, Timestamp};
use rusqlite::{Connection, params};

use super::slot;
use crate::{
    error::Result,
    page::rows,
    value::{id, instant},
};

/// Ids of live contacts after one of them, ascending.
pub(crate) fn ids_after(
    connection: &Connection,
    after: Option<ContactId>,
    limit: usize,
) -> Result<Vec<ContactId>> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM contacts WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    // No id is shorter than sixteen bytes, so every id is above the empty one.
    let after: &[u8] = after.as_ref().map_or(&[], |after| after.0.as_bytes());
    let ids = statement.query_map(params![after, rows(limit)], |row| Ok(ContactId(id(row, 0)?)))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

/// Contacts whose wake-up is due at `until` or before, soonest first, after the given one of that order.
pub(crate) fn due_wakes(
    connection: &Connection,
    after: Option<(Timestamp, ContactId)>,
    until: Timestamp,
    limit: usize,
) -> Result<Vec<(Timestamp, ContactId)>> {
    let mut next_slot = connection.prepare_cached(
        "SELECT min(wake_slot) FROM contacts WHERE wake_slot IS NOT NULL AND wake_slot BETWEEN ?1 AND ?2",
    )?;
    let mut of_slot = connection.prepare_cached(
        "SELECT wake_at, id FROM contacts
         WHERE wake_slot = ?1 AND wake_at <= ?2 AND (wake_at, id) > (?3, ?4) ORDER BY wake_at, id LIMIT ?5",
    )?;
    let (at, contact): (i64, &[u8]) =
        after.as_ref().map_or((i64::MIN, &[]), |(at, contact)| (at.0, contact.0.as_bytes()));
    let (mut from, last) = (slot::wake(Timestamp(at)), slot::wake(until));
    let mut wakes = Vec::new();
    while wakes.len() < limit {
        let Some(slot) = next_slot.query_row([from, last], |row| row.get::<_, Option<i64>>(0))? else {
            break;
        };
        let room = rows(limit - wakes.len());
        let found = of_slot.query_map(params![slot, until.0, at, contact, room], |row| {
            Ok((instant(row, 0)?, ContactId(id(row, 1)?)))
        })?;
        for wake in found {
            wakes.push(wake?);
        }
        from = slot + 1;
    }
    Ok(wakes)
}

/// Contacts that are deleted and not erased, with the instant of the deletion, the longest deleted first, after the
/// given one of that order.
pub(crate) fn deleted_after(
    connection: &Connection,
    after: Option<(Timestamp, ContactId)>,
    limit: usize,
) -> Result<Vec<(Timestamp, ContactId)>> {
    let mut statement = connection.prepare_cached(
        "SELECT deleted_at, id FROM contact_former
         WHERE deleted_at IS NOT NULL AND (deleted_at, id) > (?1, ?2) ORDER BY deleted_at, id LIMIT ?3",
    )?;
    let (at, contact): (i64, &[u8]) =
        after.as_ref().map_or((i64::MIN, &[]), |(at, contact)| (at.0, contact.0.as_bytes()));
    let deleted = statement
        .query_map(params![at, contact, rows(limit)], |row| Ok((instant(row, 0)?, ContactId(id(row, 1)?))))?;
    Ok(deleted.collect::<rusqlite::Result<_>>()?)
}

/// The soonest wake-up of all contacts.
pub(crate) fn next_wake(connection: &Connection) -> Result<Option<Timestamp>> {
    let mut statement = connection.prepare_cached(
        "SELECT min(wake_at) FROM contacts
         WHERE wake_slot = (SELECT min(wake_slot) FROM contacts WHERE wake_slot IS NOT NULL)",
    )?;
    let at: Option<i64> = statement.query_row([], |row| row.get(0))?;
    Ok(at.map(Timestamp))
}
