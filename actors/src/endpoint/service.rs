//! Commands on endpoints, one at a time each, and the live view that delivery workers read at every attempt (OB-83).

use std::{collections::HashMap, convert::Infallible, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mainspring_eventlog::{Append, AppendError, Expected, LogError, NewRecord, Position, StreamAppend};
use mainspring_schemas::{
    ContactId, DeliveryId, EndpointId, MessageId, RecordId, StreamName, Timestamp,
    catalog::WEBHOOK_TEST,
    codec::personal::personal_fields,
    destination::Description,
    event::{
        DeliveryEvent, EndpointEvent,
        delivery::{Attempted, DiscardReason, Discarded},
        endpoint::{
            EndpointCreated, EndpointDeleted, EndpointDisabled, EndpointSettings, SigningSecret,
            TestRequested,
        },
    },
};
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use super::{
    decide::{self, EndpointPatch, Rotated},
    redelivery::Redelivery,
    state::{EndpointState, SIGNED_KIND, prefix},
};
use crate::{
    api::EngineError,
    engine::{Core, StartError},
    writer::{Stamp, record},
};

/// Records read at a time.
const PAGE: usize = 256;

/// An endpoint as the admin plane shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointView {
    /// Its id.
    pub id: EndpointId,
    /// What an operator configured.
    pub settings: EndpointSettings,
    /// The first twelve characters of its newest secret; `None` if its kind has none.
    pub secret_prefix: Option<String>,
    /// Until when the secret before the newest signs; `None` if it does not any more.
    pub previous_secret_expires_at: Option<Timestamp>,
    /// Whether nothing is sent.
    pub disabled: bool,
    /// Why: `operator`, `gone`, `failing`.
    pub disabled_reason: Option<String>,
    /// Since when.
    pub disabled_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its configuration last changed.
    pub updated_at: Timestamp,
    /// The last position written; reads wait for it.
    pub position: Position,
}

/// A test delivery that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestDelivery {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The message.
    pub message: MessageId,
    /// The record that causes it.
    pub position: Position,
}

/// All endpoints.
pub struct Endpoints {
    pub(super) core: Arc<Core>,
    live: RwLock<HashMap<EndpointId, Arc<EndpointState>>>,
    revision: watch::Sender<u64>,
    writing: tokio::sync::Mutex<()>,
    pub(super) redelivery: Redelivery,
}

fn view(id: EndpointId, state: &EndpointState, position: Position, now: Timestamp) -> EndpointView {
    let (secret_prefix, previous_secret_expires_at) = state.shown_secrets(now);
    EndpointView {
        id,
        settings: state.settings.clone(),
        secret_prefix,
        previous_secret_expires_at,
        disabled: state.disabled.is_some(),
        disabled_reason: state.disabled.as_ref().map(|(reason, _)| reason.clone()),
        disabled_at: state.disabled.as_ref().map(|(_, at)| *at),
        created_at: state.created_at,
        updated_at: state.updated_at,
        position,
    }
}

pub(super) fn append_error(error: &AppendError) -> EngineError {
    match error {
        AppendError::Conflict { .. } | AppendError::Unavailable(_) => EngineError::Overloaded,
        error => EngineError::LogFailed(error.to_string()),
    }
}

impl Endpoints {
    /// Reads all endpoints.
    ///
    /// # Errors
    /// See [`StartError`].
    pub(crate) async fn open(core: Arc<Core>) -> Result<Self, StartError> {
        let ids = core.population.endpoints().await?;
        let service = Self {
            core,
            live: RwLock::default(),
            revision: watch::Sender::new(0),
            writing: tokio::sync::Mutex::default(),
            redelivery: Redelivery::default(),
        };
        for id in ids {
            service.load(id).await?;
        }
        Ok(service)
    }

    async fn load(&self, id: EndpointId) -> Result<(), StartError> {
        let stream = StreamName::endpoint(id);
        let mut state = None;
        let mut next = 0;
        loop {
            let records = self.core.log().read_stream(&stream, next, PAGE).await?;
            for found in &records {
                let event = EndpointEvent::decode(&found.event_type, found.schema_version, &found.payload)?;
                EndpointState::apply(&mut state, &event, found.version);
                if let Some(state) = &mut state {
                    state.data_key = state.data_key.or(found.sealed_with);
                }
                next = found.version + 1;
            }
            if records.len() < PAGE {
                break;
            }
        }
        if let Some(state) = state.filter(|state| !state.deleted) {
            self.live.write().insert(id, Arc::new(state));
        }
        Ok(())
    }

