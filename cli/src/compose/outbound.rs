//! The outbound worker on a thread of its own, so that no receiver ever slows the engine (LV-13).

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use mainspring_actors::Engine;
use mainspring_outbound::{
    client::GuardedClient,
    destination::Registry,
    settings::Settings,
    worker::{Handle, Ports, Stopped, Worker},
};
use mainspring_projections::{HandOver, ReadModels};
use tokio::sync::oneshot;

use super::{
    attempts::Attempts,
    delivery::{EngineClock, Jitter, LiveEndpoints, Outcomes, Queue},
    worker_thread::{self, Ended},
};

/// The running worker.
pub struct Outbound {
    handle: Handle,
    stopped: oneshot::Receiver<Stopped>,
    ended: Ended,
    attempts: Attempts,
}

impl Outbound {
    /// Starts the worker. The read models must have caught up with the log; `hand_over` is that of their runner.
    pub fn start(
        engine: Engine,
        models: ReadModels,
        hand_over: HandOver,
        settings: Settings,
        destinations: Arc<Registry>,
    ) -> anyhow::Result<Self> {
        let transport = Arc::new(GuardedClient::new(&settings)?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (started, handle) = std::sync::mpsc::channel();
        let (ended, stopped) = oneshot::channel();
        let attempts = Attempts::default();
        let counted = attempts.clone();
        let work = move || {
            runtime.block_on(async {
                let ports = Ports {
                    queue: Arc::new(Queue { models, hand_over }),
                    endpoints: Arc::new(LiveEndpoints::new(engine.clone())),
                    log: Arc::new(Outcomes::new(engine.clone(), counted)),
                    destinations,
                    transport,
                    clock: Arc::new(EngineClock(engine)),
                    random: Arc::new(Jitter::default()),
                };
                let (worker, handle) = Worker::new(ports, settings);
                if started.send(handle).is_ok() {
                    let _ = ended.send(worker.run().await);
                }
            });
        };
        let (_, ended) = worker_thread::spawn("outbound", work)?;
        let handle = handle.recv().context("the outbound worker did not start")?;
        Ok(Self { handle, stopped, ended, attempts })
    }

    /// Its figures, while it works and after.
    pub fn figures(&self) -> (Handle, Attempts) {
        (self.handle.clone(), self.attempts.clone())
    }

    /// Whether it has ended.
    pub fn ended(&self) -> Ended {
        self.ended.clone()
    }

    /// Tells it to stop: nothing new starts, attempts in flight have `grace` to end and be recorded.
    pub fn wind_down(&self, grace: Duration) {
        self.handle.stop(grace);
    }

    /// Stops it; attempts in flight have `grace` to end and be recorded.
    pub async fn stop(self, grace: Duration) {
        self.handle.stop(grace);
        match self.stopped.await {
            Ok(Stopped { released: 0 }) => {}
            Ok(Stopped { released }) => {
                tracing::info!(released, "attempts were given up and will be made again")
            }
            Err(_) => tracing::error!("the outbound worker ended unexpectedly"),
        }
    }
}
