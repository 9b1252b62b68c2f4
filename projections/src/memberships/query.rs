//! Questions about members (BK-210..BK-223).

use compact_str::CompactString;
use mainspring_schemas::{
    BucketId, ContactId, StayId, Timestamp,
    event::contact::{LeaveReason, TransitionSource},
};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value};

use crate::{
    error::Result,
    page::rows,
    value::{bucket, count, from_word, id, instant, maybe_instant},
};

/// Whether a stay goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StayStatus {
    /// It does.
    #[default]
    Active,
    /// It ended.
    Left,
}

impl StayStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Left => "left",
        }
    }

    fn condition(self) -> &'static str {
        match self {
            Self::Active => "s.left_at IS NULL",
            Self::Left => "s.left_at IS NOT NULL",
        }
    }
}

/// One uninterrupted stay of a contact in a bucket (BK-60), with the contact's key and address of now (BK-243).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stay {
    /// Opaque, unique, stable; the paging key.
    pub id: StayId,
    /// Whose.
    pub contact: ContactId,
    /// The contact's canonical key (KE-20).
    pub user_key: CompactString,
    /// The contact's primary address.
    pub email: Option<CompactString>,
    /// The bucket.
    pub bucket: BucketId,
    /// Whether it goes on.
    pub status: StayStatus,
    /// When it began.
    pub entered_at: Timestamp,
    /// When it ended.
    pub left_at: Option<Timestamp>,
    /// Why it ended.
    pub reason: Option<LeaveReason>,
    /// Its unconditional end (BK-140).
    pub max_dwell_at: Option<Timestamp>,
    /// The epoch: ordinal of the stay.
    pub entry_count: u32,
    /// Who decided the join.
    pub source: TransitionSource,
    /// Historical dwell start of a back-filled stay (BK-187).
    pub dwell_anchor_at: Option<Timestamp>,
    /// Whether the join was announced.
    pub announced: bool,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the row changed last.
    pub updated_at: Timestamp,
}

/// Which stays of a bucket to list (BK-223).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberFilter {
    /// The bucket.
    pub bucket: BucketId,
    /// Active or ended ones.
    pub status: StayStatus,
    /// Only those of this contact.
    pub contact: Option<ContactId>,
}

/// Stays of a bucket, without those of deleted contacts (BK-228).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberCounts {
    /// Active ones.
    pub active: u64,
    /// Ended ones.
    pub left: u64,
}

// Between the two halves of a merge the loser's stays are shown with the survivor's keys: both halves answer as merged
// (MC-43).
const SELECT: &str = "SELECT s.id, s.contact, coalesce(c.external_id, c.anonymous_id), c.email, s.bucket, s.entered_at,
    s.left_at, s.reason, s.max_dwell_at, s.epoch, s.source, s.dwell_anchor_at, s.announced, s.created_at, s.updated_at
    FROM stays s LEFT JOIN contact_profiles c
    ON c.contact = coalesce((SELECT f.survivor FROM contact_former f WHERE f.id = s.contact), s.contact)";

const AFTER: &str = "WHERE s.bucket = ?1 AND s.left_at IS NULL AND s.id > ?2 ORDER BY s.id LIMIT ?3";

fn read(row: &Row<'_>) -> rusqlite::Result<Stay> {
    let contact = ContactId(id(row, 1)?);
    let left_at = maybe_instant(row, 6)?;
    let reason = row.get_ref(7)?.as_str_or_null()?.is_some();
    Ok(Stay {
        id: StayId(id(row, 0)?),
        contact,
        user_key: row
            .get::<_, Option<String>>(2)?
            .map_or_else(|| compact_str::format_compact!("{contact}"), CompactString::from),
        email: row.get::<_, Option<String>>(3)?.map(CompactString::from),
        bucket: bucket(row, 4)?,
        status: if left_at.is_some() { StayStatus::Left } else { StayStatus::Active },
        entered_at: instant(row, 5)?,
        left_at,
        reason: if reason { Some(from_word(row, 7)?) } else { None },
        max_dwell_at: maybe_instant(row, 8)?,
        entry_count: row.get(9)?,
        source: from_word(row, 10)?,
        dwell_anchor_at: maybe_instant(row, 11)?,
        announced: row.get(12)?,
        created_at: instant(row, 13)?,
        updated_at: instant(row, 14)?,
    })
}

/// A page of a bucket's stays, newest `enteredAt` first, ids break ties (BK-223).
pub(crate) fn members(
    connection: &Connection,
    filter: &MemberFilter,
    limit: usize,
    offset: usize,
) -> Result<Vec<Stay>> {
    let (clause, mut values) = condition(filter);
    let sql = format!(
        "{SELECT} WHERE {clause} ORDER BY s.entered_at DESC, s.id LIMIT ?{} OFFSET ?{}",
        values.len() + 1,
        values.len() + 2
    );
    values.extend([Value::Integer(rows(limit)), Value::Integer(rows(offset))]);
    let mut statement = connection.prepare_cached(&sql)?;
    let stays = statement.query_map(params_from_iter(values), read)?;
    Ok(stays.collect::<rusqlite::Result<_>>()?)
}

fn condition(filter: &MemberFilter) -> (String, Vec<Value>) {
    let mut clause = format!("s.bucket = ?1 AND {}", filter.status.condition());
    let mut values = vec![Value::Text(filter.bucket.as_str().to_owned())];
    if let Some(contact) = filter.contact {
        values.push(Value::Blob(contact.0.as_bytes().to_vec()));
        clause.push_str(" AND s.contact = ?2");
    }
    (clause, values)
}

