//! Questions about contacts.

use compact_str::CompactString;
use mainspring_schemas::{
    BucketId, ContactId, Properties, Timestamp,
    catalog::PublicContact,
    event::contact::Via,
    identity::{IdentityKey, KeyKind},
};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value};
use uuid::Uuid;

use super::keys::number;
use crate::{
    error::Result,
    page::rows,
    value::{count, from_word, id, instant, maybe_id, maybe_instant, natural},
};

/// A live contact (CT-01..CT-09).
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// Its id.
    pub id: ContactId,
    /// Primary external key.
    pub external_id: Option<CompactString>,
    /// Primary address.
    pub email: Option<CompactString>,
    /// Primary anonymous key; shown by the admin plane only.
    pub anonymous_id: Option<CompactString>,
    /// Primary Discord key; shown by the admin plane only.
    pub discord_id: Option<CompactString>,
    /// All properties.
    pub properties: Properties,
    /// CT-07.
    pub first_seen_at: Timestamp,
    /// CT-08.
    pub last_seen_at: Timestamp,
    /// CT-09.
    pub created_at: Timestamp,
    /// CT-09.
    pub updated_at: Timestamp,
    /// When its actor must look again.
    pub wake_at: Option<Timestamp>,
    /// Version of the newest record of its stream.
    pub version: u64,
}

impl Contact {
    /// The string by which the contact is called on the wire (KE-20).
    pub fn contact_key(&self) -> CompactString {
        let key = self.external_id.as_ref().or(self.anonymous_id.as_ref());
        key.cloned().unwrap_or_else(|| compact_str::format_compact!("{}", self.id))
    }

    /// The public shape (CT-12).
    pub fn public(&self) -> PublicContact {
        PublicContact {
            id: self.id,
            external_id: self.external_id.clone(),
            email: self.email.clone(),
            properties: self.properties.clone(),
            first_seen_at: self.first_seen_at,
            last_seen_at: self.last_seen_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

/// A key of a contact (CT-05).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactKey {
    /// Which kind.
    pub kind: KeyKind,
    /// The value.
    pub value: CompactString,
    /// Whether the wire fields show it.
    pub primary: bool,
    /// How it came.
    pub via: Via,
    /// Since when.
    pub since: Timestamp,
}

/// Which contacts to list (AP-01); the default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactFilter {
    /// Part of any key, whatever its letter case; `%` and `_` mean themselves.
    pub search: Option<String>,
    /// Only active members of this bucket.
    pub bucket: Option<BucketId>,
}

/// In which order to list contacts; ids break ties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContactOrder {
    /// Newest `lastSeenAt` first (AP-01).
    #[default]
    LastSeen,
    /// Newest created first (AP-11).
    Created,
}

const SELECT: &str = "SELECT c.id, p.external_id, p.email, p.anonymous_id, p.discord_id, p.first_seen_at,
    c.last_seen_at, p.created_at, p.updated_at, c.wake_at, c.version, p.properties
    FROM contacts c JOIN contact_profiles p ON p.contact = c.id";

fn read(row: &Row<'_>) -> rusqlite::Result<Contact> {
    let text =
        |index| -> rusqlite::Result<_> { Ok(row.get::<_, Option<String>>(index)?.map(CompactString::from)) };
    let no_properties = matches!(row.get_ref(11)?, rusqlite::types::ValueRef::Null);
    Ok(Contact {
        id: ContactId(id(row, 0)?),
        external_id: text(1)?,
        email: text(2)?,
        anonymous_id: text(3)?,
        discord_id: text(4)?,
        first_seen_at: instant(row, 5)?,
        last_seen_at: instant(row, 6)?,
        created_at: instant(row, 7)?,
        updated_at: instant(row, 8)?,
        wake_at: maybe_instant(row, 9)?,
        version: natural(row.get(10)?),
        properties: if no_properties { Properties::new() } else { crate::value::json(row, 11)? },
    })
}

/// A live contact by its id.
pub(crate) fn contact(connection: &Connection, contact: ContactId) -> Result<Option<Contact>> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE c.id = ?1"))?;
    Ok(statement.query_row([contact.0.as_bytes()], read).optional()?)
}

/// Every key of a contact, in attach order of kinds, primary ones first.
pub(crate) fn keys_of(connection: &Connection, contact: ContactId) -> Result<Vec<ContactKey>> {
    let mut statement = connection.prepare_cached(
        "SELECT kind, value, is_primary, via, since FROM contact_keys WHERE contact = ?1
         ORDER BY kind, is_primary DESC, since, value",
    )?;
    let keys = statement.query_map([contact.0.as_bytes()], |row| {
        let kind = KeyKind::ALL.get(usize::from(row.get::<_, u8>(0)?)).copied();
        Ok(ContactKey {
            kind: kind.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, 0))?,
            value: row.get::<_, String>(1)?.into(),
            primary: row.get(2)?,
            via: from_word(row, 3)?,
            since: instant(row, 4)?,
        })
    })?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// The owner of a key.
pub(crate) fn by_key(connection: &Connection, key: &IdentityKey) -> Result<Option<ContactId>> {
    let mut statement =
        connection.prepare_cached("SELECT contact FROM contact_keys WHERE kind = ?1 AND value = ?2")?;
    let row =
        statement.query_row(params![number(key.kind), key.value.as_str()], |row| id(row, 0)).optional()?;
    Ok(row.map(ContactId))
}