    /// An endpoint as it is right now; `None` if there is none or it is deleted.
    pub fn live(&self, id: EndpointId) -> Option<Arc<EndpointState>> {
        self.live.read().get(&id).cloned()
    }

    /// A number that changes after an endpoint was created, changed or deleted, once [`Endpoints::live`] shows it.
    pub fn revision(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// All endpoints as they are right now, in the order of their ids.
    pub fn all(&self) -> Vec<(EndpointId, Arc<EndpointState>)> {
        let mut all: Vec<_> = self.live.read().iter().map(|(id, state)| (*id, Arc::clone(state))).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }

    fn known(&self, id: EndpointId) -> Result<Arc<EndpointState>, EngineError> {
        self.live(id).ok_or(EngineError::NotFound)
    }

    fn fresh_secret(&self) -> String {
        format!("whsec_{}", STANDARD.encode(self.core.entropy.lock().bytes::<32>()))
    }

    /// Appends events and makes them live. The caller holds `writing`.
    async fn write(
        &self,
        id: EndpointId,
        mut state: Option<EndpointState>,
        events: Vec<EndpointEvent>,
    ) -> Result<(EndpointView, Option<RecordId>), EngineError> {
        let now = self.core.now();
        let mut position = self.core.log().durable_end().saturating_sub(1);
        let (mut first, mut sealed_with) = (None, None);
        if !events.is_empty() {
            let expected =
                state.as_ref().map_or(Expected::NoStream, |state| Expected::Version(state.version));
            let (records, data_key) = self.records(&events, state.as_ref().and_then(|s| s.data_key), now)?;
            sealed_with = data_key;
            first = records.first().map(|record| record.id);
            let streams = vec![StreamAppend { stream: StreamName::endpoint(id), expected, records }];
            let appended = self.core.log().append(Append { recorded_at: now, streams }).await;
            position = appended.map_err(|error| append_error(&error))?.last_position;
        }
        for event in &events {
            let version = state.as_ref().map_or(0, |state| state.version + 1);
            EndpointState::apply(&mut state, event, version);
        }
        let mut state = state.ok_or(EngineError::NotFound)?;
        state.data_key = state.data_key.or(sealed_with);
        let view = view(id, &state, position, now);
        if state.deleted {
            self.live.write().remove(&id);
        } else {
            self.live.write().insert(id, Arc::new(state));
        }
        self.revision.send_modify(|revision| *revision += 1);
        Ok((view, first))
    }

    /// The records of events, and the key that seals their credentials (OB-86): the endpoint's own, made for the first
    /// record that holds any.
    fn records(
        &self,
        events: &[EndpointEvent],
        data_key: Option<Uuid>,
        now: Timestamp,
    ) -> Result<(Vec<NewRecord>, Option<Uuid>), EngineError> {
        let encoded = events.iter().map(EndpointEvent::encode).collect::<Result<Vec<_>, _>>();
        let encoded = encoded.map_err(|error| EngineError::LogFailed(error.to_string()))?;
        let seals = encoded
            .iter()
            .any(|event| personal_fields(event.event_type).is_some_and(|fields| !fields.is_empty()));
        let data_key = match data_key {
            None if seals => self.core.fresh_data_key()?,
            data_key => data_key,
        };
        let stamp = Stamp { data_key, ..Stamp::impersonal(None) };
        let mut entropy = self.core.entropy.lock();
        let records = encoded.into_iter().map(|event| record(entropy.record(now), event, None, stamp));
        Ok((records.collect(), data_key))
    }

    /// Creates an endpoint; a signed one's secret is returned this once (OB-92).
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] or [`EngineError::LogFailed`].
    pub async fn create(
        &self,
        settings: EndpointSettings,
        disabled: bool,
    ) -> Result<(EndpointView, Option<String>), EngineError> {
        let _one_at_a_time = self.writing.lock().await;
        let id = self.core.entropy.lock().endpoint(self.core.now());
        self.make(id, settings, disabled).await
    }

