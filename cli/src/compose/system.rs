//! The whole system in one process: opened in order, stopped in order.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use mainspring_actors::{Clock, Engine, SystemClock, contact::Policy};
use mainspring_eventlog::{
    EventLog,
    embedded::{EmbeddedLog, SqliteSnapshots},
};
use mainspring_outbound::{destination::Registry, settings::Settings};
use mainspring_projections::{HandOver, ReadModels, Runner, RunnerStatus};
use mainspring_schemas::definition::BucketDefinition;

use super::{
    DataDir, background::Beside, housekeeping::Housekeeping, opened_log::OpenedLog, outbound::Outbound,
    population::Readers, retention::Retention,
};

/// How often somebody who waits for the read models looks.
const GLANCE: Duration = Duration::from_millis(100);

/// Destroyed keys looked at at a time.
const ERASED_AT_A_TIME: usize = 4096;

/// How a system is opened.
pub struct Options {
    /// Where everything lies.
    pub data: DataDir,
    /// The definitions in force from now on; `None` keeps those the log knows.
    pub definitions: Option<Vec<BucketDefinition>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Limits and settings of contacts.
    pub policy: Policy,
    /// Whether the deleted are erased when their grace ends.
    pub erases_after_grace: bool,
    /// How many threads host contacts; `None` chooses by the machine.
    pub shards: Option<usize>,
    /// Whether what is personal is sealed; only a benchmark has a reason not to.
    pub sealed: bool,
    /// How deliveries are made; `None` makes none.
    pub outbound: Option<Settings>,
    /// What can be delivered to.
    pub destinations: Arc<Registry>,
}

impl Options {
    /// On the machine's clock, with the definitions the log knows and without deliveries.
    pub fn new(data: DataDir) -> Self {
        Self {
            data,
            definitions: None,
            policy: Policy::default(),
            erases_after_grace: false,
            clock: Arc::new(SystemClock::default()),
            shards: None,
            sealed: true,
            outbound: None,
            destinations: Arc::default(),
        }
    }
}

/// A running system. Must be opened and stopped inside an actix system.
pub struct System {
    /// The engine.
    pub engine: Engine,
    /// The read models, following the log.
    pub read_models: ReadModels,
    log: Arc<EmbeddedLog>,
    snapshots: Arc<SqliteSnapshots>,
    runner: Runner,
    outbound: Option<Outbound>,
    housekeeping: Option<Housekeeping>,
    // Last: the directory is given back when nothing uses it any more.
    data: DataDir,
}

impl System {
    /// Opens the log, brings the read models up to it, starts the engine and, last, the outbound worker.
    pub async fn open(options: Options) -> anyhow::Result<Self> {
        let began = Instant::now();
        let OpenedLog { log: shared_log, raw: log, data_keys, recovery } = options.data.open_log().await?;
        if recovery.cut_bytes > 0 {
            tracing::warn!(
                bytes = recovery.cut_bytes,
                "cut off a half-written end that was never acknowledged"
            );
        }
        let secret = options.data.identity_secret(recovery.records)?;
        tracing::info!(records = recovery.records, took = ?began.elapsed(), "log open");
        let shared_log = if options.sealed { shared_log } else { Arc::clone(&log) as Arc<dyn EventLog> };
        let snapshots = SqliteSnapshots::open(options.data.snapshots())?;
        let read_models =
            ReadModels::open(&options.data.read_models()).context("the read models cannot be opened")?;
        let hand_over = HandOver::default();
        let taken_over = options.outbound.is_some().then(|| hand_over.clone());
        let runner = Runner::start(Arc::clone(&shared_log), read_models.clone(), taken_over)?;
        let began = Instant::now();
        caught_up(&log, &read_models).await?;
        tracing::info!(took = ?began.elapsed(), "read models caught up");
        let mut settings = mainspring_actors::Options::new(
            shared_log,
            Arc::clone(&snapshots) as _,
            Arc::new(Readers(read_models.clone())),
            options.clock,
            secret,
        );
        settings.definitions = options.definitions;
        settings.data_keys = options.sealed.then_some(data_keys);
        settings.policy = options.policy;
        settings.erases_after_grace = options.erases_after_grace;
        settings.shards = options.shards.unwrap_or(settings.shards);
        let engine = Engine::start(settings).await.context("the engine cannot start")?;
        keep_erased(&engine, &read_models).await.context("the erased cannot be kept erased")?;
        let housekeeping = options.outbound.as_ref().map(|settings| {
            let retention = Retention { ended: settings.retention, failed: settings.failed_retention };
            Housekeeping::start(engine.clone(), read_models.apart(), retention)
        });
        let housekeeping = housekeeping.transpose().context("recoveries cannot go on")?;
        let destinations = options.destinations;
        let outbound = options.outbound.map(|settings| {
            // No question of an operator delays a delivery (LV-13).
            Outbound::start(engine.clone(), read_models.apart(), hand_over, settings, destinations)
        });
        let outbound = outbound.transpose().context("the outbound worker cannot start")?;
        Ok(Self { engine, read_models, log, snapshots, runner, outbound, housekeeping, data: options.data })
    }

