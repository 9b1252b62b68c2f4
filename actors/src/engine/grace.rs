//! The end of a deletion's grace: whoever was not restored by then is erased (CT-74, GD-02).
//!
//! The read models say who is deleted and since when, also of contacts deleted while nobody did this. So nothing is
//! remembered here: what fell due while no process ran, or was cut short by a crash, is found at the next start.
//! Erasures follow one another, so that however many are due, calls find room in between.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use mainspring_schemas::Timestamp;

use super::{Core, Engine, erase::Occasion};
use crate::{api::EngineError, clock::pass, population::PopulationError};

/// The longest time between two looks.
const PACE: Duration = Duration::from_secs(1800);

/// The shortest time between two looks, and how soon it is tried again after a failure.
const RETRY: Duration = Duration::from_millis(500);

/// Deleted contacts read at a time.
const PAGE: usize = 1000;

impl From<PopulationError> for EngineError {
    fn from(error: PopulationError) -> Self {
        Self::State(error.to_string())
    }
}

impl Core {
    /// Erases everybody whose grace has ended: by now, or by `until` on a clock that is advanced by hand. Returns when
    /// the next one ends, of those deleted so far.
    async fn erase_due(&self, until: Option<Timestamp>) -> Result<Option<Timestamp>, EngineError> {
        self.population.reached(self.log().durable_end()).await?;
        let mut after = None;
        loop {
            let deleted = self.population.deleted_after(after, PAGE).await?;
            for (deleted_at, contact) in &deleted {
                let now = until.unwrap_or_else(|| self.now());
                let due = self.shared.policy.grace_end(*deleted_at);
                if due > now {
                    return Ok(Some(due));
                }
                match self.erase_in_turn(*contact, Occasion::GraceEnded(now)).await {
                    Ok(erased) if erased.position.is_some() => {
                        tracing::info!(%contact, "erased: the grace of its deletion is over");
                    }
                    Ok(_) => {}
                    // It stays so however often it is tried; the others must not wait for it.
                    Err(EngineError::State(reason)) => {
                        tracing::warn!(%contact, reason, "a deleted contact cannot be erased");
                    }
                    Err(error) => return Err(error),
                }
            }
            if deleted.len() < PAGE {
                return Ok(None);
            }
            after = deleted.last().copied();
        }
    }

    /// Erases whoever is due; returns after how long to look again. Whoever is deleted in between is due a whole grace
    /// later at the soonest.
    async fn try_erase_due(&self) -> Duration {
        match self.erase_due(None).await {
            Ok(next) => {
                let grace = self.shared.policy.delete_grace;
                let wait = next.map_or(grace, |next| next.since(self.now()).min(grace));
                Duration::from_millis(u64::try_from(wait).unwrap_or_default()).clamp(RETRY, PACE)
            }
            Err(EngineError::Overloaded) => RETRY,
            Err(error) => {
                tracing::error!(%error, "deleted contacts could not be erased");
                RETRY
            }
        }
    }
}

impl Engine {
    /// Erases in the background whoever's grace ends, beginning with those who are overdue. On a clock that is advanced
    /// by hand, [`Engine::advance`] does it.
    pub(super) fn watch_graces(&self) {
        if !self.core.erases_after_grace || !self.core.shared.clock.is_live() {
            return;
        }
        let (core, clock) = (Arc::downgrade(&self.core), Arc::clone(&self.core.shared.clock));
        self.core.resolver.spawn(async move {
            loop {
                let Some(core) = core.upgrade().filter(|core| !core.stopping.load(Ordering::Relaxed)) else {
                    return;
                };
                let pause = core.try_erase_due().await;
                drop(core);
                pass(&*clock, pause).await;
            }
        });
    }

    /// Erases everybody whose grace ends up to `until`.
    pub(super) async fn erase_up_to(&self, until: Timestamp) -> Result<(), EngineError> {
        if self.core.erases_after_grace {
            self.core.erase_due(Some(until)).await?;
        }
        Ok(())
    }
}
