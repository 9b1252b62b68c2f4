//! Calls whose keys are new, belong to several contacts, or changed hands: resolved one after the other per key, then
//! made true in one append with the claims and the merge (RS-80..RS-85, IG-13).

use std::sync::Arc;

use mainspring_eventlog::{Expected, StreamAppend};
use mainspring_schemas::{
    ContactId, StreamName,
    identity::{IdentityKey, KeyKind},
};
use tokio::sync::oneshot;

use super::{
    Core, Engine,
    call::{Deletion, Request, as_contact_id, as_discord_key},
};
use crate::{
    api::EngineError,
    contact::{Call, Command, ContactState, Fate, Outcome, Taken},
    identity::{Candidate, Found, Owner, Plan, plan},
    shard::{Answer, Decide, Failure, TakeOut, Verb},
    writer::{InFlight, Pledge, Stamp, claimed, identity_record, released},
};

/// How often a call starts over because somebody else was first.
pub(super) const ATTEMPTS: usize = 16;

type Answering = oneshot::Receiver<Result<Answer, Failure>>;

pub(super) fn lock_name(contact: ContactId) -> u128 {
    contact.0.as_u128()
}

pub(super) fn storage(error: impl std::fmt::Display) -> EngineError {
    EngineError::LogFailed(error.to_string())
}

