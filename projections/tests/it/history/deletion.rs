//! What follows a deletion in a history: it is undone, or its grace ends.

use super::*;

impl History {
    /// Deletes somebody live, or goes on with somebody deleted.
    pub(super) fn end_or_go_on(&mut self, whom: u8, spare: u8) {
        let deleted = self.deleted();
        match deleted.get(usize::from(whom) % (deleted.len() + 1)) {
            Some(index) if spare.is_multiple_of(4) => self.end_grace(*index),
            Some(index) => self.restore(*index, spare),
            None => self.delete(whom, spare),
        }
    }

    /// Contacts whose deletion can be undone.
    fn deleted(&self) -> Vec<usize> {
        (0..self.contacts.len()).filter(|index| self.contacts[*index].deleted_at.is_some()).collect()
    }

    /// Undoes a deletion, with a key or without: its old ones may be others' by now.
    pub fn restore(&mut self, index: usize, spare: u8) {
        let at = self.now();
        let kinds = KeyKind::ALL.into_iter().filter(|_| spare.is_multiple_of(3));
        let keys: Vec<AttachedKey> = kinds
            .map(|kind| AttachedKey { kind, value: self.fresh_key(kind), primary: true, via: Via::Created })
            .collect();
        let contact = &mut self.contacts[index];
        contact.keys = keys.iter().map(|key| ((key.kind, key.value.clone()), true)).collect();
        (contact.live, contact.deleted_at, contact.updated_at) = (true, None, at);
        self.stays.append(&mut contact.hidden_stays);
        let restored = Restored {
            at,
            keys,
            properties: contact.properties.clone(),
            first_seen_at: contact.first_seen_at,
            last_seen_at: contact.last_seen_at,
            created_at: contact.first_seen_at,
        };
        self.contact_event(index, &ContactEvent::Restored(restored));
    }

    /// Erases somebody who was deleted.
    pub fn end_grace(&mut self, index: usize) {
        let at = self.now();
        self.destroy(index);
        self.contact_event(index, &ContactEvent::Deleted(Deleted { at, reason: "erased".into() }));
        self.contacts[index].deleted_at = None;
        self.contacts[index].hidden_stays.clear();
    }

    /// Who is deleted and since when, the longest deleted first.
    pub fn graces(&self) -> BTreeSet<(Timestamp, ContactId)> {
        self.contacts.iter().filter_map(|contact| Some((contact.deleted_at?, contact.id))).collect()
    }
}
