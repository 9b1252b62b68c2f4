//! Webhooks that were waiting leave as fast as they can.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use mainspring_actors::endpoint::EndpointPatch;
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
    /// From the first endpoint that was enabled to the last outcome that was recorded.
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

/// Lets so many contacts enter a bucket while all endpoints are disabled, and enables them.
pub async fn drain(stage: &Stage, contacts: usize, time: Duration) -> anyhow::Result<Drained> {
    let system = &stage.world.system;
    let engine = &system.engine;
    world::fill(engine, BEGUN, contacts, contacts).await?;
    system.settled().await?;
    let wanted = (contacts * stage.scene.healthy) as u64;
    let used = Used::now();
    let mut outcomes = Outcomes::from(system.log().durable_end());
    let (began, waiting) = (engine.now(), Instant::now());
    for id in &stage.endpoints {
        let patch = EndpointPatch { disabled: Some(false), ..EndpointPatch::default() };
        engine.endpoints().update(*id, patch).await?;
    }
    loop {
        // The log is read when the receiver has everything: reading would take part in the measurement.
        if stage.healthy.got() >= wanted {
            outcomes.read(system).await?;
            if outcomes.delivered >= wanted {
                break;
            }
        }
        if waiting.elapsed() > time * PATIENCE {
            bail!("{} of {wanted} webhooks arrived", stage.healthy.got());
        }
        tokio::time::sleep(GLANCE).await;
    }
    ensure!(
        outcomes.delivered == wanted,
        "{} outcomes say delivered, {wanted} webhooks were to be delivered",
        outcomes.delivered
    );
    let took = Duration::from_millis(u64::try_from(outcomes.last.since(began))?.max(1));
    Ok(Drained { delivered: wanted, took, used: Used::now().since(&used) })
}
