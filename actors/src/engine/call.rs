//! Calls that name a person by keys: events, upserts, finds, deletes.

use std::sync::Arc;

use mainspring_schemas::{
    ContactId, Properties, RecordId, Timestamp,
    event::contact::{Source, Via},
};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Core, Engine};
use crate::{
    api::{EditCall, EngineError, Identity, IngestCall, IngestOutcome, UpsertCall, UpsertOutcome},
    contact::{Call, Command, NewEvent, Outcome},
    shard::{Also, Answer, Decide, Failure, Verb, stored_event},
};

/// When a call is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// The instant; the engine's clock if absent.
    pub at: Option<Timestamp>,
    /// See [`crate::contact::Turn::continuous`].
    pub continuous: bool,
}

/// A call that is in line: nothing sent later can overtake it. The answer follows when it is durable.
pub struct Pending {
    engine: Engine,
    request: Request,
    answer: oneshot::Receiver<Result<Answer, Failure>>,
}

/// What a call needs again if its first way turns out to be closed.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub identity: Identity,
    /// The contact named by its id, besides whom the keys name.
    pub named: Option<Named>,
    pub timing: Timing,
    /// Whether a contact may come into being.
    pub creates: bool,
    pub trace: Option<Uuid>,
}

/// A contact that a call names by its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named {
    pub contact: ContactId,
    /// Whether it may become one with the owners of the call's keys (CT-83).
    pub merge: bool,
}

impl Pending {
    async fn answer(self) -> Result<Answer, EngineError> {
        match Core::answer(self.answer).await {
            Ok(Answer { unused: Some(call), .. }) => {
                // A merge or a deletion came in between: resolve anew, in turn with whoever changes these keys.
                let (answer, _) = self.engine.resolve_in_turn(self.request, *call).await?;
                Core::answer(answer).await.map_err(EngineError::from)
            }
            Ok(answer) => Ok(answer),
            Err(failure) => Err(failure.into()),
        }
    }

    /// The answer to an event, once it is durable.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn ingested(self) -> Result<IngestOutcome, EngineError> {
        let core = Arc::clone(&self.engine.core);
        let answer = self.answer().await?;
        let (stored, same_request) = match &answer.outcome {
            Outcome::Done { .. } => (true, None),
            Outcome::Duplicate { same_request, .. } => (false, Some(*same_request)),
            outcome => return Err(refusal(outcome)),
        };
        if same_request == Some(false) {
            core.report_reuse(answer.contact, stored_event(&answer.outcome));
        }
        Ok(IngestOutcome {
            stored,
            event_id: stored_event(&answer.outcome).unwrap_or(RecordId(Uuid::nil())),
            same_request,
            contact_id: answer.contact,
            contact_key: answer.contact_key,
            entered: answer.entered,
            left: answer.left,
            position: answer.position,
        })
    }

    /// The answer to an upsert, once it is durable.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn upserted(self) -> Result<UpsertOutcome, EngineError> {
        let answer = self.answer().await?;
        match answer.outcome {
            Outcome::Done { created, merged, .. } => Ok(UpsertOutcome {
                id: answer.contact,
                created,
                linked: !created,
                merged,
                contact_key: answer.contact_key,
                position: answer.position,
            }),
            outcome => Err(refusal(&outcome)),
        }
    }
}

fn refusal(outcome: &Outcome) -> EngineError {
    match outcome {
        Outcome::Refused(reason) => EngineError::Refused((*reason).to_owned()),
        Outcome::Gone => EngineError::NotFound,
        _ => EngineError::Overloaded,
    }
}

