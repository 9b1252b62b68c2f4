//! Clients that insist: each call is repeated until it is answered, after refusals and across crashes.

use std::sync::Arc;

use mainspring_actors::api::{EngineError, Identity, IngestCall, UpsertCall};
use mainspring_schemas::{
    ContactId, SourceId,
    event::contact::{Source, Via},
};
use parking_lot::Mutex;
use serde_json::json;

use super::World;
use crate::world::event;

/// How many calls each client makes.
const CALLS: usize = 8;

/// How often a call is tried: with one fault in twelve, nothing that works at all needs so many.
const TRIES: usize = 100;

/// A call that was answered.
pub struct Done {
    /// Its unique name: of the event, or of the property that was set.
    pub name: String,
    /// The keys it named somebody by.
    pub identity: Identity,
    /// Whether it was only for somebody who exists (WS-52).
    pub existing_only: bool,
    /// What it was, and what became of it.
    pub what: What,
}

/// What became of a call.
pub enum What {
    /// An event of this contact, stored by this call or an earlier try.
    Event(ContactId),
    /// An event only for somebody who exists, and nobody did.
    Nobody,
    /// A property of this contact.
    Property(ContactId),
    /// This contact is deleted, by this call or an earlier try; or there was none.
    Deleted(Option<ContactId>),
}

/// Who is called: mostly by keys that others use too.
fn somebody(world: &World, done: &Mutex<Vec<Done>>) -> Identity {
    let disk = &world.disk;
    let mut keys = Vec::new();
    for (kind, values, percent) in [("u", 3, 55), ("e", 4, 55), ("d", 2, 15), ("v", 3, 40)] {
        if disk.chance(100) < percent && (kind != "v" || world.weather.weak_keys) {
            keys.push(format!("{kind}{}", disk.chance(values)));
        }
    }
    if !keys.iter().any(|key| key.starts_with(['u', 'e'])) {
        keys.insert(0, format!("e{}", disk.chance(4)));
    }
    let mut identity = event(&keys.join(" "), "x").identity;
    if world.weather.weak_keys && disk.chance(100) < 20 {
        let done = done.lock();
        let known: Vec<ContactId> = done.iter().filter_map(Done::contact).collect();
        if !known.is_empty() {
            // Back under a contact's id, which may be merged away or deleted by now, or under an anonymous id.
            let id = known[disk.chance(known.len() as u64) as usize].to_string();
            let old = if disk.chance(3) == 0 { format!("v{}", disk.chance(3)) } else { id };
            identity = Identity::new(Some(&old), None, None);
        }
    }
    identity
}

fn provider() -> SourceId {
    SourceId::new("stripe").unwrap()
}

/// A provider's customer, who is nobody else, or has an address, or the user id that the provider was told.
fn customer(world: &World) -> Identity {
    let disk = &world.disk;
    let user = (disk.chance(100) < 25).then(|| format!("u{}", disk.chance(3)));
    let email = (disk.chance(100) < 50).then(|| format!("e{}@example.com", disk.chance(4)));
    let identity = Identity::new(user.as_deref(), email.as_deref(), None);
    identity.with_provider(&provider(), &format!("c{}", disk.chance(3)))
}

impl Done {
    /// Whom the call ended at.
    pub fn contact(&self) -> Option<ContactId> {
        match self.what {
            What::Event(contact) | What::Property(contact) => Some(contact),
            What::Deleted(contact) => contact,
            What::Nobody => None,
        }
    }
}

/// Asserts that a refusal is one that the weather explains (RS-84: no 5xx), and lets some time pass.
async fn bear(world: &World, error: &EngineError, name: &str) {
    assert!(world.excuses_failures(), "{name} was refused without a reason: {error}");
    world.disk.linger(12).await;
}

async fn store(world: &World, identity: &Identity, existing_only: bool, name: &str) -> What {
    let (identity, idempotency_key) = (identity.clone(), Some(name.into()));
    let mut call = IngestCall { identity, idempotency_key, existing_only, ..event("", name) };
    if call.identity.provider.is_some() {
        call.source = Source::Webhook(provider());
    }
    for _ in 0..TRIES {
        match world.engine().ingest(call.clone()).await {
            Ok(outcome) => return What::Event(outcome.contact_id),
            Err(EngineError::NotFound) if existing_only => return What::Nobody,
            Err(error) => bear(world, &error, name).await,
        }
    }
    panic!("{name} never succeeds: {:?}", call.identity)
}

async fn set(world: &World, identity: &Identity, name: &str) -> What {
    let properties = json!({ name: true }).as_object().cloned().unwrap();
    let call = UpsertCall { identity: identity.clone(), properties, via: Via::Attached, trace: None };
    for _ in 0..TRIES {
        match world.engine().upsert(call.clone()).await {
            Ok(outcome) => return What::Property(outcome.id),
            Err(error) => bear(world, &error, name).await,
        }
    }
    panic!("{name} never succeeds: {identity:?}")
}

async fn delete(world: &World, identity: &Identity, name: &str) -> What {
    for _ in 0..TRIES {
        match world.engine().delete(identity).await {
            Ok(deletion) => return What::Deleted(Some(deletion.contact)),
            Err(EngineError::NotFound | EngineError::DifferentContacts) => return What::Deleted(None),
            Err(error) => bear(world, &error, name).await,
        }
    }
    panic!("{name} never succeeds: {identity:?}")
}

/// Makes calls one after the other, each with its own property or event.
pub async fn client(world: Arc<World>, number: usize, done: Arc<Mutex<Vec<Done>>>) {
    for call in 0..CALLS {
        world.disk.linger(10).await;
        let name = format!("c{number}-{call}");
        let is_customer = world.weather.providers && world.disk.chance(100) < 35;
        let identity = if is_customer { customer(&world) } else { somebody(&world, &done) };
        let existing_only = is_customer && world.disk.chance(4) == 0;
        let what = match world.disk.chance(100) {
            _ if is_customer => store(&world, &identity, existing_only, &name).await,
            0..15 if world.weather.deletions => delete(&world, &identity, &name).await,
            15..45 => set(&world, &identity, &name).await,
            _ => store(&world, &identity, false, &name).await,
        };
        done.lock().push(Done { name, identity, existing_only, what });
    }
}
