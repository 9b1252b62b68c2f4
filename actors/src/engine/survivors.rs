//! Contacts that absorbed others while a pass over all contacts was on its way: what the pass owed to those others, it
//! owes to them, though it may have been with them before.

use std::sync::Arc;

use mainspring_schemas::ContactId;
use parking_lot::Mutex;

/// Remembers survivors of merges as long as somebody watches.
#[derive(Debug, Default)]
pub(crate) struct Survivors(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    watchers: usize,
    contacts: Vec<ContactId>,
}

impl Survivors {
    /// Notes a merge that is decided.
    pub fn add(&self, survivor: ContactId) {
        let mut noted = self.0.lock();
        if noted.watchers > 0 {
            noted.contacts.push(survivor);
        }
    }

    /// Watches from now on.
    pub fn watch(self: &Arc<Self>) -> Watch {
        let mut noted = self.0.lock();
        noted.watchers += 1;
        Watch { seen: noted.contacts.len(), survivors: Arc::clone(self) }
    }
}

/// Somebody who watches.
#[derive(Debug)]
pub(crate) struct Watch {
    survivors: Arc<Survivors>,
    seen: usize,
}

impl Watch {
    /// Whoever absorbed somebody since the last time.
    pub fn news(&mut self) -> Vec<ContactId> {
        let noted = self.survivors.0.lock();
        let news = noted.contacts.get(self.seen..).unwrap_or_default().to_vec();
        self.seen = noted.contacts.len();
        news
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut noted = self.survivors.0.lock();
        noted.watchers -= 1;
        if noted.watchers == 0 {
            noted.contacts.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn everybody_who_watches_hears_of_every_survivor_once() {
        let survivors = Arc::new(Survivors::default());
        let [a, b] = [1, 2].map(|n| ContactId(Uuid::from_u128(n)));
        survivors.add(a);
        let mut first = survivors.watch();
        assert_eq!(first.news(), [], "nobody watched then");
        survivors.add(a);
        let mut second = survivors.watch();
        survivors.add(b);
        assert_eq!((first.news(), second.news()), (vec![a, b], vec![b]));
        drop(first);
        survivors.add(a);
        assert_eq!(second.news(), [a]);
        drop(second);
        assert!(survivors.0.lock().contacts.is_empty());
    }
}
