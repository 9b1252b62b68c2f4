//! The keys of a batch: who owns which, as of the newest record.

use std::collections::HashMap;

use compact_str::CompactString;
use mainspring_schemas::{
    ContactId, Timestamp,
    event::contact::{AttachedKey, Via},
    identity::KeyKind,
};
use rusqlite::Connection;

use super::{cell::Aggregate, store};
use crate::error::Result;

/// A row of the key table, without its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyRow {
    /// The owner.
    pub contact: ContactId,
    /// Whether the wire fields show it.
    pub primary: bool,
    /// How it came.
    pub via: Via,
    /// Since when.
    pub since: Timestamp,
}

/// Name of a key: its kind as stored, and its value.
pub(super) type KeyName = (u8, CompactString);

/// The stored number of a kind.
pub(super) fn number(kind: KeyKind) -> u8 {
    match kind {
        KeyKind::External => 0,
        KeyKind::Email => 1,
        KeyKind::Discord => 2,
        KeyKind::Anonymous => 3,
        KeyKind::Provider => 4,
    }
}

/// Keys still to be written.
#[derive(Debug, Default)]
pub(super) struct Keys(HashMap<KeyName, KeyRow>);

impl Keys {
    /// Gives a contact that comes into being its first keys: whoever had them before has them no more.
    pub fn begin(
        &mut self,
        contact: ContactId,
        aggregate: &mut Aggregate,
        keys: &[AttachedKey],
        at: Timestamp,
    ) {
        for attached in keys {
            let name = (number(attached.kind), attached.value.clone());
            let primary = attached.primary;
            if primary {
                let slot = aggregate.primary_mut(attached.kind);
                let former = slot.and_then(|slot| slot.replace(attached.value.clone()));
                if let Some(row) = former.and_then(|former| self.0.get_mut(&(name.0, former))) {
                    row.primary = false;
                }
            }
            self.0.insert(name, KeyRow { contact, primary, via: attached.via, since: at });
        }
    }

    /// Attaches keys to a contact; the first value of a slot that is declared primary replaces the former one, which
    /// stays as an additional key (RS-02, RS-30).
    pub fn attach(
        &mut self,
        connection: &Connection,
        contact: ContactId,
        aggregate: &mut Aggregate,
        keys: &[AttachedKey],
        at: Timestamp,
    ) -> Result<()> {
        for attached in keys {
            let name = (number(attached.kind), attached.value.clone());
            if attached.primary {
                self.demote(connection, contact, aggregate, attached)?;
                if let Some(slot) = aggregate.primary_mut(attached.kind) {
                    *slot = Some(attached.value.clone());
                }
            }
            let row = match self.load(connection, &name)?.filter(|row| row.contact == contact) {
                Some(row) => KeyRow { primary: row.primary | attached.primary, ..row },
                None => KeyRow { contact, primary: attached.primary, via: attached.via, since: at },
            };
            self.0.insert(name, row);
        }
        Ok(())
    }

    fn demote(
        &mut self,
        connection: &Connection,
        contact: ContactId,
        aggregate: &mut Aggregate,
        attached: &AttachedKey,
    ) -> Result<()> {
        let former = aggregate.primary_mut(attached.kind).and_then(Option::take);
        let former = former.filter(|former| *former != attached.value);
        let Some(former) = former else { return Ok(()) };
        let name = (number(attached.kind), former);
        if let Some(row) = self.load(connection, &name)?.filter(|row| row.contact == contact) {
            self.0.insert(name, KeyRow { primary: false, ..row });
        }
        Ok(())
    }

    fn load(&self, connection: &Connection, name: &KeyName) -> Result<Option<KeyRow>> {
        match self.0.get(name) {
            Some(row) => Ok(Some(*row)),
            None => store::load_key(connection, name),
        }
    }

    /// Writes everything held.
    pub fn flush(&mut self, connection: &Connection) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        // In key order, so that neighbours on a page are written together.
        let mut rows: Vec<(KeyName, KeyRow)> = self.0.drain().collect();
        rows.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        store::write_keys(connection, &rows)
    }

    /// Takes a contact's keys away; those that another contact owns by now stay.
    pub fn remove_all(&mut self, connection: &Connection, contact: ContactId) -> Result<()> {
        self.flush(connection)?;
        store::delete_keys(connection, contact)
    }
}
