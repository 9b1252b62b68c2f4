//! All buckets: what is in force, and what happens when that changes.

use std::{collections::HashMap, sync::Arc};

use actix::{Actor, Addr};
use mainspring_eventlog::{LogError, Position};
use mainspring_schemas::{
    BucketId, StreamName, Timestamp, codec::DecodeError, definition::BucketDefinition, event::BucketEvent,
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use super::{
    actor::{Bucket, Tell},
    fill::fill,
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
    /// The activation whose back-fill is on its way.
    filling: Arc<Mutex<Option<Position>>>,
}

/// A bucket that needs a back-fill, and the activation that asks for it.
pub(super) struct Due {
    pub entry: Entry,
    pub activation: Position,
}

impl Due {
    /// Lets the next pass take the back-fill on.
    fn give_up(&self) {
        let mut filling = self.entry.filling.lock();
        if *filling == Some(self.activation) {
            *filling = None;
        }
    }
}

impl Entry {
    /// The back-fill that is due and not yet on its way; from now on it is.
    fn begin_fill(&self) -> Option<Due> {
        let activation = {
            let state = self.state.read();
            state.activated.filter(|_| state.is_building())?.0
        };
        let before = self.filling.lock().replace(activation);
        (before != Some(activation)).then(|| Due { entry: self.clone(), activation })
    }

    pub async fn tell(&self, message: Tell) -> Result<bool, EngineError> {
        self.address.send(message).await.unwrap_or(Err(EngineError::Overloaded))
    }
}

/// All buckets.
pub struct Buckets {
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
        let buckets = Self { core, entries, order, changing: tokio::sync::Mutex::default() };
        buckets.put_in_force().await;
        buckets.fill_what_is_due();
        Ok(buckets)
    }

    /// Tells every shard the rules; returns when all decide by them.
    async fn put_in_force(&self) {
        let states = self.order.iter().filter_map(|id| self.entries.get(id));
        let compiled = states.filter_map(|entry| entry.state.read().rule()).collect();
        // Retired buckets count too: their going is a change of the rules.
        let revision =
            self.entries.values().map(|entry| entry.state.read().revision).max().unwrap_or_default();
        let rules = Arc::new(Rules::new(revision, compiled));
        *self.core.rules.write() = Arc::clone(&rules);
        for shard in &self.core.shards {
            let (done, told) = oneshot::channel();
            if shard.send(Message::Rules(Arc::clone(&rules), done)).await.is_ok() {
                let _ = told.await;
            }
        }
    }

    /// Starts one pass over all contacts for the buckets that need it.
    fn fill_what_is_due(&self) {
        let due: Vec<Due> = self.entries.values().filter_map(Entry::begin_fill).collect();
        if due.is_empty() {
            return;
        }
        let core = Arc::clone(&self.core);
        self.core.resolver.spawn(async move {
            if let Err(error) = fill(&core, &due).await {
                tracing::error!(%error, "a back-fill stopped; it goes on at the next change or start");
                due.iter().for_each(Due::give_up);
            }
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

    /// All buckets in force, in definition order.
    pub fn list(&self) -> Vec<BucketView> {
        self.order.iter().filter_map(|id| self.view(id)).collect()
    }

    /// A bucket in force.
    pub fn get(&self, id: &str) -> Option<BucketView> {
        self.view(&BucketId::new(id).ok()?)
    }

    /// An operator's switch: hot, wins over the definition, survives restarts (BK-200).
    ///
    /// # Errors
    /// [`EngineError::NotFound`], or what the log says.
    pub async fn switch(&self, id: &str, enabled: bool) -> Result<BucketView, EngineError> {
        let _one_at_a_time = self.changing.lock().await;
        let id = BucketId::new(id).map_err(|_| EngineError::NotFound)?;
        let entry =
            self.entries.get(&id).filter(|entry| !entry.state.read().retired).ok_or(EngineError::NotFound)?;
        if entry.tell(Tell::Switch(enabled)).await? {
            self.put_in_force().await;
            self.fill_what_is_due();
        }
        self.view(&id).ok_or(EngineError::NotFound)
    }

    /// Whether any back-fill is still on its way.
    pub fn is_building(&self) -> bool {
        self.entries.values().any(|entry| entry.state.read().is_building())
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
