//! What must hold when a schedule is over, judged by the log and by the engine's answers.

use std::collections::{BTreeMap, BTreeSet};

use mainspring_actors::api::Identity;
use mainspring_schemas::{
    ContactId,
    event::contact::ContactEvent,
    identity::{IdentityKey, KeyKind},
};

use super::{
    World,
    clients::{Done, What},
};

/// The streams of all contacts.
struct Histories(BTreeMap<ContactId, Vec<ContactEvent>>);

impl Histories {
    fn of(world: &World) -> Self {
        let mut histories: BTreeMap<ContactId, Vec<ContactEvent>> = BTreeMap::new();
        for record in world.disk.records() {
            let Some(contact) = record.stream.contact_id() else { continue };
            let event = ContactEvent::decode(&record.event_type, record.schema_version, &record.payload);
            histories.entry(contact).or_default().push(event.unwrap());
        }
        Self(histories)
    }

    /// Who answers for a contact in the end, and whether it lives.
    fn end_of(&self, contact: ContactId) -> (ContactId, bool) {
        match self.0[&contact].last() {
            Some(ContactEvent::MergedInto(merged)) => self.end_of(merged.survivor),
            Some(ContactEvent::Deleted(_)) => (contact, false),
            _ => (contact, true),
        }
    }

    fn live(&self) -> BTreeSet<ContactId> {
        self.0.keys().map(|id| self.end_of(*id)).filter(|(_, lives)| *lives).map(|(id, _)| id).collect()
    }

    /// Names of the events in the streams of all who end as this contact, with repeats.
    fn events_of(&self, end: ContactId) -> Vec<String> {
        let members = self.0.iter().filter(|(id, _)| self.end_of(**id).0 == end);
        let events = members.flat_map(|(_, events)| events).filter_map(|event| match event {
            ContactEvent::EventRecorded(event) => Some(event.name.to_string()),
            _ => None,
        });
        events.collect()
    }

    /// Whoever is merged away or deleted never acts again, and each loser has exactly one survivor (RS-85, MC-44).
    fn nobody_comes_back(&self) {
        let mut absorbed: BTreeMap<ContactId, Vec<ContactId>> = BTreeMap::new();
        for (id, events) in &self.0 {
            for event in events {
                if let ContactEvent::Absorbed(event) = event {
                    absorbed.entry(event.loser).or_default().push(*id);
                }
            }
            let ends = |event: &ContactEvent| {
                matches!(event, ContactEvent::MergedInto(_) | ContactEvent::Deleted(_))
            };
            let end = events.iter().position(ends);
            assert!(end.is_none_or(|end| end + 1 == events.len()), "{id} acts after its end: {events:?}");
        }
        for (id, events) in &self.0 {
            let survivors = absorbed.remove(id).unwrap_or_default();
            match events.last() {
                Some(ContactEvent::MergedInto(merged)) => assert_eq!(survivors, [merged.survivor], "{id}"),
                _ => assert!(survivors.is_empty(), "{id} was absorbed and goes on"),
            }
        }
    }
}

fn strong(identity: &Identity) -> impl Iterator<Item = &IdentityKey> {
    identity.keys().filter(|key| key.kind != KeyKind::Anonymous)
}

fn by(key: &IdentityKey) -> Identity {
    let mut identity = Identity::default();
    match key.kind {
        KeyKind::External => identity.external = Some(key.clone()),
        KeyKind::Email => identity.email = Some(key.clone()),
        KeyKind::Discord => identity.discord = Some(key.clone()),
        KeyKind::Anonymous => identity.anonymous = Some(key.clone()),
        KeyKind::Provider => identity.provider = Some(key.clone()),
    }
    identity
}

/// Judges a schedule.
pub async fn judge(world: &World, done: &[Done]) {
    let histories = Histories::of(world);
    histories.nobody_comes_back();
    let live = histories.live();
    keys_have_one_owner(world, &live).await;
    for call in done {
        answered_calls_hold(world, &histories, call).await;
    }
    for id in &live {
        let told = world.engine().timeline(*id, 1000, 0).await.unwrap().unwrap();
        let mut told: Vec<String> = told.events.iter().map(|event| event.name.to_string()).collect();
        let mut expected = histories.events_of(*id);
        told.sort_unstable();
        expected.sort_unstable();
        assert_eq!(told, expected, "MC-30: one history, nothing lost or doubled");
    }
    if !world.weather.deletions && !world.weather.weak_keys {
        let people = people(done);
        assert_eq!(live.len(), people.len(), "RS-85: who is one person does not depend on the order");
        for keys in people {
            let owners: BTreeSet<ContactId> = {
                let mut owners = BTreeSet::new();
                for key in &keys {
                    owners.extend(owner(world, key).await);
                }
                owners
            };
            assert_eq!(owners.len(), 1, "{} keys of one person", keys.len());
        }
    }
}

async fn owner(world: &World, key: &IdentityKey) -> Option<ContactId> {
    let engine = world.engine();
    match key.kind {
        // Nobody finds by a Discord id from outside; a spelling of a user id does (KE-24).
        KeyKind::Discord => engine.resolve(&format!("discord:{}", key.value)).await.unwrap(),
        _ => engine.find(&by(key)).await.unwrap().first().map(|view| view.contact.id),
    }
}

/// RS-82, KE-10: what a contact says it owns, everybody else says too.
async fn keys_have_one_owner(world: &World, live: &BTreeSet<ContactId>) {
    let mut owners: BTreeMap<IdentityKey, ContactId> = BTreeMap::new();
    for id in live {
        let view = world.engine().contact(*id).await.unwrap().unwrap();
        assert_eq!(view.contact.id, *id);
        for held in view.keys {
            let key = IdentityKey { kind: held.kind, value: held.value };
            assert_eq!(owner(world, &key).await, Some(*id), "{key:?} {}", key.value);
            assert_eq!(owners.insert(key, *id), None, "a key with two owners");
        }
    }
}

/// RS-83, RS-86: what was answered is there, once, where its keys lead.
async fn answered_calls_hold(world: &World, histories: &Histories, call: &Done) {
    let Some(contact) = call.contact() else { return };
    let (end, lives) = histories.end_of(contact);
    let name = &call.name;
    match call.what {
        What::Event(_) => {
            let count = histories.events_of(end).iter().filter(|event| *event == name).count();
            assert_eq!(count, 1, "{name} in the history of {end}");
            for other in histories.live().into_iter().filter(|other| *other != end) {
                assert!(!histories.events_of(other).contains(name), "{name} is with somebody else too");
            }
        }
        What::Property(_) if lives => {
            let view = world.engine().contact(end).await.unwrap().unwrap();
            assert!(view.contact.properties.contains_key(name), "{name} is lost");
        }
        What::Property(_) => {}
        What::Deleted(_) => {
            assert!(!lives, "{name}: a deleted contact lives");
            return;
        }
    }
    if lives {
        for key in strong(&call.identity) {
            assert_eq!(owner(world, key).await, Some(end), "{name}: {key:?} leads elsewhere");
        }
    }
}

/// The people there must be if every call joins all its keys.
fn people(done: &[Done]) -> Vec<BTreeSet<IdentityKey>> {
    let mut people: Vec<BTreeSet<IdentityKey>> = Vec::new();
    for call in done {
        let mut person: BTreeSet<IdentityKey> = strong(&call.identity).cloned().collect();
        people.retain(|known| {
            let same = !known.is_disjoint(&person);
            if same {
                person.extend(known.iter().cloned());
            }
            !same
        });
        people.push(person);
    }
    people
}
