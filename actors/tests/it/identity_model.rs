//! Who is who, against a slow and obvious model: random calls, deletions and restarts, compared after every step.

use std::collections::{BTreeMap, BTreeSet};

use mainspring_actors::{
    Engine,
    api::{EngineError, UpsertCall},
};
use mainspring_schemas::{ContactId, event::contact::Via};
use serde_json::json;

use crate::{
    harness::T0,
    random::Random,
    world::{World, event},
};

const KEYS: [&str; 11] = ["u0", "u1", "u2", "u3", "e0", "e1", "e2", "e3", "v0", "v1", "v2"];

/// One to three keys, at least one of which is evidence of its own.
fn keys_of_a_call(random: &mut Random) -> Vec<&'static str> {
    loop {
        let mut one_of = |keys: &[&'static str]| {
            let place = random.below(2 * keys.len() as u64) as usize;
            keys.get(place).copied()
        };
        let (user, email, anonymous) = (one_of(&KEYS[..4]), one_of(&KEYS[4..8]), one_of(&KEYS[8..]));
        if user.is_some() || email.is_some() {
            return [user, email, anonymous].into_iter().flatten().collect();
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Person {
    keys: BTreeSet<&'static str>,
    first_seen: i64,
    properties: BTreeSet<String>,
}

impl Person {
    fn of_kind(&self, kind: char) -> BTreeSet<&'static str> {
        self.keys.iter().copied().filter(|key| key.starts_with(kind)).collect()
    }
}

/// Everybody, by id.
#[derive(Debug, Default)]
struct Model(BTreeMap<ContactId, Person>);

impl Model {
    fn owner(&self, key: &str) -> Option<ContactId> {
        self.0.iter().find(|(_, person)| person.keys.contains(key)).map(|(id, _)| *id)
    }

    /// RS-20: the owner of an anonymous key and the rest of the call each have a user id, or each an address, and none
    /// in common.
    fn contradicts(&self, owner: ContactId, call: &[&'static str]) -> bool {
        ['u', 'e'].into_iter().any(|kind| {
            let own = self.0[&owner].of_kind(kind);
            let mut rest: BTreeSet<&str> = call.iter().copied().filter(|key| key.starts_with(kind)).collect();
            for other in call.iter().filter_map(|key| self.owner(key)).filter(|other| *other != owner) {
                rest.extend(self.0[&other].of_kind(kind));
            }
            !own.is_empty() && !rest.is_empty() && own.is_disjoint(&rest)
        })
    }

    /// What a call does, given the id of the contact the engine answered with: whether it created, whether it merged.
    fn call(&mut self, call: &[&'static str], now: i64, property: &str, answered: ContactId) -> (bool, bool) {
        let strong: BTreeSet<ContactId> =
            call.iter().filter(|key| !key.starts_with('v')).filter_map(|key| self.owner(key)).collect();
        let (mut involved, mut attached) = (strong.clone(), Vec::new());
        for key in call {
            match self.owner(key) {
                Some(owner) if key.starts_with('v') && !strong.contains(&owner) => {
                    if self.contradicts(owner, call) {
                        continue;
                    }
                    involved.insert(owner);
                }
                _ => {}
            }
            attached.push(*key);
        }
        // MC-01: identified first, then the one seen first.
        let rank = |id: &ContactId| (self.0[id].of_kind('u').is_empty(), self.0[id].first_seen, *id);
        let survivor = involved.iter().copied().min_by_key(rank);
        let (created, merged) = (survivor.is_none(), involved.len() > 1);
        let mut whole = Person { first_seen: now, ..Person::default() };
        for id in &involved {
            let part = self.0.remove(id).unwrap();
            whole.keys.extend(part.keys);
            whole.properties.extend(part.properties);
            whole.first_seen = whole.first_seen.min(part.first_seen);
        }
        whole.keys.extend(attached);
        whole.properties.insert(property.to_owned());
        assert!(survivor.is_none_or(|survivor| survivor == answered), "MC-01: {survivor:?} survives");
        assert!(self.0.insert(answered, whole).is_none(), "a new contact has an id of its own");
        (created, merged)
    }
}

async fn everybody(engine: &Engine) -> BTreeMap<ContactId, (BTreeSet<String>, BTreeSet<String>)> {
    let mut found = BTreeMap::new();
    for key in KEYS {
        for view in engine.find(&event(key, "x").identity).await.unwrap() {
            let keys = view.keys.iter().map(|key| key.value.to_string()).collect();
            found.insert(view.contact.id, (keys, view.contact.properties.keys().cloned().collect()));
        }
    }
    found
}

async fn compare(engine: &Engine, model: &Model, place: &str) {
    let expected: BTreeMap<_, _> = model
        .0
        .iter()
        .map(|(id, person)| {
            let keys: BTreeSet<String> = person
                .keys
                .iter()
                .map(|key| event(key, "x"))
                .map(|call| call.identity.keys().next().unwrap().value.to_string())
                .collect();
            (*id, (keys, person.properties.clone()))
        })
        .collect();
    assert_eq!(everybody(engine).await, expected, "{place}");
}

async fn life(seed: u64) {
    let mut random = Random(seed);
    let world = World::new(T0);
    let mut running = world.start(None).await;
    let mut model = Model::default();
    for step in 0..30 {
        let now = T0 + step + 1;
        world.clock.set(now);
        let place = format!("seed {seed}, step {step}");
        match random.below(12) {
            0 => {
                running.stop().await;
                running = world.start(None).await;
            }
            1 => {
                let key = KEYS[random.below(8) as usize];
                let deleted = running.engine.delete(&event(key, "x").identity).await;
                match model.owner(key) {
                    Some(id) => {
                        assert_eq!(deleted.unwrap().contact, id, "{place}");
                        model.0.remove(&id);
                    }
                    None => assert_eq!(deleted.unwrap_err(), EngineError::NotFound, "{place}"),
                }
            }
            _ => {
                let keys = keys_of_a_call(&mut random);
                let property = format!("p{step}");
                let call = UpsertCall {
                    identity: event(&keys.join(" "), "x").identity,
                    properties: json!({ property.as_str(): step }).as_object().cloned().unwrap(),
                    via: Via::Attached,
                    trace: None,
                };
                let outcome = running.engine.upsert(call).await.unwrap();
                let (created, merged) = model.call(&keys, now, &property, outcome.id);
                let told = (outcome.created, outcome.linked, outcome.merged);
                assert_eq!(told, (created, !created, merged), "{place}: {keys:?}");
            }
        }
        compare(&running.engine, &model, &place).await;
    }
    running.stop().await;
}

#[actix::test]
async fn rs_01_to_rs_22_random_lives_agree_with_the_obvious_model() {
    for seed in 0..80 {
        life(seed).await;
    }
}