    /// The log as it lies on disk, personal payloads sealed: for its life cycle and statistics. Who reads payloads asks
    /// [`Engine::log`].
    pub fn log(&self) -> &Arc<EmbeddedLog> {
        &self.log
    }

    /// What works beside the edge, for health and metrics.
    pub fn background(&self) -> Beside {
        let outbound = self.outbound.as_ref().map(|outbound| ("outbound", outbound.ended()));
        let housekeeping = self.housekeeping.as_ref().map(|thread| ("housekeeping", thread.ended()));
        Beside {
            place: self.data.path().to_owned(),
            log: Arc::clone(&self.log),
            threads: outbound.into_iter().chain(housekeeping).collect(),
            outbound: self.outbound.as_ref().map(Outbound::figures),
        }
    }

    /// Waits until the read models reflect everything that is durable now.
    pub async fn settled(&self) -> anyhow::Result<()> {
        caught_up(&self.log, &self.read_models).await
    }

    /// Tells deliveries to end within `grace`, while requests in flight still do; before [`System::stop`].
    pub fn wind_down(&self, grace: Duration) {
        if let Some(outbound) = &self.outbound {
            outbound.wind_down(grace);
        }
    }

    /// Stops in order: calls, deliveries, read models, the log. Everything acknowledged is durable before and after.
    pub async fn stop(self, grace: Duration) {
        self.engine.stop().await;
        if let Some(outbound) = self.outbound {
            outbound.stop(grace).await;
        }
        let (runner, snapshots, log) = (self.runner, self.snapshots, self.log);
        let housekeeping = self.housekeeping;
        let closed = tokio::task::spawn_blocking(move || {
            if let Some(housekeeping) = housekeeping {
                housekeeping.stop();
            }
            runner.stop();
            snapshots.close();
            log.close();
        });
        if closed.await.is_err() {
            tracing::error!(
                "closing failed; nothing acknowledged is lost, the next start takes a little longer"
            );
        }
    }
}

/// Destroys what the log says is destroyed: the last erasure or deletion may not have come so far, and the file of keys may be an
/// older one that was restored (GD-03).
async fn keep_erased(engine: &Engine, read_models: &ReadModels) -> anyhow::Result<()> {
    engine.destroy_keys(read_models.destroyed_endpoint_keys()?).await?;
    let mut after = None;
    loop {
        let data_keys = read_models.destroyed_keys(after, ERASED_AT_A_TIME)?;
        let Some(last) = data_keys.last().copied() else { return Ok(()) };
        after = Some(last);
        engine.destroy_keys(data_keys).await?;
    }
}

async fn caught_up(log: &EmbeddedLog, read_models: &ReadModels) -> anyhow::Result<()> {
    let end = log.durable_end();
    while !read_models.wait_for(end, GLANCE).await {
        match read_models.status() {
            RunnerStatus::Failed(reason) => {
                return Err(anyhow!(
                    "the read models stopped: {reason}; `mainspring rebuild all` makes them anew"
                ));
            }
            RunnerStatus::Stopped => return Err(anyhow!("the read models were stopped")),
            _ => {}
        }
    }
    Ok(())
}
