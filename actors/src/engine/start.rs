//! Starting: definitions that changed become events, shards take up their work, timers are armed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
    },
    time::Duration,
};

use actix::{Actor, Arbiter, ArbiterHandle, AsyncContext, Context};
use mainspring_eventlog::{EventLog, LogError, SnapshotStore, sealing::DataKeys};
use mainspring_schemas::{codec::DecodeError, definition::BucketDefinition};
use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache;

use super::{Core, Engine};
use crate::{
    access::AccessKeys,
    api::EngineError,
    audit::AuditTrail,
    bucket::Buckets,
    clock::Clock,
    contact::Policy,
    endpoint::Endpoints,
    entropy::Entropy,
    identity::{ContactReader, Directory, KeyHasher, KeyedLocks},
    population::{Population, PopulationError},
    rules::Rules,
    shard::{Residence, Shard, Shared},
    source_secrets::SourceSecrets,
};

/// How many contacts with too many keys are remembered, so that each is reported once.
const REPORTED_CONTACTS: usize = 4096;

/// Where the engine's actors live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hosting {
    /// Each shard on a thread of its own.
    #[default]
    OwnThreads,
    /// All on the thread that starts the engine. Nothing happens at the same time then, and with a log and a clock that
    /// repeat themselves, neither does anything happen in another order.
    OneThread,
}

impl Hosting {
    fn arbiter(self) -> ArbiterHandle {
        match self {
            Self::OwnThreads => Arbiter::new().handle(),
            Self::OneThread => Arbiter::current(),
        }
    }
}

/// What an engine is made of.
pub struct Options {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Where snapshots are kept.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// What is known about all contacts at once; caught up with the log.
    pub population: Arc<dyn Population>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The keys that seal what is personal: those of [`mainspring_eventlog::sealing::SealedLog`], which `log` must then
    /// be. Without them everything stays in clear.
    pub data_keys: Option<Arc<DataKeys>>,
    /// The secret under which identity keys are hashed.
    pub identity_secret: [u8; 32],
    /// The definitions in force from now on, in order; `None` keeps those the log knows.
    pub definitions: Option<Vec<BucketDefinition>>,
    /// Limits and settings of contacts.
    pub policy: Policy,
    /// Whether this engine erases the deleted when their grace ends ([`Policy::delete_grace`]). Only a server does: what
    /// an operator's command is told about the grace may be wrong.
    pub erases_after_grace: bool,
    /// Into how many parts the contacts are divided.
    pub shards: usize,
    /// Where these parts live.
    pub hosting: Hosting,
    /// Most contacts in memory, over all shards.
    pub resident_contacts: usize,
    /// Contacts untouched for so long are put aside.
    pub idle_after: Duration,
    /// How many messages wait in front of a shard before calls are refused.
    pub mailbox: usize,
}

impl Options {
    /// Sensible settings around the given parts.
    pub fn new(
        log: Arc<dyn EventLog>,
        snapshots: Arc<dyn SnapshotStore>,
        population: Arc<dyn Population>,
        clock: Arc<dyn Clock>,
        identity_secret: [u8; 32],
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            log,
            snapshots,
            population,
            clock,
            data_keys: None,
            identity_secret,
            definitions: None,
            policy: Policy::default(),
            erases_after_grace: false,
            shards: (cores / 2).max(1),
            hosting: Hosting::default(),
            resident_contacts: 1_000_000,
            idle_after: Duration::from_secs(300),
            mailbox: 16 * 1024,
        }
    }
}

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A record cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The read models cannot answer.
    #[error(transparent)]
    Population(#[from] PopulationError),
    /// The log takes nothing.
    #[error("definitions cannot be recorded: {0}")]
    Engine(#[from] EngineError),
}

impl Engine {
    /// Starts an engine. Must run inside an actix system.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let shared = Arc::new(Shared {
            log: Arc::clone(&options.log),
            snapshots: options.snapshots,
            clock: options.clock,
            data_keys: options.data_keys,
            policy: options.policy,
            live_contacts: AtomicUsize::new(0),
            armed_timers: AtomicUsize::new(0),
        });
        let shards = options.shards.max(1);
        let residence = Residence {
            capacity: (options.resident_contacts / shards).max(1),
            idle_after: options.idle_after,
            snapshot_after: 64,
        };
        let rules = Arc::new(Rules::default());
        let addresses = (0..shards)
            .map(|_| {
                let (shared, rules) = (Arc::clone(&shared), Arc::clone(&rules));
                Shard::start_in_arbiter(&options.hosting.arbiter(), move |ctx: &mut Context<Shard>| {
                    ctx.set_mailbox_capacity(options.mailbox);
                    Shard::new(shared, rules, residence, ctx.address().downgrade())
                })
            })
            .collect();
        // Without data keys nobody can be erased.
        let erases_after_grace = options.erases_after_grace && shared.data_keys.is_some();
        let hasher = KeyHasher::new(&options.identity_secret);
        let remembered_keys = options.resident_contacts.max(1024);
        let mut directory = Directory::new(Arc::clone(&options.log), hasher, remembered_keys);
        if !options.log.atomic_streams() {
            directory = directory.judging_claims(Arc::clone(&shared) as Arc<dyn ContactReader>);
        }
        let core = Arc::new(Core {
            directory: Arc::new(directory),
            shared,
            key_locks: KeyedLocks::default(),
            contact_locks: KeyedLocks::default(),
            shards: addresses,
            resolver: options.hosting.arbiter(),
            rules: RwLock::new(rules),
            population: options.population,
            erases_after_grace,
            entropy: Mutex::new(Entropy::default()),
            stopping: AtomicBool::new(false),
            refused_calls: AtomicU64::new(0),
            survivors: Arc::default(),
            refused_keys: AtomicU64::new(0),
            identity_conflicts: AtomicU64::new(0),
            reused_keys: AtomicU64::new(0),
            full_contacts: Cache::new(REPORTED_CONTACTS),
        });
        let access =
            Arc::new(AccessKeys::open(Arc::clone(&options.log), Arc::clone(&core.shared.clock)).await?);
        let audit = Arc::new(AuditTrail::new(Arc::clone(&options.log), Arc::clone(&core.shared.clock)));
        let endpoints = Arc::new(Endpoints::open(Arc::clone(&core)).await?);
        let buckets = Arc::new(Buckets::open(Arc::clone(&core), options.definitions).await?);
        let source_secrets = Arc::new(SourceSecrets::new(Arc::clone(&core)));
        let engine = Self { core, access, audit, endpoints, buckets, source_secrets };
        engine.watch_wakes().await;
        engine.watch_graces();
        Ok(engine)
    }
}