/// Digest of a request, to tell a repeat from a reuse of its key (IK-02).
fn request_digest(call: &IngestCall) -> u64 {
    let mut body = serde_json::json!([
        call.identity.external,
        call.identity.email,
        call.identity.anonymous,
        call.name,
        call.event_properties,
        call.contact_properties,
        call.occurred_at,
    ]);
    if let (Some(provider), Some(members)) = (&call.identity.provider, body.as_array_mut()) {
        members.push(serde_json::json!(provider));
    }
    let digest = Sha256::digest(body.to_string().as_bytes());
    digest[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

impl Engine {
    /// Stores an event and decides everything it causes (IG-01); answers when that is durable.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if it is only for somebody who exists and its keys name nobody (WS-52), and what any
    /// write may say; nothing was stored then, except with `LogFailed`, where it is unknown.
    pub async fn ingest(&self, call: IngestCall) -> Result<IngestOutcome, EngineError> {
        self.submit_ingest(call, Timing::default()).await?.ingested().await
    }

    /// Stores events in order, each as if sent alone, without waiting for one before the next is in line (DP-15).
    pub async fn ingest_batch(&self, calls: Vec<IngestCall>) -> Vec<Result<IngestOutcome, EngineError>> {
        let mut pending = Vec::with_capacity(calls.len());
        for call in calls {
            pending.push(self.submit_ingest(call, Timing::default()).await);
        }
        let mut outcomes = Vec::with_capacity(pending.len());
        for item in pending {
            outcomes.push(match item {
                Ok(pending) => pending.ingested().await,
                Err(error) => Err(error),
            });
        }
        outcomes
    }

    /// Puts an event in line and returns before it is durable.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn submit_ingest(&self, call: IngestCall, timing: Timing) -> Result<Pending, EngineError> {
        let from_source = matches!(call.source, Source::Webhook(_));
        if !(call.identity.is_sufficient() || from_source && call.identity.anonymous.is_some()) {
            return Err(EngineError::NoIdentity);
        }
        let request = if call.idempotency_key.is_some() { request_digest(&call) } else { 0 };
        let via = if call.source == Source::Import { Via::Import } else { Via::Attached };
        let event = NewEvent {
            name: call.name,
            properties: call.event_properties,
            occurred_at: call.occurred_at,
            source: call.source,
            idempotency_key: call.idempotency_key,
            request,
        };
        let inner = empty_call(call.contact_properties, Some(event), via);
        let (identity, creates, trace) = (call.identity, !call.existing_only, call.trace);
        self.submit(Request { identity, named: None, timing, creates, trace }, inner).await
    }

    /// Creates or changes a contact explicitly (CT-40); answers when that is durable.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn upsert(&self, call: UpsertCall) -> Result<UpsertOutcome, EngineError> {
        if !call.identity.is_sufficient() {
            return Err(EngineError::NoIdentity);
        }
        let (identity, trace) = (call.identity, call.trace);
        let request = Request { identity, named: None, timing: Timing::default(), creates: true, trace };
        self.submit(request, empty_call(call.properties, None, call.via)).await?.upserted().await
    }

    /// Changes the contact with an id, and no other (CT-83); answers when that is durable.
    ///
    /// # Errors
    /// [`EngineError::EmailTaken`] if the address is another contact's and they must not or cannot become one,
    /// [`EngineError::NotFound`] if nobody answers for the id, and what any write may say.
    pub async fn edit(&self, call: EditCall) -> Result<UpsertOutcome, EngineError> {
        let identity = Identity { email: call.email, ..Identity::default() };
        let named = Some(Named { contact: call.contact, merge: call.merge });
        let (timing, trace) = (Timing::default(), call.trace);
        let request = Request { identity, named, timing, creates: false, trace };
        let inner = empty_call(call.properties, None, Via::Attached);
        let (answer, _) = self.resolve_in_turn(request.clone(), inner).await?;
        Pending { engine: self.clone(), request, answer }.upserted().await
    }

    async fn submit(&self, request: Request, call: Call) -> Result<Pending, EngineError> {
        let answer = match self.known_owner(&request.identity) {
            Some(contact) => {
                let mut call = call;
                call.keys = request.identity.keys().cloned().collect();
                self.send_call(contact, &request, call)?
            }
            None => self.resolve_in_turn(request.clone(), call).await?.0,
        };
        Ok(Pending { engine: self.clone(), request, answer })
    }

    /// The contact that owns every key of the call, as far as this process has heard. The contact checks it again.
    fn known_owner(&self, identity: &Identity) -> Option<ContactId> {
        let mut owners = identity.keys().map(|key| self.core.directory.cached(key));
        let first = owners.next()??;
        owners.all(|owner| owner == Some(first)).then_some(first)
    }

    fn send_call(
        &self,
        contact: ContactId,
        request: &Request,
        call: Call,
    ) -> Result<oneshot::Receiver<Result<Answer, Failure>>, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.core.send(Verb::Decide(Box::new(Decide {
            contact,
            command: Command::Call(Box::new(call)),
            also: Also::default(),
            at: request.timing.at,
            continuous: request.timing.continuous,
            trace: request.trace,
            in_flight: None,
            decided: None,
            reply,
        })))?;
        Ok(answer)
    }
}

pub(super) fn empty_call(patch: Properties, event: Option<NewEvent>, via: Via) -> Call {
    Call {
        keys: Vec::new(),
        unowned: Vec::new(),
        designated: false,
        losers: Vec::new(),
        conflicts: Vec::new(),
        patch,
        event,
        via,
    }
}
