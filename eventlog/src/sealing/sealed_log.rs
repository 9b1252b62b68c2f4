//! A log whose personal payloads are sealed on the way in and opened on the way out.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mainspring_schemas::{StreamName, codec::personal};
use uuid::Uuid;

use super::{
    cipher::{self, Cipher, Unopened},
    data_keys::DataKeys,
};
use crate::{Append, AppendError, EventLog, LogError, NewRecord, OnDurable, Position, Recorded, Version};

/// Any log, with [`NewRecord::sealed_with`] carried out.
///
/// A record that names a key is stored in two parts: what anybody may read, and what is personal, sealed. With a
/// destroyed key only the first part is left, on reading as well as on writing; its event decodes with nothing in it.
pub struct SealedLog<L> {
    log: Arc<L>,
    keys: Arc<DataKeys>,
}

impl<L: EventLog> SealedLog<L> {
    /// Seals what goes into `log` and opens what comes out.
    pub fn new(log: Arc<L>, keys: Arc<DataKeys>) -> Self {
        Self { log, keys }
    }

    fn seal(&self, record: &mut NewRecord, ready: &mut Ready) -> Result<(), AppendError> {
        let Some(id) = record.sealed_with else { return Ok(()) };
        let fields = personal::personal_fields(&record.event_type).unwrap_or_default();
        let no_event = |_| AppendError::Refused("the payload is no event");
        let lifted = personal::lift(&record.payload, fields).map_err(no_event)?;
        let parts = personal::split(&lifted, fields).map_err(no_event)?;
        if !parts.has_personal() {
            record.sealed_with = None;
            return Ok(());
        }
        let key =
            ready.get(&self.keys, id).map_err(|error| AppendError::Unavailable(error.to_string().into()))?;
        let payload = match key {
            Some(key) => cipher::seal(key, &record.event_type, record.id, &parts)
                .ok_or(AppendError::Refused("the payload is too long"))?,
            // The person was erased meanwhile: nothing about them is written any more.
            None => {
                record.sealed_with = None;
                Bytes::from(parts.open())
            }
        };
        record.payload = payload;
        Ok(())
    }

    fn open(&self, record: &mut Recorded, ready: &mut Ready) -> Result<(), LogError> {
        let Some(id) = record.sealed_with else { return Ok(()) };
        let opened = match self.try_open(record, id, ready)? {
            // The key may have been destroyed between two halves of reading it.
            Err(Unopened::Damaged) => self.try_open(record, id, &mut Ready::default())?,
            opened => opened,
        };
        record.payload = opened.map_err(|reason| LogError::Corrupt {
            file: record.stream.to_string(),
            offset: record.version,
            position: record.position,
            reason: reason.to_string(),
        })?;
        Ok(())
    }

    fn try_open(
        &self,
        record: &Recorded,
        id: Uuid,
        ready: &mut Ready,
    ) -> Result<Result<Bytes, Unopened>, LogError> {
        Ok(match ready.get(&self.keys, id)? {
            Some(key) => cipher::open(key, &record.event_type, record.id, &record.payload),
            None => cipher::open_part(&record.payload),
        })
    }

    fn open_all(&self, mut records: Vec<Recorded>) -> Result<Vec<Recorded>, LogError> {
        let mut ready = Ready::default();
        records.iter_mut().try_for_each(|record| self.open(record, &mut ready))?;
        Ok(records)
    }
}

/// The cipher of the record before, within one append or one read: neighbours are mostly of the same contact.
#[derive(Default)]
struct Ready(Option<(Uuid, Arc<Cipher>)>);

impl Ready {
    /// The cipher of a key; `None` if it is destroyed.
    fn get(&mut self, keys: &DataKeys, id: Uuid) -> Result<Option<&Cipher>, LogError> {
        if self.0.as_ref().is_none_or(|(of, _)| *of != id) {
            self.0 = keys.cipher(id)?.map(|cipher| (id, cipher));
        }
        Ok(self.0.as_ref().map(|(_, cipher)| cipher.as_ref()))
    }
}

#[async_trait]
impl<L: EventLog> EventLog for SealedLog<L> {
    fn submit(&self, mut append: Append, on_durable: OnDurable) {
        let mut records = append.streams.iter_mut().flat_map(|stream| &mut stream.records);
        let mut ready = Ready::default();
        match records.try_for_each(|record| self.seal(record, &mut ready)) {
            Ok(()) => self.log.submit(append, on_durable),
            Err(error) => on_durable(Err(error)),
        }
    }

    fn atomic_streams(&self) -> bool {
        self.log.atomic_streams()
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Version,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        self.open_all(self.log.read_stream(stream, from, limit).await?)
    }

    async fn read_stream_back(
        &self,
        stream: &StreamName,
        from: Option<Version>,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        self.open_all(self.log.read_stream_back(stream, from, limit).await?)
    }

    async fn read_all(&self, from: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        self.open_all(self.log.read_all(from, limit).await?)
    }

    fn durable_end(&self) -> Position {
        self.log.durable_end()
    }

    async fn wait_past(&self, position: Position) {
        self.log.wait_past(position).await;
    }

    fn health(&self) -> Result<(), Arc<str>> {
        self.log.health()
    }
}
