//! Calls whose keys are new, belong to several contacts, or changed hands: resolved one after the other per key, then
//! made true in one append with the claims and the merge (RS-80..RS-85, IG-13).

use std::sync::{Arc, atomic::Ordering};

use mainspring_eventlog::StreamAppend;
use mainspring_schemas::{
    ContactId, Timestamp,
    codec::EncodeError,
    identity::{IdentityKey, KeyKind},
};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    Core, Engine,
    call::{Named, Request},
};
use crate::{
    api::{EngineError, Identity},
    contact::{Call, Command, Outcome, Taken},
    identity::{Attaches, Candidate, ClaimWriter, Found, LookedUp, Plan, plan},
    shard::{Also, Answer, Decide, Failure, TakeOut, Verb},
    writer::{InFlight, Pledge, Stamp},
};

/// How often a call starts over because somebody else was first.
pub(super) const ATTEMPTS: usize = 16;

/// Most keys of a contact that takes part in a merge: each is a stream of the same append, which may hold 65,535.
const MOST_MOVED_KEYS: usize = 10_000;

/// Most bytes of the properties of a contact that takes part in a merge: those of five make one record, at most 16 MiB.
const MOST_MOVED_PROPERTIES: usize = 2 << 20;

type Answering = oneshot::Receiver<Result<Answer, Failure>>;

pub(super) fn lock_name(contact: ContactId) -> u128 {
    contact.0.as_u128()
}

impl Engine {
    /// Resolves a call in turn with every other that shares a key with it. Returns once it is in line.
    pub(super) async fn resolve_in_turn(
        &self,
        request: Request,
        call: Call,
    ) -> Result<(Answering, ContactId), EngineError> {
        if request.identity.keys().next().is_none() && request.named.is_none() {
            return Err(EngineError::NoIdentity);
        }
        let (done, resolved) = oneshot::channel();
        let core = Arc::clone(&self.core);
        // Not on the caller's task: a merge must end even if the caller hangs up.
        let spawned = self.core.resolver.spawn(async move {
            let _ = done.send(core.resolve(request, call).await);
        });
        if !spawned {
            return Err(EngineError::Overloaded);
        }
        resolved.await.unwrap_or(Err(EngineError::Overloaded))
    }
}

impl Core {
    pub(super) fn lock_of(&self, key: &IdentityKey) -> u128 {
        self.directory.hasher().lock_name(key)
    }

    /// Whom the call names, the contact named by its id first. Keys of a `full` kind that nobody owns are left out.
    async fn look_up(&self, request: &Request, full: &[KeyKind]) -> Result<Vec<LookedUp>, EngineError> {
        let mut all = Vec::new();
        if let Some(Named { contact: named, .. }) = request.named {
            let contact = self.directory.answers_for(named).await?.ok_or(EngineError::NotFound)?;
            all.push(LookedUp::by_id(named, contact));
        }
        let keys = self.directory.look_up_all(&request.identity).await?;
        let has_room = |item: &LookedUp| item.found.owner.is_some() || !full.contains(&item.found.key.kind);
        all.extend(keys.into_iter().filter(has_room));
        Ok(all)
    }

