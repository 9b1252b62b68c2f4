//! All buckets: what is in force, and what happens when that changes.

use std::{collections::HashMap, sync::Arc};

use actix::{Actor, Addr};
use mainspring_eventlog::{LogError, Position};
use mainspring_schemas::{
    BucketId, StreamName, Timestamp,
    codec::DecodeError,
    definition::BucketDefinition,
    event::{BucketEvent, bucket::Purpose},
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use super::{
    actor::{Bucket, Tell},
    fill::fill_patiently,
    state::BucketState,
};
use crate::{
    api::EngineError,
    engine::{Core, StartError},
    rules::Rules,
    shard::Message,
};

/// Records read at a time.
const PAGE: usize = 1024;

/// A bucket as operators see it.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketView {
    /// The definition in force.
    pub definition: Arc<BucketDefinition>,
    /// Whether it decides anything (BK-200).
    pub enabled: bool,
    /// Whether contacts are still being decided by it.
    pub building: bool,
    /// Contacts decided so far.
    pub processed: u64,
    /// Contacts there were to decide.
    pub total: u64,
    /// When anything about it last changed.
    pub updated_at: Timestamp,
}

/// A bucket's actor and the state it shares.
#[derive(Clone)]
pub(super) struct Entry {
    address: Addr<Bucket>,
    pub state: Arc<RwLock<BucketState>>,
    /// The pass that is on its way, and the record that asked for it.
    filling: Arc<Mutex<Option<(Purpose, Position)>>>,
}

/// A bucket that needs a pass over all contacts, and the record that asks for it.
pub(super) struct Due {
    pub entry: Entry,
    pub purpose: Purpose,
    pub asked: Position,
}

impl Entry {
    /// The pass that is due and not yet on its way; from now on it is.
    fn begin_fill(&self) -> Option<Due> {
        let (purpose, asked) = self.state.read().pass_due()?;
        let before = self.filling.lock().replace((purpose, asked));
        (before != Some((purpose, asked))).then(|| Due { entry: self.clone(), purpose, asked })
    }

    pub async fn tell(&self, message: Tell) -> Result<bool, EngineError> {
        self.address.send(message).await.unwrap_or(Err(EngineError::Overloaded))
    }
}

/// All buckets.
pub struct Buckets(Arc<Registry>);

struct Registry {
    core: Arc<Core>,
    entries: HashMap<BucketId, Entry>,
    /// Buckets in definition order; retired ones are not part of it.
    order: Vec<BucketId>,
    changing: tokio::sync::Mutex<()>,
}

impl Buckets {
    /// Reads all buckets, records what the definition files changed, puts the result in force, and starts the
    /// back-fills that are due.
    ///
    /// # Errors
    /// See [`StartError`].
    pub(crate) async fn open(
        core: Arc<Core>,
        definitions: Option<Vec<BucketDefinition>>,
    ) -> Result<Self, StartError> {
        let mut ids = core.population.buckets().await?;
        let mut order: Vec<BucketId> = match &definitions {
            Some(definitions) => definitions.iter().map(|definition| definition.id.clone()).collect(),
            None => ids.clone(),
        };
        ids.extend(order.iter().filter(|id| !ids.contains(id)).cloned().collect::<Vec<_>>());
        let mut entries = HashMap::new();
        for id in ids {
            let state = Arc::new(RwLock::new(load(&core, &id).await?));
            let bucket = Bucket { core: Arc::clone(&core), id: id.clone(), state: Arc::clone(&state) };
            let entry = Entry { address: bucket.start(), state, filling: Arc::default() };
            if let Some(definitions) = &definitions {
                let file = definitions.iter().find(|definition| definition.id == id);
                entry.tell(Tell::Define(file.cloned().map(Box::new))).await?;
            }
            entries.insert(id, entry);
        }
        order.retain(|id| entries.get(id).is_some_and(|entry| !entry.state.read().retired));
        let registry = Arc::new(Registry { core, entries, order, changing: tokio::sync::Mutex::default() });
        registry.put_in_force().await;
        registry.fill_what_is_due();
        Ok(Self(registry))
    }

