//! The log with the keys to what is personal in it.

use std::{path::Path, sync::Arc};

use mainspring_eventlog::{
    EventLog, LogError,
    embedded::{EmbeddedLog, Recovery},
    sealing::{DataKeys, SealedLog},
};

use crate::exit::{Fault, Reason};

/// Records looked at at a time.
const PAGE: usize = 1024;

/// A log, opened.
pub struct OpenedLog {
    /// Where everybody reads and writes: personal payloads are in clear here.
    pub log: Arc<dyn EventLog>,
    /// The log as it stands on disk; for its life cycle and its statistics.
    pub raw: Arc<EmbeddedLog>,
    /// The keys between the two.
    pub data_keys: Arc<DataKeys>,
    /// What opening it found.
    pub recovery: Recovery,
}

impl OpenedLog {
    /// Puts the keys in `path` before a log. A log without sealed records gets new ones.
    pub async fn new(raw: Arc<EmbeddedLog>, recovery: Recovery, path: &Path) -> anyhow::Result<Self> {
        let may_create = path.exists() || !is_sealed(&raw).await?;
        let data_keys = DataKeys::open(path, may_create).map_err(|error| match error {
            LogError::Unusable(message) => Fault::new(Reason::Damaged, message).into(),
            error => anyhow::Error::new(error),
        })?;
        let data_keys = Arc::new(data_keys);
        let log: Arc<dyn EventLog> = Arc::new(SealedLog::new(Arc::clone(&raw), Arc::clone(&data_keys)));
        Ok(Self { log, raw, data_keys, recovery })
    }
}

/// Whether a log has sealed records: the first record of a contact tells.
async fn is_sealed(log: &EmbeddedLog) -> anyhow::Result<bool> {
    let mut next = 0;
    loop {
        let records = log.read_all(next, PAGE).await?;
        let Some(last) = records.last() else { return Ok(false) };
        if let Some(first) = records.iter().find(|record| record.stream.contact_id().is_some()) {
            return Ok(first.sealed_with.is_some());
        }
        next = last.position + 1;
    }
}
