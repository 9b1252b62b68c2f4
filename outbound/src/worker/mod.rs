//! Drives deliveries from the queue to their outcomes.
//!
//! One task owns all state: the `Scheduler`. New deliveries come to it directly, as soon as their cause is durable, and from
//! the queue when there are more than a lane wants to hold, after a restart, and for everything else. Everything that takes time (reading the queue, an attempt, recording
//! its outcome) is a future that ends in a `Message` to it. Each endpoint has a `Lane`; lanes take turns at the
//! `Slots`. Retries wait in the queue, not in memory; a lane knows only the instant of its next one.
//!
//! Why nothing is sent twice within a process: a delivery is *claimed* from the moment it is read until the queue
//! reflects its outcome. Claims are forgotten only while no read is under way, because a read that began before the
//! queue caught up may still show the old row. After a restart the log has every outcome but those of attempts in
//! flight, which is what at-least-once requires (OB-130).

mod alert;
mod arrivals;
mod attempt;
mod hold;
mod lane;
mod load;
mod pace;
mod reading;
mod scheduler;
mod slots;
mod statistics;

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use self::scheduler::Scheduler;
use crate::{
    destination::Registry,
    exchange::Transport,
    ports::{Clock, DeliveryQueue, Endpoints, OutcomeLog, Random},
    settings::Settings,
};

pub use self::statistics::{Latencies, Snapshot};

/// Everything the worker needs of others.
#[derive(Clone)]
pub struct Ports {
    /// What is to be sent.
    pub queue: Arc<dyn DeliveryQueue>,
    /// To whom.
    pub endpoints: Arc<dyn Endpoints>,
    /// Where outcomes go.
    pub log: Arc<dyn OutcomeLog>,
    /// What is sent to each kind of endpoint.
    pub destinations: Arc<Registry>,
    /// How requests leave.
    pub transport: Arc<dyn Transport>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Jitter.
    pub random: Arc<dyn Random>,
}

/// The worker, before it runs.
pub struct Worker {
    scheduler: Scheduler,
}

/// What outlives the worker: its brake and its figures.
#[derive(Clone)]
pub struct Handle {
    stop: Arc<watch::Sender<Option<Duration>>>,
    statistics: Arc<statistics::Statistics>,
}

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Attempts given up in flight, or whose outcome was not recorded in time: the next start makes them again.
    pub released: usize,
}

impl Worker {
    /// A worker that does nothing until it [runs](Worker::run). The queue must have caught up with the log by then.
    pub fn new(ports: Ports, settings: Settings) -> (Self, Handle) {
        let (stop, stopping) = watch::channel(None);
        let statistics = Arc::new(statistics::Statistics::default());
        let scheduler = Scheduler::new(ports, settings, Arc::clone(&statistics), stopping);
        (Self { scheduler }, Handle { stop: Arc::new(stop), statistics })
    }

    /// Works until it is told to stop. Dropping the future gives up everything in flight at once.
    pub async fn run(self) -> Stopped {
        self.scheduler.run().await
    }
}

impl Handle {
    /// Makes the worker stop: nothing new starts, what is in flight has `grace` to finish and be recorded.
    pub fn stop(&self, grace: Duration) {
        self.stop.send_replace(Some(grace));
    }

    /// The figures so far.
    pub fn statistics(&self) -> Snapshot {
        self.statistics.snapshot()
    }
}