    async fn resolve(&self, request: Request, mut call: Call) -> Result<(Answering, ContactId), EngineError> {
        let names: Vec<u128> = request.identity.evidence().map(|key| self.lock_of(&key)).collect();
        let mut keys = self.key_locks.lock(names.iter().copied()).await;
        let mut full = Vec::new();
        for _ in 0..ATTEMPTS {
            let before = owners(&self.look_up(&request, &full).await?);
            let contacts = self.contact_locks.lock(before.iter().copied().map(lock_name)).await;
            let looked_up = self.look_up(&request, &full).await?;
            if owners(&looked_up).iter().any(|owner| !before.contains(owner)) {
                continue;
            }
            if let Some(half) = self.half_met(&looked_up).await? {
                // Its keys are locked too, and locks are taken in order.
                drop((keys, contacts));
                self.finish_merge(half).await?;
                keys = self.key_locks.lock(names.iter().copied()).await;
                continue;
            }
            let found: Vec<Found> = looked_up.iter().map(|item| item.found.clone()).collect();
            let candidates = self.candidates(&found).await?;
            if found.is_empty() {
                // Its only key was another contact's id of another kind.
                return Err(EngineError::NoIdentity);
            }
            let plan = plan(&found, &candidates, self.shared.policy.merges);
            if plan.contact.is_none() && !request.creates {
                return Err(EngineError::NotFound);
            }
            if let Some(named) = request.named
                && (!plan.conflicts.is_empty() || !(named.merge || plan.losers.is_empty()))
            {
                return Err(EngineError::EmailTaken);
            }
            let (conflicts, losers) = (plan.conflicts.clone(), plan.losers.clone());
            match self.carry_out(&request, &looked_up, plan, call).await? {
                Carried::InLine(answer, contact) => {
                    self.report_conflicts(contact, &conflicts);
                    self.report_twins(contact, candidates.iter().filter(|one| losers.contains(&one.contact)));
                    return Ok((answer, contact));
                }
                Carried::Again(unused) => call = *unused,
                Carried::Full(contact, kind, unused) => {
                    self.count_full(contact, kind);
                    if request.named.is_some() {
                        // The one address the operator asked for: going on without it would answer untruly.
                        return Err(EngineError::State("Contact has too many email addresses".to_owned()));
                    }
                    full.push(kind);
                    call = *unused;
                }
            }
        }
        Err(EngineError::Overloaded)
    }

    /// What resolving must know about the owners: only if there are several, or the only evidence is weak or a hint.
    async fn candidates(&self, found: &[Found]) -> Result<Vec<Candidate>, EngineError> {
        let mut owners: Vec<ContactId> = found.iter().filter_map(|item| item.owner).collect();
        owners.sort_unstable();
        owners.dedup();
        let mut candidates = Vec::with_capacity(owners.len());
        let weak = found.iter().any(|item| match item.key.kind {
            KeyKind::Anonymous => item.owner.is_some(),
            kind => kind == KeyKind::Provider,
        });
        for owner in &owners {
            let contact = *owner;
            candidates.push(if owners.len() > 1 || weak {
                let state = self.view(contact).await?;
                Candidate {
                    contact,
                    keys: state.keys.iter().map(|held| held.key.clone()).collect(),
                    first_seen_at: state.first_seen_at,
                    is_immovable: state.keys.len() > MOST_MOVED_KEYS
                        || state.properties_size > MOST_MOVED_PROPERTIES,
                }
            } else {
                Candidate {
                    contact,
                    keys: Vec::new(),
                    first_seen_at: Timestamp::default(),
                    is_immovable: false,
                }
            });
        }
        Ok(candidates)
    }

