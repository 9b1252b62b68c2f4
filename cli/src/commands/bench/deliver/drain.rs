//! Webhooks as fast as they can leave: those that were waiting, and those of events that come meanwhile.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use mainspring_eventlog::EventLog;

use super::{outcomes::Outcomes, scene::Stage};
use crate::commands::bench::{
    cpu::Used,
    people::BEGUN,
    world::{self, GLANCE},
};

/// How long all deliveries may take, as a multiple of the wanted time.
const PATIENCE: u32 = 30;

/// What it took until the healthy endpoints had everything.
#[derive(Clone, Debug)]
pub struct Drained {
    /// Webhooks they took.
    pub delivered: u64,
    /// From the first request to the last outcome that was recorded.
    pub took: Duration,
    /// What the threads of the process used meanwhile.
    pub used: String,
}

impl Drained {
    /// Webhooks per second.
    pub fn rate(&self) -> f64 {
        self.delivered as f64 / self.took.as_secs_f64()
    }
}

/// Lets so many contacts enter a bucket while nothing is sent, then opens the system anew with its worker.
pub async fn drain(stage: Stage, contacts: usize, time: Duration) -> anyhow::Result<(Stage, Drained)> {
    let system = &stage.world.system;
    world::fill(&system.engine, BEGUN, contacts, contacts).await?;
    system.settled().await?;
    let wanted = (contacts * stage.scene.healthy) as u64;
    let mut outcomes = Outcomes::from(system.log().durable_end());
    let used = Used::now();
    let stage = stage.reopen(Some(world::outbound())).await?;
    arrived(&stage, 0, wanted, &mut outcomes, time * PATIENCE).await?;
    let took = Duration::from_millis(u64::try_from(outcomes.last.since(outcomes.began))?.max(1));
    Ok((stage, Drained { delivered: wanted, took, used: Used::now().since(&used) }))
}

/// Lets contacts, numbered from `first` on, enter the bucket as fast as the engine takes them while their webhooks leave:
/// webhooks per second from the first event to the last recorded outcome.
pub async fn sustained(stage: &Stage, first: usize, contacts: usize, time: Duration) -> anyhow::Result<f64> {
    let system = &stage.world.system;
    let wanted = (contacts * stage.scene.healthy) as u64;
    let before = stage.healthy.got();
    let mut outcomes = Outcomes::from(system.log().durable_end());
    let began = system.engine.now();
    world::fill_from(&system.engine, BEGUN, first, first + contacts, contacts).await?;
    arrived(stage, before, wanted, &mut outcomes, time * PATIENCE).await?;
    let took = outcomes.last.since(began).max(1);
    Ok(outcomes.delivered as f64 * 1000.0 / took as f64)
}

/// Waits until the healthy receivers got so many more than `before`, and until the log says so.
async fn arrived(
    stage: &Stage,
    before: u64,
    wanted: u64,
    outcomes: &mut Outcomes,
    longest: Duration,
) -> anyhow::Result<()> {
    let waiting = Instant::now();
    loop {
        // The log is read when the receiver has everything: reading would take part in the measurement.
        let got = stage.healthy.got() - before;
        if got >= wanted {
            outcomes.read(&stage.world.system).await?;
            if outcomes.delivered >= wanted {
                break;
            }
        }
        if waiting.elapsed() > longest {
            bail!("{got} of {wanted} webhooks arrived");
        }
        tokio::time::sleep(GLANCE).await;
    }
    let delivered = outcomes.delivered;
    ensure!(
        delivered == wanted,
        "{delivered} outcomes say delivered, {wanted} webhooks were to be delivered"
    );
    Ok(())
}
