//! The handle to everything: resolves calls, sends them to their contacts, and answers when the log has them.

mod call;
mod click;
mod delete;
mod erase;
mod find;
mod grace;
mod halves;
mod history;
mod preview;
mod report;
mod resolve;
mod restore;
mod start;
mod survivors;
mod tell;
mod timeline;
mod wakes;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use actix::{Addr, ArbiterHandle};
use mainspring_eventlog::{EventLog, Position};
use mainspring_schemas::{ContactId, Timestamp};
use parking_lot::RwLock;
use quick_cache::sync::Cache;
use tokio::sync::oneshot;

use self::survivors::Survivors;
pub use self::{
    call::{Pending, Timing},
    delete::Deletion,
    erase::Erased,
    history::WhyError,
    preview::{Match, Preview},
    restore::Restoration,
    start::{Hosting, Options, StartError},
};
use crate::{
    access::AccessKeys,
    api::EngineError,
    audit::AuditTrail,
    bucket::Buckets,
    endpoint::Endpoints,
    entropy::Entropy,
    identity::{Directory, KeyedLocks},
    population::Population,
    rules::Rules,
    shard::{Failure, Message, Shard, Shared, Verb},
    source_secrets::SourceSecrets,
};

/// How long a full shard is left in peace.
const BREATH: Duration = Duration::from_millis(5);

/// The engine. Clones are handles to the same one.
#[derive(Clone)]
pub struct Engine {
    core: Arc<Core>,
    access: Arc<AccessKeys>,
    audit: Arc<AuditTrail>,
    endpoints: Arc<Endpoints>,
    buckets: Arc<Buckets>,
    source_secrets: Arc<SourceSecrets>,
}

/// How the engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineHealth {
    /// Whether calls are taken.
    pub accepting: bool,
    /// The position the next durable record will have.
    pub log_position: Position,
    /// Contacts in memory.
    pub live_contacts: usize,
    /// Timers in memory.
    pub armed_timers: usize,
    /// Messages a shard refused since the start because it was full.
    pub refused_calls: u64,
    /// Keys not attached since the start because their contact had as many as it may (KE-12).
    pub refused_keys: u64,
    /// Keys not followed since the start because the evidence contradicted itself (RS-24).
    pub identity_conflicts: u64,
    /// Idempotency keys that came again with another request since the start (IK-02).
    pub reused_keys: u64,
    /// Why calls are not taken.
    pub reason: Option<String>,
}

/// What the parts of the engine share.
pub(crate) struct Core {
    pub shared: Arc<Shared>,
    pub directory: Arc<Directory>,
    pub key_locks: KeyedLocks,
    pub contact_locks: KeyedLocks,
    pub shards: Vec<Addr<Shard>>,
    /// Where calls run that change who owns a key: they must end even if their caller goes away.
    pub resolver: ArbiterHandle,
    pub rules: RwLock<Arc<Rules>>,
    pub population: Arc<dyn Population>,
    /// Whether the deleted are erased when their grace ends.
    pub erases_after_grace: bool,
    pub entropy: parking_lot::Mutex<Entropy>,
    /// Who absorbed others while a pass over the contacts is on its way.
    pub survivors: Arc<Survivors>,
    pub stopping: AtomicBool,
    /// Messages a shard had no room for.
    pub refused_calls: AtomicU64,
    /// Keys that were not attached because their contact had too many (KE-12).
    pub refused_keys: AtomicU64,
    /// Keys that were not followed (RS-24).
    pub identity_conflicts: AtomicU64,
    /// Idempotency keys that came again with another request (IK-02).
    pub reused_keys: AtomicU64,
    /// The contacts that were reported for that, the latest ones.
    pub full_contacts: Cache<ContactId, ()>,
}

impl Core {
    /// The engine's time.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn EventLog> {
        &self.shared.log
    }

    /// The shard that owns a contact.
    fn shard_of(&self, contact: ContactId) -> &Addr<Shard> {
        let low = contact.0.as_u128() as u64;
        &self.shards[(low % self.shards.len() as u64) as usize]
    }

    /// Hands something to the shard that owns a contact, or says that it is full.
    pub fn send(&self, verb: Verb) -> Result<(), EngineError> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(EngineError::Overloaded);
        }
        self.shard_of(verb.contact()).try_send(Message::Verb(verb)).map_err(|_| {
            self.refused_calls.fetch_add(1, Ordering::Relaxed);
            EngineError::Overloaded
        })
    }

    /// Asks a shard, with patience if it has no room: for work in the background that must not be refused. `ask` makes the
    /// question and where its answer arrives, anew for every try.
    pub async fn send_patiently<A>(&self, mut ask: impl FnMut() -> (Verb, A)) -> Result<A, EngineError> {
        loop {
            let (verb, answer) = ask();
            match self.send(verb) {
                Ok(()) => return Ok(answer),
                Err(error) if self.stopping.load(Ordering::Relaxed) => return Err(error),
                Err(_) => tokio::time::sleep(BREATH).await,
            }
        }
    }

    /// Waits for an answer from a shard.
    pub async fn answer<T>(receiver: oneshot::Receiver<Result<T, Failure>>) -> Result<T, Failure> {
        receiver.await.unwrap_or_else(|_| Err(Failure::Unavailable))
    }
}

impl From<Failure> for EngineError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Conflict | Failure::Unavailable => Self::Overloaded,
            Failure::Log(reason) | Failure::Unreadable(reason) => Self::LogFailed(reason),
            Failure::Unwritable(reason) => Self::Unwritable(reason),
        }
    }
}

impl Engine {
    /// The engine's time.
    pub fn now(&self) -> Timestamp {
        self.core.now()
    }

    /// API keys.
    pub fn keys(&self) -> &AccessKeys {
        &self.access
    }

    /// Who changed what on the admin plane.
    pub fn audit(&self) -> &AuditTrail {
        &self.audit
    }

    /// Endpoints of outbound webhooks.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Buckets: definitions in force, switches, back-fills.
    pub fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// Secrets that were made for webhook sources.
    pub fn source_secrets(&self) -> &SourceSecrets {
        &self.source_secrets
    }

    /// The log everything stands in.
    pub fn log(&self) -> &Arc<dyn EventLog> {
        self.core.log()
    }

    /// How the engine is.
    pub fn health(&self) -> EngineHealth {
        let stopping = self.core.stopping.load(Ordering::Relaxed);
        let log = self.core.log().health();
        EngineHealth {
            accepting: !stopping && log.is_ok(),
            log_position: self.core.log().durable_end(),
            live_contacts: self.core.shared.live_contacts.load(Ordering::Relaxed),
            armed_timers: self.core.shared.armed_timers.load(Ordering::Relaxed),
            refused_calls: self.core.refused_calls.load(Ordering::Relaxed),
            refused_keys: self.core.refused_keys.load(Ordering::Relaxed),
            identity_conflicts: self.core.identity_conflicts.load(Ordering::Relaxed),
            reused_keys: self.core.reused_keys.load(Ordering::Relaxed),
            reason: if stopping {
                Some("stopping".to_owned())
            } else {
                log.err().map(|reason| reason.to_string())
            },
        }
    }

    /// Takes no more calls, lets those in line end, and saves snapshots of what is in memory.
    pub async fn stop(&self) {
        self.core.stopping.store(true, Ordering::SeqCst);
        for shard in &self.core.shards {
            let (done, stopped) = oneshot::channel();
            if shard.send(Message::Stop(done)).await.is_ok() {
                let _ = stopped.await;
            }
        }
        self.core.shared.snapshots.flush().await;
    }
}
