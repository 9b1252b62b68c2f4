//! Timers beyond the horizon stand in the log; the read models bring them here in time.

use std::{sync::Arc, time::Duration};

use mainspring_schemas::{ContactId, Timestamp};
use tokio::sync::oneshot;

use super::{Core, Engine};
use crate::{
    api::EngineError,
    clock::pass,
    contact::Command,
    population::PopulationError,
    shard::{Decide, Message, Verb},
};

/// How far ahead timers are kept in memory, in milliseconds.
const HORIZON: i64 = 2 * 3_600_000;

/// How often the horizon moves on. What is overdue is brought along, whatever became of its timer (BK-170).
const PACE: Duration = Duration::from_secs(1800);

/// How soon it is tried again when the read models could not answer.
const RETRY: Duration = Duration::from_millis(500);

/// Timers read at a time.
const PAGE: usize = 10_000;

/// Due contacts that are decided at the same time when the clock is advanced by hand.
const AT_ONCE: usize = 1_000;

impl Core {
    /// Moves the horizon on. What is armed meanwhile is seen by the shards themselves, because they know the new
    /// horizon before the read models are asked.
    async fn extend_horizon(&self) -> Result<(), PopulationError> {
        let until = self.now().plus(HORIZON);
        for shard in &self.shards {
            let (done, told) = oneshot::channel();
            if shard.send(Message::Horizon(until, done)).await.is_ok() {
                let _ = told.await;
            }
        }
        self.population.reached(self.log().durable_end()).await?;
        let mut after = None;
        loop {
            let wakes = self.population.due_wakes(after, until, PAGE).await?;
            after = wakes.last().copied();
            let complete = wakes.len() < PAGE;
            self.arm(wakes).await;
            if complete {
                return Ok(());
            }
        }
    }

    /// Moves the horizon on if possible; returns after how long to do so again.
    async fn try_extend_horizon(&self) -> Duration {
        match self.extend_horizon().await {
            Ok(()) => PACE,
            Err(error) => {
                tracing::error!(%error, "timers could not be armed");
                RETRY
            }
        }
    }

    async fn arm(&self, wakes: Vec<(Timestamp, ContactId)>) {
        let mut by_shard: Vec<Vec<(Timestamp, ContactId)>> = vec![Vec::new(); self.shards.len()];
        for (at, contact) in wakes {
            by_shard[(contact.0.as_u128() as u64 % self.shards.len() as u64) as usize].push((at, contact));
        }
        for (shard, wakes) in self.shards.iter().zip(by_shard).filter(|(_, wakes)| !wakes.is_empty()) {
            if shard.send(Message::Arm(wakes)).await.is_err() {
                tracing::error!("a shard is gone; its timers wait for the next start");
            }
        }
    }
}

impl Engine {
    /// Arms what is due soon or overdue, then keeps doing so. On a clock that is advanced by hand nothing is armed.
    pub(super) async fn watch_wakes(&self) {
        if !self.core.shared.clock.is_live() {
            return;
        }
        let mut pause = self.core.try_extend_horizon().await;
        let (core, clock) = (Arc::downgrade(&self.core), Arc::clone(&self.core.shared.clock));
        self.core.resolver.spawn(async move {
            loop {
                pass(&*clock, pause).await;
                let Some(core) = core.upgrade() else { return };
                pause = core.try_extend_horizon().await;
            }
        });
    }

    /// Decides everything that falls due up to `until`, each at its own instant, for a clock that is advanced by hand.
    /// Whoever's grace ends until then is erased last.
    /// `progress` is told how many contacts have been looked at.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] if the read models cannot answer, else what a contact's turn says.
    pub async fn advance(&self, until: Timestamp, mut progress: impl FnMut(u64)) -> Result<u64, EngineError> {
        let population = &self.core.population;
        population.reached(self.core.log().durable_end()).await?;
        let mut looked = 0;
        let mut after = None;
        loop {
            let due = population.due_wakes(after, until, AT_ONCE).await?;
            if due.is_empty() {
                self.erase_up_to(until).await?;
                return Ok(looked);
            }
            after = due.last().copied();
            let mut answers = Vec::with_capacity(due.len());
            for (_, contact) in &due {
                answers.push((*contact, self.wake(*contact, until)?));
            }
            for (contact, answer) in answers {
                let mut answer = Core::answer(answer).await.map_err(EngineError::from)?;
                // One turn does only so much.
                while answer.wake_at.is_some_and(|at| at <= until) {
                    answer = Core::answer(self.wake(contact, until)?).await.map_err(EngineError::from)?;
                }
                looked += 1;
            }
            progress(looked);
        }
    }

    fn wake(
        &self,
        contact: ContactId,
        until: Timestamp,
    ) -> Result<oneshot::Receiver<Result<crate::shard::Answer, crate::shard::Failure>>, EngineError> {
        let (decide, answer) = Decide::of(contact, Command::Wake);
        let decide = Decide { at: Some(until), continuous: true, ..decide };
        self.core.send(Verb::Decide(Box::new(decide)))?;
        Ok(answer)
    }
}