    /// Creates an endpoint with an id that somebody else chose. Nothing happens if there is or was one with that id;
    /// so of several who want the same one, only the first makes it (OB-232).
    ///
    /// # Errors
    /// As [`Endpoints::create`].
    pub async fn create_once(
        &self,
        id: EndpointId,
        settings: EndpointSettings,
    ) -> Result<Option<EndpointView>, EngineError> {
        let _one_at_a_time = self.writing.lock().await;
        let stream = StreamName::endpoint(id);
        let log_failed = |error: LogError| EngineError::LogFailed(error.to_string());
        let known = self.core.log().read_stream(&stream, 0, 1).await.map_err(log_failed)?;
        if !known.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.make(id, settings, false).await?.0))
    }

    /// The caller holds `writing`.
    async fn make(
        &self,
        id: EndpointId,
        mut settings: EndpointSettings,
        disabled: bool,
    ) -> Result<(EndpointView, Option<String>), EngineError> {
        let now = self.core.now();
        settings.event_types = decide::distinct(settings.event_types);
        let secret = (settings.kind == SIGNED_KIND).then(|| self.fresh_secret());
        let event = EndpointEvent::Created(EndpointCreated {
            at: now,
            settings,
            secret: secret.clone().map(|secret| SigningSecret { secret, expires_at: None }),
            disabled,
        });
        let (view, _) = self.write(id, None, vec![event]).await?;
        Ok((view, secret))
    }

    /// An endpoint, as of everything acknowledged.
    ///
    /// # Errors
    /// None today; an adapter that must ask the log may fail.
    pub async fn get(&self, id: EndpointId) -> Result<Option<EndpointView>, EngineError> {
        let position = self.core.log().durable_end().saturating_sub(1);
        Ok(self.live(id).map(|state| view(id, &state, position, self.core.now())))
    }

    /// Changes an endpoint; returns a secret if the change made one (OB-93).
    ///
    /// # Errors
    /// [`EngineError::NotFound`], else as [`Endpoints::create`].
    pub async fn update(
        &self,
        id: EndpointId,
        patch: EndpointPatch,
    ) -> Result<(EndpointView, Option<String>), EngineError> {
        match self.update_if(id, patch, |_| None, |_| Ok::<(), Infallible>(())).await? {
            Ok(updated) => Ok(updated),
            Err(never) => match never {},
        }
    }

    /// Changes an endpoint if `accept` takes its settings as they would be; else the inner result is its refusal. `kinds`
    /// says what is known of a kind.
    ///
    /// # Errors
    /// As [`Endpoints::update`].
    pub async fn update_if<'k, R>(
        &self,
        id: EndpointId,
        patch: EndpointPatch,
        kinds: impl Fn(&str) -> Option<&'k Description>,
        accept: impl FnOnce(&EndpointSettings) -> Result<(), R>,
    ) -> Result<Result<(EndpointView, Option<String>), R>, EngineError> {
        let _one_at_a_time = self.writing.lock().await;
        let state = self.known(id)?;
        let settings = decide::merged(&state.settings, &patch, kinds);
        if let Err(refusal) = accept(&settings) {
            return Ok(Err(refusal));
        }
        let fresh_secret = || self.fresh_secret();
        let (events, secret) =
            decide::change(&state, settings, patch.disabled, self.core.now(), fresh_secret);
        let (view, _) = self.write(id, Some((*state).clone()), events).await?;
        Ok(Ok((view, secret)))
    }

    /// Ends an endpoint for good (OB-87); its credentials cannot be read by anybody afterwards (OB-86).
    ///
    /// # Errors
    /// [`EngineError::NotFound`], else as [`Endpoints::create`].
    pub async fn delete(&self, id: EndpointId) -> Result<Position, EngineError> {
        let _one_at_a_time = self.writing.lock().await;
        let state = self.known(id)?;
        let data_key = state.data_key;
        let event = EndpointEvent::Deleted(EndpointDeleted { at: self.core.now(), data_key });
        let (view, _) = self.write(id, Some((*state).clone()), vec![event]).await?;
        // The log says by now that the key is destroyed, so the next start does what could not be done here.
        if let Err(error) = self.core.destroy(data_key.into_iter().collect()).await {
            tracing::error!(endpoint = %id, %error, "the key of a deleted endpoint is destroyed at the next start");
        }
        Ok(view.position)
    }

    /// Gives an endpoint a new secret (OB-94).
    ///
    /// # Errors
    /// [`EngineError::State`] if its kind has none, else as [`Endpoints::update`].
    pub async fn rotate(&self, id: EndpointId, grace_seconds: u32) -> Result<Rotated, EngineError> {
        let _one_at_a_time = self.writing.lock().await;
        let state = self.known(id)?;
        if state.settings.kind != SIGNED_KIND {
            return Err(EngineError::State("Endpoint kind has no signing secret".to_owned()));
        }
        let secret = self.fresh_secret();
        let grace = i64::from(grace_seconds) * 1000;
        let event = decide::rotate(&state, secret.clone(), grace, self.core.now());
        let previous_expires_at = event.secrets.get(1).and_then(|old| old.expires_at);
        self.write(id, Some((*state).clone()), vec![EndpointEvent::SecretRotated(event)]).await?;
        Ok(Rotated { secret_prefix: prefix(&secret), secret, previous_expires_at })
    }

    /// Asks for a test delivery (OB-177).
    ///
    /// # Errors
    /// As [`Endpoints::update`].
    pub async fn test(&self, id: EndpointId) -> Result<TestDelivery, EngineError> {
        let _one_at_a_time = self.writing.lock().await;
        let state = self.known(id)?;
        let now = self.core.now();
        let data = json!({
            "message": "Mainspring test event",
            "endpointId": id,
            "sentAt": now,
            "userId": format!("test_{id}"),
            "to": "test@mainspring.example",
        });
        let Value::Object(data) = data else { return Err(EngineError::NotFound) };
        let event = EndpointEvent::TestRequested(TestRequested { at: now, data });
        let (view, record) = self.write(id, Some((*state).clone()), vec![event]).await?;
        let record = record.ok_or(EngineError::NotFound)?;
        let message = MessageId::of(record, WEBHOOK_TEST);
        Ok(TestDelivery { delivery: DeliveryId::of(&message, id), message, position: view.position })
    }

    /// Stops deliveries because the receiver says it is gone, or fails for too long (OB-152).
    ///
    /// # Errors
    /// As [`Endpoints::update`].
    pub async fn disable(&self, id: EndpointId, reason: &str) -> Result<(), EngineError> {
        let _one_at_a_time = self.writing.lock().await;
        let state = self.known(id)?;
        if state.disabled.is_some() {
            return Ok(());
        }
        let event = EndpointDisabled { at: self.core.now(), reason: reason.to_owned() };
        self.write(id, Some((*state).clone()), vec![EndpointEvent::Disabled(event)]).await?;
        Ok(())
    }

    /// Records what became of an attempt; durable when this returns. What the receiver answered may show whose event it
    /// was, so it is sealed with the key of the `contact` the delivery is about.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] or [`EngineError::LogFailed`].
    pub async fn record_attempt(
        &self,
        id: EndpointId,
        attempted: Attempted,
        contact: Option<ContactId>,
    ) -> Result<Position, EngineError> {
        let now = self.core.now();
        let data_key = match contact.filter(|_| attempted.response_snippet.is_some()) {
            Some(contact) => self.core.data_key_of(contact).await?,
            None => None,
        };
        let stamp = Stamp { data_key, ..Stamp::impersonal(None) };
        self.append_outcomes(id, now, vec![DeliveryEvent::Attempted(attempted)], stamp).await
    }

    /// Ends deliveries that were held for too long (OB-88), all in one append.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] or [`EngineError::LogFailed`].
    pub async fn discard_held(
        &self,
        id: EndpointId,
        at: Timestamp,
        deliveries: &[DeliveryId],
    ) -> Result<Position, EngineError> {
        let ended =
            |delivery: &DeliveryId| Discarded { at, delivery: *delivery, reason: DiscardReason::Held };
        let events = deliveries.iter().map(|delivery| DeliveryEvent::Discarded(ended(delivery))).collect();
        self.append_outcomes(id, self.core.now(), events, Stamp::impersonal(None)).await
    }

    async fn append_outcomes(
        &self,
        id: EndpointId,
        now: Timestamp,
        events: Vec<DeliveryEvent>,
        stamp: Stamp,
    ) -> Result<Position, EngineError> {
        let encoded = events.iter().map(DeliveryEvent::encode).collect::<Result<Vec<_>, _>>();
        let encoded = encoded.map_err(|error| EngineError::LogFailed(error.to_string()))?;
        let records = {
            let mut entropy = self.core.entropy.lock();
            encoded.into_iter().map(|event| record(entropy.record(now), event, None, stamp)).collect()
        };
        // One stream holds the outcomes of many deliveries at once; their order does not matter.
        let expected = Expected::Any;
        let streams = vec![StreamAppend { stream: StreamName::deliveries(id), expected, records }];
        let appended = self.core.log().append(Append { recorded_at: now, streams }).await;
        Ok(appended.map_err(|error| append_error(&error))?.last_position)
    }
}