    /// All buckets in force, in definition order.
    pub fn list(&self) -> Vec<BucketView> {
        self.0.order.iter().filter_map(|id| self.0.view(id)).collect()
    }

    /// A bucket in force.
    pub fn get(&self, id: &str) -> Option<BucketView> {
        self.0.view(&BucketId::new(id).ok()?)
    }

    /// An operator's switch: hot, wins over the definition, survives restarts (BK-200).
    ///
    /// # Errors
    /// [`EngineError::NotFound`], or what the log says.
    pub async fn switch(&self, id: &str, enabled: bool) -> Result<BucketView, EngineError> {
        let registry = &self.0;
        let _one_at_a_time = registry.changing.lock().await;
        let id = BucketId::new(id).map_err(|_| EngineError::NotFound)?;
        let entry = registry
            .entries
            .get(&id)
            .filter(|entry| !entry.state.read().retired)
            .ok_or(EngineError::NotFound)?;
        if entry.tell(Tell::Switch(enabled)).await? {
            registry.put_in_force().await;
            registry.fill_what_is_due();
        }
        registry.view(&id).ok_or(EngineError::NotFound)
    }

    /// Whether any pass over the contacts is still on its way: a back-fill, or one that plans clocks.
    pub fn is_building(&self) -> bool {
        self.0.entries.values().any(|entry| entry.state.read().pass_due().is_some())
    }
}

impl Registry {
    /// Tells every shard the rules; returns when all decide by them.
    async fn put_in_force(&self) {
        // A rule and its revision belong together: a bucket may change while others are read.
        let read = |(id, entry): (&BucketId, &Entry)| {
            let state = entry.state.read();
            (id.clone(), (state.rule(), state.revision))
        };
        let mut states: HashMap<_, _> = self.entries.iter().map(read).collect();
        // Retired buckets count too: their going is a change of the rules.
        let revision = states.values().map(|(_, revision)| *revision).max().unwrap_or_default();
        let compiled = self.order.iter().filter_map(|id| states.remove(id)?.0).collect();
        let rules = Arc::new(Rules::new(revision, compiled));
        *self.core.rules.write() = Arc::clone(&rules);
        for shard in &self.core.shards {
            let (done, told) = oneshot::channel();
            if shard.send(Message::Rules(Arc::clone(&rules), done)).await.is_ok() {
                let _ = told.await;
            }
        }
    }

    /// Starts one pass over all contacts for the buckets that need it. What it opens comes into force when it is through,
    /// and may need another one.
    fn fill_what_is_due(self: &Arc<Self>) {
        let due: Vec<Due> = self.entries.values().filter_map(Entry::begin_fill).collect();
        if due.is_empty() {
            return;
        }
        let registry = Arc::clone(self);
        self.core.resolver.spawn(async move {
            if !fill_patiently(&registry.core, &due).await {
                return;
            }
            let _one_at_a_time = registry.changing.lock().await;
            registry.put_in_force().await;
            registry.fill_what_is_due();
        });
    }

    fn view(&self, id: &BucketId) -> Option<BucketView> {
        let state = self.entries.get(id)?.state.read();
        let fill = state.backfill.as_ref();
        Some(BucketView {
            definition: state.definition.clone().filter(|_| !state.retired)?,
            enabled: state.enabled(),
            building: state.is_building(),
            processed: fill.map_or(0, |fill| fill.processed),
            total: fill.map_or(0, |fill| fill.total),
            updated_at: state.updated_at,
        })
    }
}

#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl From<LoadError> for StartError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Log(error) => Self::Log(error),
            LoadError::Decode(error) => Self::Decode(error),
        }
    }
}

async fn load(core: &Core, id: &BucketId) -> Result<BucketState, LoadError> {
    let mut state = BucketState::default();
    loop {
        let next = state.version.map_or(0, |version| version + 1);
        let records = core.log().read_stream(&StreamName::bucket(id), next, PAGE).await?;
        for record in &records {
            let event = BucketEvent::decode(&record.event_type, record.schema_version, &record.payload)?;
            state.apply(&event, record.version, record.position);
        }
        if records.len() < PAGE {
            return Ok(state);
        }
    }
}