    async fn carry_out(
        &self,
        request: &Request,
        looked_up: &[LookedUp],
        plan: Plan,
        mut call: Call,
    ) -> Result<Carried, EngineError> {
        let contact = match plan.contact {
            Some(contact) => contact,
            None => {
                let now = request.timing.at.unwrap_or_else(|| self.now());
                self.entropy.lock().contact(now)
            }
        };
        // Losers rest on the append from when they are taken; on every way out of here that ends without it, it fails.
        let pledge = Pledge::new();
        let in_flight = pledge.in_flight();
        let (now, trace) = (request.timing.at.unwrap_or_else(|| self.now()), request.trace);
        let before = self.write_claims(now, trace, |claims| claims.claim(looked_up, &plan, contact))?;
        let mut also = Also { before, after: Vec::new() };
        call.losers.clear();
        for loser in &plan.losers {
            let (taken, half) = match self.take(*loser, contact, request, &in_flight).await {
                Ok(taken) => taken,
                Err(Failure::Conflict) => {
                    // It is no live contact: what was heard of its keys was old.
                    self.forget(&request.identity);
                    return Ok(Carried::Again(Box::new(call)));
                }
                Err(failure) => return Err(failure.into()),
            };
            also.before.push(half);
            let keys = taken.state.keys.iter().map(|held| &held.key);
            also.after.extend(self.write_claims(now, trace, |claims| claims.hand_over(keys, contact))?);
            call.losers.push(taken);
        }
        let moved = call.losers.iter().flat_map(|loser| loser.state.keys.iter().map(|held| &held.key));
        let changing: Arc<[IdentityKey]> = plan.unowned.iter().chain(moved).cloned().collect();
        call.designated = looked_up
            .iter()
            .any(|item| item.found.owner.is_some() && item.found.attaches != Attaches::Always);
        call.keys = plan.keys;
        call.unowned = plan.unowned;
        call.conflicts = plan.conflicts;
        let (decided, in_line) = oneshot::channel();
        let (reply, answer) = oneshot::channel();
        in_flight.then(Box::new({
            let (directory, changing) = (Arc::clone(&self.directory), Arc::clone(&changing));
            move |result| {
                if result.is_err() {
                    directory.forget_all(&*changing);
                }
            }
        }));
        self.send(Verb::Decide(Box::new(Decide {
            contact,
            command: Command::Call(Box::new(call)),
            also,
            at: request.timing.at,
            continuous: request.timing.continuous,
            trace: request.trace,
            in_flight: Some(pledge),
            decided: Some(decided),
            reply,
        })))?;
        if in_line.await.is_ok_and(|decided| decided.turned_away) {
            // Nothing of it is in line. It was refused by what may not be durable yet, so that may have to come first.
            let answer = Self::answer(answer).await?;
            let Some(unused) = answer.unused else { return Err(EngineError::Overloaded) };
            if let Outcome::Full(kind) = answer.outcome {
                return Ok(Carried::Full(contact, kind, unused));
            }
            // Somebody else answers for a key by now: what was heard of them all is in doubt.
            self.forget(&request.identity);
            return Ok(Carried::Again(unused));
        }
        if !self.log().atomic_streams() {
            // Claims and contacts agree again only when all is written: until then nobody else may come.
            let (done, settled) = oneshot::channel();
            in_flight.then(Box::new(move |_| {
                let _ = done.send(());
            }));
            let _ = settled.await;
        }
        if !plan.losers.is_empty() {
            self.survivors.add(contact);
        }
        // Owners are remembered before the append is durable: whoever comes next is appended after it.
        for key in &*changing {
            self.directory.claimed(key, contact);
        }
        if in_flight.has_failed() {
            // It failed before they were remembered.
            self.directory.forget_all(&*changing);
        }
        Ok(Carried::InLine(answer, contact))
    }

    async fn take(
        &self,
        loser: ContactId,
        survivor: ContactId,
        request: &Request,
        in_flight: &InFlight,
    ) -> Result<(Taken, StreamAppend), Failure> {
        let (reply, taken) = oneshot::channel();
        let at = request.timing.at;
        let in_flight = in_flight.clone();
        let continuous = request.timing.continuous;
        let take = Verb::Take(TakeOut { contact: loser, survivor, at, continuous, in_flight, reply });
        self.send(take).map_err(|_| Failure::Unavailable)?;
        Self::answer(taken).await
    }

    /// Forgets what was heard of whom a call names.
    fn forget(&self, identity: &Identity) {
        identity.evidence().for_each(|key| self.directory.forget(&key));
    }

    /// Writes claims as of an instant.
    pub(super) fn write_claims(
        &self,
        now: Timestamp,
        trace: Option<Uuid>,
        write: impl FnOnce(&mut ClaimWriter<'_>) -> Result<Vec<StreamAppend>, EncodeError>,
    ) -> Result<Vec<StreamAppend>, EngineError> {
        let stamp = Stamp::impersonal(trace);
        let mut ids = || self.entropy.lock().record(now);
        let mut claims = ClaimWriter { hasher: self.directory.hasher(), now, stamp, ids: &mut ids };
        write(&mut claims).map_err(|error| EngineError::LogFailed(error.to_string()))
    }

    /// A key was not attached because there are too many of its kind: counted, and told once per contact (KE-12).
    fn count_full(&self, contact: ContactId, kind: KeyKind) {
        self.refused_keys.fetch_add(1, Ordering::Relaxed);
        if self.full_contacts.get(&contact).is_none() {
            self.full_contacts.insert(contact, ());
            let kind = kind.as_str();
            tracing::warn!(%contact, kind, "a contact has as many keys as it may: further ones are not attached");
        }
    }
}

fn owners(looked_up: &[LookedUp]) -> Vec<ContactId> {
    looked_up.iter().filter_map(|item| item.found.owner).collect()
}

enum Carried {
    /// The call is in line; its answer follows.
    InLine(Answering, ContactId),
    /// Somebody else must decide it after all.
    Again(Box<Call>),
    /// The contact has no room for a key of this kind.
    Full(ContactId, KeyKind, Box<Call>),
}