/// How many stays a filter leaves.
pub(crate) fn filtered_count(connection: &Connection, filter: &MemberFilter) -> Result<u64> {
    if filter.contact.is_none() {
        let counts = counts(connection, &filter.bucket)?;
        return Ok(match filter.status {
            StayStatus::Active => counts.active,
            StayStatus::Left => counts.left,
        });
    }
    let (clause, values) = condition(filter);
    let mut statement = connection.prepare_cached(&format!("SELECT count(*) FROM stays s WHERE {clause}"))?;
    Ok(statement.query_row(params_from_iter(values), |row| count(row, 0))?)
}

/// Active and ended stays of a bucket: kept as figures, so that no list of any length is counted.
pub(crate) fn counts(connection: &Connection, bucket: &BucketId) -> Result<MemberCounts> {
    let mut statement =
        connection.prepare_cached("SELECT entered, ended FROM bucket_figures WHERE bucket = ?1")?;
    let counts = statement
        .query_row([bucket.as_str()], |row| {
            let (entered, left) = (count(row, 0)?, count(row, 1)?);
            Ok(MemberCounts { active: entered.saturating_sub(left), left })
        })
        .optional()?;
    Ok(counts.unwrap_or_default())
}

/// Active stays of a bucket in the order of their ids, after one of them (BK-210): stable under joins and leaves.
pub(super) fn members_after(
    connection: &Connection,
    bucket: &BucketId,
    after: Option<StayId>,
    limit: usize,
) -> Result<Vec<Stay>> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} {AFTER}"))?;
    let after: &[u8] = after.as_ref().map_or(&[], |after| after.0.as_bytes());
    let stays = statement.query_map(params![bucket.as_str(), after, rows(limit)], read)?;
    Ok(stays.collect::<rusqlite::Result<_>>()?)
}

/// All stays of a contact, newest first.
pub(crate) fn stays_of(connection: &Connection, contact: ContactId) -> Result<Vec<Stay>> {
    let mut statement = connection
        .prepare_cached(&format!("{SELECT} WHERE s.contact = ?1 ORDER BY s.entered_at DESC, s.id"))?;
    let stays = statement.query_map([contact.0.as_bytes()], read)?;
    Ok(stays.collect::<rusqlite::Result<_>>()?)
}

fn of_contact(status: Option<StayStatus>) -> String {
    let status = status.map_or("TRUE", StayStatus::condition);
    format!("s.contact = ?1 AND {status}")
}

/// A page of a contact's stays, newest first, ids break ties (BK-229).
pub(crate) fn contact_stays(
    connection: &Connection,
    contact: ContactId,
    status: Option<StayStatus>,
    limit: usize,
    offset: usize,
) -> Result<Vec<Stay>> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE {} ORDER BY s.entered_at DESC, s.id LIMIT ?2 OFFSET ?3",
        of_contact(status)
    ))?;
    let stays = statement.query_map(params![contact.0.as_bytes(), rows(limit), rows(offset)], read)?;
    Ok(stays.collect::<rusqlite::Result<_>>()?)
}

/// How many stays a contact has.
pub(crate) fn contact_stay_count(
    connection: &Connection,
    contact: ContactId,
    status: Option<StayStatus>,
) -> Result<u64> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT count(*) FROM stays s WHERE {}", of_contact(status)))?;
    Ok(statement.query_row([contact.0.as_bytes()], |row| count(row, 0))?)
}

/// The stay that makes a contact a member.
pub(crate) fn active_stay(
    connection: &Connection,
    bucket: &BucketId,
    contact: ContactId,
) -> Result<Option<Stay>> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE s.contact = ?1 AND s.bucket = ?2 AND s.left_at IS NULL LIMIT 1"
    ))?;
    Ok(statement.query_row(params![contact.0.as_bytes(), bucket.as_str()], read).optional()?)
}

/// One stay.
pub(crate) fn stay(connection: &Connection, stay: StayId) -> Result<Option<Stay>> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE s.id = ?1"))?;
    Ok(statement.query_row([stay.0.as_bytes()], read).optional()?)
}

/// Whether a contact is an active member.
pub(crate) fn is_member(connection: &Connection, bucket: &BucketId, contact: ContactId) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM stays WHERE contact = ?1 AND bucket = ?2 AND left_at IS NULL LIMIT 1",
    )?;
    Ok(statement.exists(params![contact.0.as_bytes(), bucket.as_str()])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{contacts, memberships::store};

    /// How the database answers a question, one step a line.
    fn plan(connection: &Connection, sql: &str) -> String {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.raw_query().mapped(|row| row.get::<_, String>(3));
        steps.map(|step| step.unwrap() + "\n").collect()
    }

    #[test]
    fn bk_211_a_page_costs_what_it_holds() {
        let connection = Connection::open_in_memory().unwrap();
        for schema in [contacts::SCHEMA, store::SCHEMA] {
            connection.execute_batch(schema.tables_sql).unwrap();
            connection.execute_batch(schema.indexes_sql).unwrap();
        }
        let keyset = plan(&connection, &format!("{SELECT} {AFTER}"));
        assert!(keyset.contains("SEARCH s USING INDEX stays_paged (bucket=? AND id>?)"), "{keyset}");
        assert!(!keyset.contains("TEMP B-TREE") && !keyset.contains("SCAN"), "{keyset}");
        let of_one = plan(&connection, &format!("{SELECT} WHERE {}", of_contact(None)));
        assert!(of_one.contains("SEARCH s USING INDEX stays_by_contact"), "{of_one}");
    }
}
