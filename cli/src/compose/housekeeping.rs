//! What goes on beside deliveries, on a thread of its own: recoveries and retention.

use std::{thread, time::Duration};

use mainspring_actors::Engine;
use mainspring_projections::ReadModels;
use tokio::sync::watch;

use super::{
    recovery::{Recoverer, Round},
    retention::{Retention, expire},
    worker_thread::{self, Ended},
};

/// How often old deliveries are looked for.
const SWEEP: Duration = Duration::from_secs(3600);

/// How often a recovery that waits for the queue looks at it.
const GLANCE: Duration = Duration::from_millis(200);

/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// The running thread.
pub struct Housekeeping {
    stop: watch::Sender<bool>,
    thread: thread::JoinHandle<()>,
    ended: Ended,
}

impl Housekeeping {
    /// Starts it. Recoveries of an earlier process are known when this returns.
    pub fn start(engine: Engine, models: ReadModels, retention: Retention) -> anyhow::Result<Self> {
        let mut recoverer = Recoverer::new(engine.clone(), models.clone());
        recoverer.resume()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let (stop, stopped) = watch::channel(false);
        let work = move || {
            let mut stopped = stopped;
            let work = async {
                tokio::join!(recover(&engine, &mut recoverer), retain(&engine, &models, retention));
            };
            runtime.block_on(async {
                tokio::select! {
                    () = work => {}
                    _ = stopped.wait_for(|stop| *stop) => {}
                }
            });
        };
        let (thread, ended) = worker_thread::spawn("housekeeping", work)?;
        Ok(Self { stop, thread, ended })
    }

    /// Whether it has ended.
    pub fn ended(&self) -> Ended {
        self.ended.clone()
    }

    /// Stops it. What it was at goes on at the next start.
    pub fn stop(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!("the housekeeping ended unexpectedly");
        }
    }
}

async fn recover(engine: &Engine, recoverer: &mut Recoverer) {
    let mut asked = engine.endpoints().recoveries_asked();
    loop {
        match recoverer.round().await {
            Ok(Round::Advanced) => {}
            Ok(Round::Waiting) => tokio::time::sleep(GLANCE).await,
            Ok(Round::Idle) => {
                if asked.changed().await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "recoveries could not go on, trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn retain(engine: &Engine, models: &ReadModels, retention: Retention) {
    loop {
        if let Err(error) = expire(engine, models, retention, engine.now()).await {
            tracing::warn!(%error, "old deliveries could not be let go, trying again");
        }
        tokio::time::sleep(SWEEP).await;
    }
}
