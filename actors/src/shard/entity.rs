//! A contact in memory: its state, and what of it is not yet durable.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use mainspring_eventlog::{AppendError, LogError, Snapshot};
use mainspring_schemas::{ContactId, StreamName, Timestamp, codec::DecodeError, event::ContactEvent};
use uuid::Uuid;

use super::{
    Shared,
    seal::{open_snapshot, seal_snapshot},
};
use crate::{
    contact::{ContactState, Meta, apply, from_snapshot, to_snapshot},
    identity::{ContactReader, DirectoryError},
    writer::InFlight,
};

/// Records read at a time when a contact is loaded.
const PAGE: usize = 1024;

/// Records since the last snapshot after which a busy contact gets a new one.
const LONG_TAIL: u64 = 1024;

/// A contact in memory.
pub(crate) struct Entity {
    pub state: ContactState,
    /// The newest append that the state contains and the log may not.
    pub in_flight: Option<InFlight>,
    pub last_use: u64,
    /// Its place in the shard's line of contacts by use.
    pub place: u64,
    /// The timer that stands for it in the shard.
    pub armed: Option<Timestamp>,
    /// Seals what is personal in its records; none before its first record.
    pub data_key: Option<Uuid>,
    snapshot_version: Option<u64>,
}

/// Why a contact could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Reads a contact: newest snapshot, then the records after it.
pub(crate) async fn load(shared: Arc<Shared>, contact: ContactId) -> Result<Entity, LoadError> {
    let stream = StreamName::contact(contact);
    let snapshot = shared.snapshots.load(&stream).await.ok().flatten();
    let opened = snapshot.and_then(|snapshot| {
        let opened = open_snapshot(shared.data_keys.as_deref(), contact, &snapshot)?;
        let state = from_snapshot(&opened.state).filter(|state| state.version == Some(snapshot.version))?;
        Some((state, opened.data_key))
    });
    let (mut state, mut data_key) = opened.unwrap_or_default();
    let snapshot_version = state.version;
    loop {
        let next = state.version.map_or(0, |version| version + 1);
        let records = shared.log.read_stream(&stream, next, PAGE).await?;
        for record in &records {
            data_key = data_key.or(record.sealed_with);
            let event = ContactEvent::decode(&record.event_type, record.schema_version, &record.payload)?;
            let meta = Meta {
                contact,
                id: record.id,
                version: record.version,
                recorded_at: record.recorded_at,
                wake_at: record.wake_at,
                definitions: record.definitions,
            };
            apply(&mut state, &event, meta);
            if let ContactEvent::Absorbed(absorbed) = &event
                && absorbed.by_reference
            {
                state.unite_history(&read(Arc::clone(&shared), absorbed.loser).await?);
            }
        }
        if records.len() < PAGE {
            break;
        }
    }
    Ok(Entity { state, in_flight: None, last_use: 0, place: 0, armed: None, data_key, snapshot_version })
}

/// The state alone: boxed, since reading a contact may mean reading those it absorbed.
fn read(shared: Arc<Shared>, contact: ContactId) -> BoxFuture<'static, Result<ContactState, LoadError>> {
    Box::pin(async move { Ok(load(shared, contact).await?.state) })
}

#[async_trait]
impl ContactReader for Shared {
    async fn read(self: Arc<Self>, contact: ContactId) -> Result<ContactState, DirectoryError> {
        match read(self, contact).await {
            Ok(state) => Ok(state),
            Err(LoadError::Log(error)) => Err(error.into()),
            Err(LoadError::Decode(error)) => Err(error.into()),
        }
    }
}

impl Entity {
    /// Whether an append was refused, so that the state is not what the log says.
    pub fn is_stale(&self) -> bool {
        self.in_flight.as_ref().is_some_and(InFlight::has_failed)
    }

    /// Whether the log contains everything the state does.
    pub fn is_settled(&self) -> bool {
        self.in_flight.as_ref().is_none_or(InFlight::is_durable)
    }

    /// Whether it can leave memory: nothing in it is on its way to the log.
    pub fn is_at_rest(&self) -> bool {
        self.is_settled() || self.is_stale()
    }

    /// Runs `then` once everything the state contains is durable.
    pub fn after_durable(&self, then: Box<dyn FnOnce(Result<(), AppendError>) + Send>) {
        match &self.in_flight {
            Some(in_flight) => in_flight.then(then),
            None => then(Ok(())),
        }
    }

    fn tail(&self) -> u64 {
        let version = self.state.version.map_or(0, |version| version + 1);
        version - self.snapshot_version.map_or(0, |version| version + 1).min(version)
    }

    /// Saves a snapshot if at least `after` records came since the last one.
    pub fn snapshot(&self, shared: &Shared, contact: ContactId, after: u64) {
        let Some(version) = self.state.version.filter(|_| self.tail() >= after && self.is_settled()) else {
            return;
        };
        let keys = shared.data_keys.as_deref();
        let sealed =
            to_snapshot(&self.state).and_then(|state| seal_snapshot(keys, contact, self.data_key, state));
        if let Some((schema_version, payload)) = sealed {
            shared
                .snapshots
                .save(&StreamName::contact(contact), Snapshot { version, schema_version, payload });
        }
    }

    /// Keeps the tail of a contact that is never idle short.
    pub fn snapshot_if_long(&mut self, shared: &Shared, contact: ContactId) {
        if self.tail() >= LONG_TAIL && self.is_settled() {
            self.snapshot(shared, contact, LONG_TAIL);
            self.snapshot_version = self.state.version;
        }
    }
}