/// Whom a text names: an id first, also one that was merged away, then any key (KE-22, RS-61).
pub(crate) fn by_any_key(connection: &Connection, any_key: &str) -> Result<Option<ContactId>> {
    if let Ok(id) = any_key.parse::<ContactId>() {
        if let Some(survivor) = former(connection, id)? {
            return Ok(Some(survivor));
        }
        let mut live = connection.prepare_cached("SELECT 1 FROM contacts WHERE id = ?1")?;
        if live.exists([id.0.as_bytes()])? {
            return Ok(Some(id));
        }
    }
    for kind in KeyKind::ALL {
        if let Some(key) = IdentityKey::new(kind, any_key)
            && let Some(owner) = by_key(connection, &key)?
        {
            return Ok(Some(owner));
        }
    }
    Ok(None)
}

/// Who answers for an id that was merged away, after any number of merges (KE-22, MC-14).
pub(crate) fn former(connection: &Connection, contact: ContactId) -> Result<Option<ContactId>> {
    let mut statement = connection.prepare_cached("SELECT survivor FROM contact_former WHERE id = ?1")?;
    let (mut current, mut answer) = (contact, None);
    loop {
        let row = statement.query_row([current.0.as_bytes()], |row| maybe_id(row, 0)).optional()?;
        match row {
            // A merge chain ends at a live contact, or at one that was deleted later.
            None => return Ok(answer),
            Some(None) => return Ok(None),
            Some(Some(survivor)) => {
                current = ContactId(survivor);
                answer = Some(current);
            }
        }
    }
}

fn condition(filter: &ContactFilter) -> (String, Vec<Value>) {
    let (mut conditions, mut values) = (Vec::new(), Vec::new());
    if let Some(search) = filter.search.as_ref().filter(|search| !search.is_empty()) {
        values.push(Value::Text(search.to_lowercase()));
        conditions.push(format!(
            "c.id IN (SELECT contact FROM contact_keys WHERE instr(coalesce(folded, value), ?{}) > 0)",
            values.len()
        ));
    }
    if let Some(bucket) = &filter.bucket {
        values.push(Value::Text(bucket.as_str().to_owned()));
        conditions.push(format!(
            "c.id IN (SELECT contact FROM stays WHERE bucket = ?{} AND left_at IS NULL)",
            values.len()
        ));
    }
    let clause =
        if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    (clause, values)
}

/// A page of contacts (AP-01).
pub(crate) fn list(
    connection: &Connection,
    filter: &ContactFilter,
    order: ContactOrder,
    limit: usize,
    offset: usize,
) -> Result<Vec<Contact>> {
    let (clause, mut values) = condition(filter);
    let order = match order {
        ContactOrder::LastSeen => "c.last_seen_at DESC, c.id",
        ContactOrder::Created => "p.created_at DESC, c.id",
    };
    let recent = if clause.is_empty() && order.starts_with("c.last_seen_at") {
        // Whoever is in this page or before it was seen in the slot of the page's last contact or later.
        let until = Value::Integer(rows(offset.saturating_add(limit).saturating_sub(1)));
        values.push(until);
        "WHERE c.seen_slot >= coalesce((SELECT seen_slot FROM contacts ORDER BY seen_slot DESC LIMIT 1 OFFSET ?1),
                                       (SELECT min(seen_slot) FROM contacts))"
    } else {
        ""
    };
    let sql = format!(
        "{SELECT} {clause} {recent} ORDER BY {order} LIMIT ?{} OFFSET ?{}",
        values.len() + 1,
        values.len() + 2
    );
    values.extend([Value::Integer(rows(limit)), Value::Integer(rows(offset))]);
    let mut statement = connection.prepare_cached(&sql)?;
    let contacts = statement.query_map(params_from_iter(values), read)?;
    Ok(contacts.collect::<rusqlite::Result<_>>()?)
}

/// How many contacts a filter leaves.
pub(crate) fn filtered_total(connection: &Connection, filter: &ContactFilter) -> Result<u64> {
    let (clause, values) = condition(filter);
    if clause.is_empty() {
        return total(connection);
    }
    let mut statement = connection.prepare_cached(&format!("SELECT count(*) FROM contacts c {clause}"))?;
    Ok(statement.query_row(params_from_iter(values), |row| count(row, 0))?)
}

/// How many contacts live.
pub(crate) fn total(connection: &Connection) -> Result<u64> {
    let mut statement = connection.prepare_cached("SELECT amount FROM contact_totals WHERE what = 'live'")?;
    Ok(statement.query_row([], |row| count(row, 0))?)
}

/// Data keys that an erasure destroyed, after `after`, in order.
pub(crate) fn destroyed_keys(
    connection: &Connection,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<Uuid>> {
    let mut statement = connection.prepare_cached(
        "SELECT data_key FROM destroyed_keys WHERE data_key > ?1 ORDER BY data_key LIMIT ?2",
    )?;
    let after = after.map_or_else(Vec::new, |key| key.as_bytes().to_vec());
    let keys = statement.query_map(params![after, rows(limit)], |row| id(row, 0))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}
