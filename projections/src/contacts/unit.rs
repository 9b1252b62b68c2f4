//! The contacts of one batch: changes fold here and are written once.

use std::collections::{HashMap, hash_map::Entry};

use mainspring_eventlog::{Position, Version};
use mainspring_schemas::{ContactId, properties::Change};
use rusqlite::Connection;

use super::{
    cell::{Aggregate, Cell, Touch},
    keys::Keys,
    project::{ContactChange, project},
    store,
};
use crate::{error::Result, fact::Fact};

/// The unit of work of the contacts.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    cells: HashMap<ContactId, Cell>,
    keys: Keys,
    /// Contacts that came minus those that went.
    born: i64,
    /// Rough bytes held.
    weight: usize,
}

impl Unit {
    /// Rough bytes held.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Folds one record in.
    pub fn take(&mut self, connection: &Connection, fact: &Fact) -> Result<()> {
        let Some((contact, change)) = project(fact) else { return Ok(()) };
        let (version, wake_at) = (fact.record.version, fact.record.wake_at);
        let change = match change {
            ContactChange::Erase { at, data_keys } => {
                store::add_destroyed_keys(connection, contact, data_keys, at)?;
                store::forget_deletion(connection, contact)?;
                ContactChange::Touch { seen_at: None }
            }
            change => change,
        };
        match (self.cells.entry(contact), change) {
            (Entry::Vacant(vacant), ContactChange::Touch { seen_at }) if version > 0 => {
                let seen_at = seen_at.unwrap_or(Touch::UNSEEN);
                vacant.insert(Cell::Touched(Touch { stored: version - 1, version, seen_at, wake_at }));
                self.weight += 96;
                return Ok(());
            }
            (Entry::Vacant(vacant), ContactChange::Create { at, properties, keys }) if version == 0 => {
                let mut aggregate = Aggregate::new(at, wake_at, properties.clone());
                self.keys.begin(contact, &mut aggregate, keys, at);
                vacant.insert(Cell::Loaded(Box::new(aggregate)));
                self.weight += 1024;
                self.born += 1;
                return Ok(());
            }
            (Entry::Vacant(vacant), _) => {
                let Some(previous) = version.checked_sub(1) else { return Err(fact.version_gap(0)) };
                vacant.insert(load(connection, contact, fact, previous)?);
                self.weight += 1024;
            }
            (Entry::Occupied(_), _) => {}
        }
        let Some(cell) = self.cells.get_mut(&contact) else { return Ok(()) };
        if version != next_version(cell) {
            return Err(fact.version_gap(next_version(cell)));
        }
        if let (Cell::Touched(touch), ContactChange::Touch { seen_at }) = (&mut *cell, change) {
            touch.version = version;
            touch.wake_at = wake_at;
            touch.seen_at = touch.seen_at.max(seen_at.unwrap_or(Touch::UNSEEN));
            return Ok(());
        }
        if let Cell::Touched(touch) = *cell {
            *cell = load(connection, contact, fact, touch.stored)?;
            match cell {
                Cell::Loaded(aggregate) => touch.apply(aggregate),
                Cell::Former { version, dirty } => (*version, *dirty) = (touch.version, true),
                Cell::Touched(_) => {}
            }
            self.weight += 1024;
        }
        let aggregate = match cell {
            Cell::Loaded(aggregate) => aggregate,
            Cell::Former { .. } if let ContactChange::Restore(restored) = change => {
                store::remove_former(connection, contact)?;
                let mut aggregate = Aggregate::restored(restored, version, wake_at);
                self.keys.begin(contact, &mut aggregate, &restored.keys, restored.at);
                *cell = Cell::Loaded(Box::new(aggregate));
                self.weight += 1024;
                self.born += 1;
                return Ok(());
            }
            Cell::Former { version: former, dirty } => {
                (*former, *dirty) = (version, true);
                return Ok(());
            }
            Cell::Touched(_) => return Ok(()),
        };
        aggregate.version = version;
        aggregate.wake_at = wake_at;
        match change {
            ContactChange::Create { .. } => return Err(fact.version_gap(0)),
            // It was never gone: nothing came back.
            ContactChange::Restore(_) => {}
            ContactChange::AttachKeys { at, keys } => {
                self.keys.attach(connection, contact, aggregate, keys, at)?;
                aggregate.changed(at);
                self.weight += 128 * keys.len();
            }
            ContactChange::ChangeProperties { at, set, removed, seen } => {
                let change = Change { set: set.clone(), removed: removed.to_vec() };
                change.apply(aggregate.properties_mut()?);
                if seen {
                    aggregate.changed(at);
                } else {
                    aggregate.updated(at);
                }
                self.weight += 64 * set.len();
            }
            ContactChange::Absorb(absorbed) => {
                self.keys.attach(connection, contact, aggregate, &absorbed.keys, absorbed.at)?;
                aggregate.stored_properties = None;
                aggregate.properties = Some(absorbed.properties.clone());
                aggregate.first_seen_at = aggregate.first_seen_at.min(absorbed.first_seen_at);
                aggregate.changed(absorbed.at);
                self.weight += 1024;
            }
            ContactChange::Erase { .. } => {}
            ContactChange::Touch { seen_at } => {
                aggregate.last_seen_at = aggregate.last_seen_at.max(seen_at.unwrap_or(Touch::UNSEEN));
            }
            ContactChange::Remove { end } => {
                let stored = aggregate.stored;
                self.keys.remove_all(connection, contact)?;
                store::remove(connection, contact, stored, end, version)?;
                *cell = Cell::Former { version, dirty: false };
                self.born -= 1;
            }
        }
        Ok(())
    }

    /// Writes everything held; `position` is the end of the batch, for errors.
    pub fn flush(&mut self, connection: &Connection, position: Position) -> Result<()> {
        let mut cells: Vec<(ContactId, Cell)> = self.cells.drain().collect();
        // In key order, so that neighbours on a page are written together.
        cells.sort_unstable_by_key(|(contact, _)| *contact);
        store::write(connection, &cells, position)?;
        self.keys.flush(connection)?;
        store::add_total(connection, std::mem::take(&mut self.born))?;
        self.weight = 0;
        Ok(())
    }
}

fn next_version(cell: &Cell) -> Version {
    match cell {
        Cell::Touched(touch) => touch.version + 1,
        Cell::Loaded(aggregate) => aggregate.version + 1,
        Cell::Former { version, .. } => version + 1,
    }
}

/// Reads a contact that must be at version `stored`.
fn load(connection: &Connection, contact: ContactId, fact: &Fact, stored: Version) -> Result<Cell> {
    let cell = match store::load(connection, contact)? {
        Some(aggregate) => Cell::Loaded(Box::new(aggregate)),
        None => match store::load_former(connection, contact)? {
            Some(version) => Cell::Former { version, dirty: false },
            None => return Err(fact.version_gap(0)),
        },
    };
    match next_version(&cell) {
        next if next == stored + 1 => Ok(cell),
        next => Err(fact.version_gap(next)),
    }
}