impl Engine {
    /// Resolves a call in turn with every other that shares a key with it. Returns once it is in line.
    pub(super) async fn resolve_in_turn(
        &self,
        request: Request,
        call: Call,
    ) -> Result<(Answering, ContactId), EngineError> {
        if request.identity.keys().next().is_none() {
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

    /// The live contact a key designates (KE-24).
    pub(super) async fn designated(&self, key: &IdentityKey) -> Result<Option<ContactId>, EngineError> {
        Ok(self.core.look_up(key).await?.found.owner)
    }

    /// The whole state of a contact, or of who answers for it; `None` if it is gone.
    pub(super) async fn state(&self, id: ContactId) -> Result<Option<Box<ContactState>>, EngineError> {
        let mut id = id;
        loop {
            let state = self.core.view(id).await?;
            match state.fate {
                Fate::Live => return Ok(Some(state)),
                Fate::MergedInto(survivor) => id = survivor,
                Fate::Absent | Fate::Deleted => return Ok(None),
            }
        }
    }

    /// Deletes a contact named by its id (CT-84).
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if nobody answers for it, and what any write may say.
    pub async fn delete_contact(&self, id: ContactId) -> Result<Deletion, EngineError> {
        let (done, deleted) = oneshot::channel();
        let engine = self.clone();
        let spawned = self.core.resolver.spawn(async move {
            let _ = done.send(engine.delete_in_turn(id).await);
        });
        if !spawned {
            return Err(EngineError::Overloaded);
        }
        deleted.await.unwrap_or(Err(EngineError::Overloaded))
    }

    async fn delete_in_turn(&self, id: ContactId) -> Result<Deletion, EngineError> {
        for _ in 0..ATTEMPTS {
            let contact = self.answers_for(id).await?.ok_or(EngineError::NotFound)?;
            let keys_before = self.core.view(contact).await?.keys.clone();
            // Keys before contacts, like everybody: whoever brings one of these keys waits for the deletion.
            let digests = keys_before.iter().map(|held| self.core.lock_of(&held.key));
            let _keys = self.core.key_locks.lock(digests).await;
            let _contact = self.core.contact_locks.lock([lock_name(contact)]).await;
            let state = self.core.view(contact).await?;
            if state.fate != Fate::Live || state.keys != keys_before {
                continue;
            }
            let also = self.core.releases(&state)?;
            let (reply, answer) = oneshot::channel();
            let decide = Decide {
                contact,
                command: Command::Delete,
                also,
                at: None,
                continuous: false,
                trace: None,
                in_flight: None,
                decided: None,
                reply,
            };
            self.core.send(Verb::Decide(Box::new(decide)))?;
            let answered = Core::answer(answer).await;
            self.core.directory.forget_all(state.keys.iter().map(|held| &held.key));
            match answered {
                Ok(Answer { outcome: Outcome::Deleted, position: Some(position), .. }) => {
                    return Ok(Deletion { contact, position });
                }
                Ok(_) | Err(Failure::Conflict) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(EngineError::Overloaded)
    }
}

/// A supplied key, whom it designates, and what a claim of it must expect.
struct LookedUp {
    found: Found,
    expected: Expected,
}

impl Core {
    pub(super) fn lock_of(&self, key: &IdentityKey) -> u128 {
        u128::from_be_bytes(self.directory.hasher().digest(key))
    }

    async fn owner(&self, key: &IdentityKey) -> Result<Owner, EngineError> {
        self.directory.owner(key).await.map_err(storage)
    }

    /// KE-24: a `userId` is an external key first, then a contact's id, an anonymous key, a Discord spelling.
    async fn look_up(&self, key: &IdentityKey) -> Result<LookedUp, EngineError> {
        let own = self.owner(key).await?;
        let found = |owner, attaches| LookedUp {
            found: Found { key: key.clone(), owner, attaches },
            expected: own.expected,
        };
        if own.contact.is_some() || key.kind != KeyKind::External {
            return Ok(found(own.contact, true));
        }
        if let Some(id) = as_contact_id(key)
            && let Some(contact) = self.directory.answers_for(id).await.map_err(storage)?
        {
            return Ok(found(Some(contact), false));
        }
        let anonymous = IdentityKey { kind: KeyKind::Anonymous, value: key.value.clone() };
        if let Some(contact) = self.owner(&anonymous).await?.contact {
            return Ok(found(Some(contact), false));
        }
        if let Some(discord) = as_discord_key(key)
            && let Some(contact) = self.owner(&discord).await?.contact
        {
            return Ok(found(Some(contact), false));
        }
        Ok(found(None, true))
    }

    /// Whether an unowned anonymous value is somebody's id of another kind: then it is no anonymous key (KE-24).
    async fn is_disguised(&self, key: &IdentityKey) -> Result<bool, EngineError> {
        let external = IdentityKey { kind: KeyKind::External, value: key.value.clone() };
        if self.owner(&external).await?.contact.is_some() {
            return Ok(true);
        }
        if let Some(id) = as_contact_id(&external) {
            return Ok(self.directory.answers_for(id).await.map_err(storage)?.is_some());
        }
        if let Some(email) = IdentityKey::new(KeyKind::Email, &key.value).filter(|_| key.value.contains('@'))
        {
            return Ok(self.owner(&email).await?.contact.is_some());
        }
        Ok(false)
    }

    async fn look_up_all(&self, request: &Request) -> Result<Vec<LookedUp>, EngineError> {
        let mut all = Vec::new();
        for key in request.identity.keys() {
            let looked_up = self.look_up(key).await?;
            let anonymous = key.kind == KeyKind::Anonymous && looked_up.found.owner.is_none();
            if anonymous && self.is_disguised(key).await? {
                tracing::info!(kind = key.kind.as_str(), "identity.claim.refused");
                continue;
            }
            all.push(looked_up);
        }
        Ok(all)
    }

    /// A contact's state once everything in it is durable.
    pub(super) async fn view(&self, contact: ContactId) -> Result<Box<ContactState>, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.send(Verb::View(contact, reply))?;
        Self::answer(answer).await.map_err(EngineError::from)
    }

    async fn resolve(&self, request: Request, mut call: Call) -> Result<(Answering, ContactId), EngineError> {
        let names: Vec<u128> = request.identity.keys().map(|key| self.lock_of(key)).collect();
        let _keys = self.key_locks.lock(names).await;
        for _ in 0..ATTEMPTS {
            let before = self.owners(&request).await?;
            let _contacts = self.contact_locks.lock(before.iter().copied().map(lock_name)).await;
            let looked_up = self.look_up_all(&request).await?;
            let found: Vec<Found> = looked_up.iter().map(|item| item.found.clone()).collect();
            if found.iter().filter_map(|item| item.owner).any(|owner| !before.contains(&owner)) {
                continue;
            }
            let candidates = self.candidates(&found).await?;
            let plan = plan(&found, &candidates);
            match self.carry_out(&request, &looked_up, plan, call).await? {
                Carried::InLine(answer, contact) => return Ok((answer, contact)),
                Carried::Again(unused) => call = *unused,
            }
        }
        Err(EngineError::Overloaded)
    }

    async fn owners(&self, request: &Request) -> Result<Vec<ContactId>, EngineError> {
        let looked_up = self.look_up_all(request).await?;
        Ok(looked_up.into_iter().filter_map(|item| item.found.owner).collect())
    }

    /// What resolving must know about the owners: only if there are several, or the only evidence is weak.
    async fn candidates(&self, found: &[Found]) -> Result<Vec<Candidate>, EngineError> {
        let mut owners: Vec<ContactId> = found.iter().filter_map(|item| item.owner).collect();
        owners.sort_unstable();
        owners.dedup();
        let mut candidates = Vec::with_capacity(owners.len());
        let weak = found.iter().any(|item| item.key.kind == KeyKind::Anonymous && item.owner.is_some());
        for owner in &owners {
            let (keys, first_seen_at) = if owners.len() > 1 || weak {
                let state = self.view(*owner).await?;
                (state.keys.iter().map(|held| held.key.clone()).collect(), state.first_seen_at)
            } else {
                (Vec::new(), Default::default())
            };
            candidates.push(Candidate { contact: *owner, keys, first_seen_at });
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
        let mut also = self.claims(looked_up, &plan, contact, request)?;
        call.losers.clear();
        for loser in &plan.losers {
            let (taken, half) = self.take(*loser, contact, request, &in_flight).await?;
            also.push(half);
            also.extend(self.moved_claims(&taken, contact, request)?);
            call.losers.push(taken);
        }
        let moved = call.losers.iter().flat_map(|loser| loser.state.keys.iter().map(|held| &held.key));
        let changing: Arc<[IdentityKey]> = plan.unowned.iter().chain(moved).cloned().collect();
        call.keys = plan.keys;
        call.unowned = plan.unowned;
        call.conflicts = plan.conflicts;
        let (decided, in_line) = oneshot::channel();
        let (reply, mut answer) = oneshot::channel();
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
        let _ = in_line.await;
        // Owners are remembered before the append is durable: whoever comes next is appended after it.
        for key in &*changing {
            self.directory.claimed(key, contact);
        }
        if in_flight.has_failed() {
            // It failed before they were remembered.
            self.directory.forget_all(&*changing);
        }
        match answer.try_recv() {
            Ok(Ok(Answer { unused: Some(unused), .. })) => {
                // Somebody else answers for a key by now: what was heard of them all is in doubt.
                self.directory.forget_all(request.identity.keys());
                return Ok(Carried::Again(unused));
            }
            Ok(settled) => {
                let (reply, answer) = oneshot::channel();
                let _ = reply.send(settled);
                return Ok(Carried::InLine(answer, contact));
            }
            Err(_) => {}
        }
        Ok(Carried::InLine(answer, contact))
    }

    async fn take(
        &self,
        loser: ContactId,
        survivor: ContactId,
        request: &Request,
        in_flight: &InFlight,
    ) -> Result<(Taken, StreamAppend), EngineError> {
        let (reply, taken) = oneshot::channel();
        let at = request.timing.at;
        let in_flight = in_flight.clone();
        self.send(Verb::Take(TakeOut { contact: loser, survivor, at, in_flight, reply }))?;
        Self::answer(taken).await.map_err(EngineError::from)
    }

    fn stamp(request: &Request) -> Stamp {
        Stamp::impersonal(request.trace)
    }

    /// Claims of the keys nobody owned.
    fn claims(
        &self,
        looked_up: &[LookedUp],
        plan: &Plan,
        contact: ContactId,
        request: &Request,
    ) -> Result<Vec<StreamAppend>, EngineError> {
        let now = request.timing.at.unwrap_or_else(|| self.now());
        looked_up
            .iter()
            .filter(|item| item.found.attaches && plan.unowned.contains(&item.found.key))
            .map(|item| {
                let stream = self.directory.hasher().stream(&item.found.key);
                let id = self.entropy.lock().record(now);
                identity_record(stream, item.expected, &claimed(contact, now), id, Self::stamp(request))
                    .map_err(storage)
            })
            .collect()
    }

    /// The loser's keys change hands in the same append (MC-12, MC-14).
    fn moved_claims(
        &self,
        taken: &Taken,
        survivor: ContactId,
        request: &Request,
    ) -> Result<Vec<StreamAppend>, EngineError> {
        let now = request.timing.at.unwrap_or_else(|| self.now());
        let claim = |key: &IdentityKey| {
            let stream = self.directory.hasher().stream(key);
            let id = self.entropy.lock().record(now);
            identity_record(stream, Expected::Any, &claimed(survivor, now), id, Self::stamp(request))
                .map_err(storage)
        };
        taken.state.keys.iter().map(|held| claim(&held.key)).collect()
    }

    /// A deleted contact's keys are free at once (CT-70).
    pub(super) fn releases(&self, state: &ContactState) -> Result<Vec<StreamAppend>, EngineError> {
        let now = self.now();
        let stamp = Stamp::impersonal(None);
        let release = |key: &IdentityKey| {
            let stream: StreamName = self.directory.hasher().stream(key);
            let id = self.entropy.lock().record(now);
            identity_record(stream, Expected::Any, &released(now), id, stamp).map_err(storage)
        };
        state.keys.iter().map(|held| release(&held.key)).collect()
    }
}

enum Carried {
    /// The call is in line; its answer follows.
    InLine(Answering, ContactId),
    /// Somebody else must decide it after all.
    Again(Box<Call>),
}
