//! What must hold when a schedule is over, judged by the log and by the engine's answers.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use mainspring_actors::api::Identity;
use mainspring_schemas::{
    ContactId, Timestamp,
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

    /// WS-106: what a provider tells joins no two contacts that both have a user id of their own, and gives nobody a
    /// second one. Every instant is shown once, so what has the same instant is one turn.
    fn no_provider_joins_users(&self, done: &[Done]) {
        let told =
            |name: &str| done.iter().find(|call| call.name == name && call.identity.provider.is_some());
        for events in self.0.values() {
            let mut keys: Vec<IdentityKey> = Vec::new();
            let mut turn = (Timestamp(i64::MIN), 0);
            for event in events {
                let (at, come) = match event {
                    ContactEvent::Created(event) => (event.at, &event.keys),
                    ContactEvent::KeysAttached(event) => (event.at, &event.keys),
                    ContactEvent::Absorbed(event) => (event.at, &event.keys),
                    ContactEvent::EventRecorded(event) => {
                        if told(&event.name).is_some() && event.at == turn.0 && turn.1 > 0 {
                            assert_eq!(users(&keys), turn.1, "{} joins users: {keys:?}", event.name);
                        }
                        continue;
                    }
                    _ => continue,
                };
                if at != turn.0 {
                    turn = (at, users(&keys));
                }
                keys.extend(come.iter().map(|key| IdentityKey { kind: key.kind, value: key.value.clone() }));
            }
        }
    }

    /// WS-52. Every instant is shown once, so what has the same instant is one turn.
    fn nobody_comes_into_being_for_those_who_exist(&self, done: &[Done]) {
        for events in self.0.values() {
            let Some(ContactEvent::Created(created)) = events.first() else { continue };
            for event in events {
                let ContactEvent::EventRecorded(event) = event else { continue };
                let of_known = done.iter().any(|call| call.existing_only && call.name == event.name);
                assert!(!of_known || event.at > created.at, "{} made somebody", event.name);
            }
        }
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

/// The keys that lead to whoever a call ended at: all strong ones, but with a provider only what decides (WS-106).
fn decisive(identity: &Identity) -> Vec<IdentityKey> {
    let strong = identity.keys().filter(|key| key.kind != KeyKind::Anonymous);
    let all = if identity.provider.is_some() { 1 } else { usize::MAX };
    strong.take(all).cloned().collect()
}

/// How many user ids there are that only the application gives.
fn users(keys: &[IdentityKey]) -> usize {
    keys.iter().filter(|key| key.kind == KeyKind::External && key.value.starts_with('u')).count()
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
    if world.weather.providers {
        histories.no_provider_joins_users(done);
        histories.nobody_comes_into_being_for_those_who_exist(done);
    }
    if !world.weather.deletions && !world.weather.weak_keys {
        let connected = people(done.iter());
        for id in &live {
            let keys = world.engine().contact(*id).await.unwrap().unwrap().keys;
            let held: BTreeSet<IdentityKey> =
                keys.into_iter().map(|key| IdentityKey { kind: key.kind, value: key.value }).collect();
            assert!(connected.iter().any(|person| person.is_superset(&held)), "{id} is several people");
        }
        let people = people(done.iter().filter(|call| call.identity.provider.is_none()));
        if !world.weather.providers {
            assert_eq!(live.len(), people.len(), "RS-85: who is one person does not depend on the order");
        }
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
        KeyKind::Provider => engine.resolve(&key.value).await.unwrap(),
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
    if matches!(call.what, What::Nobody) && !world.weather.deletions {
        let told = |id: &ContactId| histories.events_of(*id).contains(&call.name);
        assert!(!histories.live().iter().any(told), "{} is for nobody, and somebody has it", call.name);
    }
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
        What::Property(_) | What::Nobody => {}
        What::Deleted(_) => {
            assert!(!lives, "{name}: a deleted contact lives");
            return;
        }
    }
    if lives {
        for key in &decisive(&call.identity) {
            assert_eq!(owner(world, key).await, Some(end), "{name}: {key:?} leads elsewhere");
        }
    }
}

/// The people there must be if every call joins all its keys.
fn people<'d>(done: impl Iterator<Item = &'d Done>) -> Vec<BTreeSet<IdentityKey>> {
    let mut people: Vec<BTreeSet<IdentityKey>> = Vec::new();
    for call in done {
        let strong = call.identity.evidence().filter(|key| key.kind != KeyKind::Anonymous);
        let mut person: BTreeSet<IdentityKey> = strong.map(Cow::into_owned).collect();
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
