//! Carries out recoveries (OB-161): page by page in log order, each when the one before has gone out.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use mainspring_actors::{
    Engine,
    endpoint::{RecoveryItem, RecoveryPage},
};
use mainspring_projections::{Missed, MissedLimit, MissedPage, ReadModels, Recoverable, Recovery, missed};
use mainspring_schemas::RecoveryId;

/// Deliveries queued in one append. The next page follows when most of them were attempted, so that a recovery neither
/// fills the queue nor gets ahead of the endpoint's own rate.
const PAGE: usize = 256;

/// Envelopes of missed messages in one append, in bytes; far below what an append may take, and what memory has room for.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// How long a recovery that failed is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// How long the read models may take to show an append.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a round over all recoveries found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// There is none at work.
    Idle,
    /// Some went on.
    Advanced,
    /// All of them wait for what they have queued, or because they failed a moment ago.
    Waiting,
}

/// Carries out recoveries, one page of each at a time.
pub struct Recoverer {
    engine: Engine,
    models: ReadModels,
    pauses: Pauses,
}

/// Recoveries that failed, with when they are tried again: a broken one must not keep the others from going on.
#[derive(Debug, Default)]
struct Pauses(HashMap<RecoveryId, Instant>);

impl Pauses {
    /// Whether a recovery may be tried.
    fn over(&mut self, recovery: RecoveryId, now: Instant) -> bool {
        self.0.retain(|_, until| *until > now);
        !self.0.contains_key(&recovery)
    }

    /// Notes how a try ended; says whether the recovery went on.
    fn tried(&mut self, recovery: RecoveryId, result: anyhow::Result<()>, now: Instant) -> bool {
        if let Err(error) = &result {
            tracing::warn!(%recovery, "a recovery could not go on, trying again: {error:#}");
            self.0.insert(recovery, now + PAUSE);
        }
        result.is_ok()
    }
}

impl Recoverer {
    /// Over an engine and its read models.
    pub fn new(engine: Engine, models: ReadModels) -> Self {
        Self { engine, models, pauses: Pauses::default() }
    }

    /// Notes which endpoints have a recovery at work since an earlier process; before anybody can ask for another one.
    pub fn resume(&self) -> anyhow::Result<()> {
        for recovery in self.models.running_recoveries()? {
            self.engine.endpoints().resume_recovery(recovery.span.endpoint, recovery.id);
        }
        Ok(())
    }

    /// Lets each recovery go on by a page, if what it queued before is on its way.
    ///
    /// # Errors
    /// If the read models do not answer; what is wrong with one recovery is logged, and holds back only that one.
    pub async fn round(&mut self) -> anyhow::Result<Round> {
        self.caught_up(self.engine.log().durable_end()).await?;
        let running = self.models.running_recoveries()?;
        let mut round = if running.is_empty() { Round::Idle } else { Round::Waiting };
        for recovery in running {
            if self.engine.endpoints().live(recovery.span.endpoint).is_none() {
                // Its deletion ends it.
                self.engine.endpoints().forget_recovery(recovery.span.endpoint);
            } else if self.pauses.over(recovery.id, Instant::now())
                && self.models.untried(recovery.span.endpoint, PAGE)? <= PAGE / 4
            {
                let result = self.advance(&recovery).await;
                if self.pauses.tried(recovery.id, result, Instant::now()) {
                    round = Round::Advanced;
                }
            }
        }
        Ok(round)
    }

    async fn caught_up(&self, position: u64) -> anyhow::Result<()> {
        let reached = self.models.wait_for(position, PATIENCE).await;
        reached.then_some(()).ok_or_else(|| anyhow!("the read models do not follow"))
    }

    async fn advance(&self, recovery: &Recovery) -> anyhow::Result<()> {
        let (endpoints, id, task) = (self.engine.endpoints(), recovery.span.endpoint, recovery.id);
        if recovery.through >= recovery.end {
            let position = endpoints.end_recovery(id, task).await?;
            return self.caught_up(position + 1).await;
        }
        let again = self.models.recoverable(&recovery.span, recovery.through, recovery.end, PAGE)?;
        let lost = self.missed(recovery).await?;
        let merged = merge(again, lost, recovery.end);
        let missed = merged.items.iter().filter(|item| matches!(item, RecoveryItem::Missed { .. })).count();
        let page = RecoveryPage {
            queued: recovery.queued + merged.items.len() as u64,
            missed: recovery.missed + missed as u64,
            ..merged
        };
        let position = endpoints.advance_recovery(id, task, page).await?;
        self.caught_up(position + 1).await
    }

    async fn missed(&self, recovery: &Recovery) -> anyhow::Result<MissedPage> {
        let nothing = MissedPage { found: Vec::new(), through: recovery.end };
        let Some(state) = self.engine.endpoints().live(recovery.span.endpoint) else { return Ok(nothing) };
        if !recovery.span.include_missed {
            return Ok(nothing);
        }
        let limit = MissedLimit { messages: PAGE, bytes: PAGE_BYTES };
        let (log, subscribed) = (self.engine.log(), &state.settings.event_types);
        missed(&**log, &self.models, &recovery.span, subscribed, recovery.through, recovery.end, limit)
            .await
            .context("the log cannot be searched for what was missed")
    }
}

/// What can be queued now, in log order: as far as both lists are known.
fn merge(again: Vec<Recoverable>, missed: MissedPage, end: u64) -> RecoveryPage {
    let known = match again.last() {
        Some(last) if again.len() >= PAGE => last.position + 1,
        _ => end,
    };
    let through = known.min(missed.through).min(end);
    let of_missed = |missed: Missed| {
        let Missed { position, source, event_type, contact, body, sealed_with } = missed;
        (position, RecoveryItem::Missed { source, event_type, contact, body, sealed_with })
    };
    let again = again.into_iter().map(|delivery| (delivery.position, RecoveryItem::Again(delivery.id)));
    let mut items: Vec<(u64, RecoveryItem)> = again
        .chain(missed.found.into_iter().map(of_missed))
        .filter(|(position, _)| *position < through)
        .collect();
    items.sort_by_key(|(position, _)| *position);
    let items = items.into_iter().map(|(_, item)| item).collect();
    RecoveryPage { items, through, queued: 0, missed: 0 }
}

#[cfg(test)]
mod tests {
    use mainspring_schemas::{DeliveryId, RecordId};
    use uuid::Uuid;

    use super::*;

    fn again(position: u64) -> Recoverable {
        Recoverable { position, id: DeliveryId(Uuid::from_u128(u128::from(position))) }
    }

    fn lost(position: u64) -> Missed {
        Missed {
            position,
            source: RecordId(Uuid::from_u128(u128::from(position))),
            event_type: "contact.updated".into(),
            contact: None,
            body: "{}".into(),
            sealed_with: None,
        }
    }

    fn places(page: &RecoveryPage) -> Vec<u128> {
        let place = |item: &RecoveryItem| match item {
            RecoveryItem::Again(id) => id.0.as_u128(),
            RecoveryItem::Missed { source, .. } => source.0.as_u128(),
        };
        page.items.iter().map(place).collect()
    }

    #[test]
    fn ob_161_a_page_is_in_log_order_and_ends_where_one_list_does() {
        let found = MissedPage { found: vec![lost(2), lost(7)], through: 8 };
        let page = merge(vec![again(1), again(5), again(9)], found, 20);
        assert_eq!((places(&page), page.through), (vec![1, 2, 5, 7], 8), "9 comes when 8 is known");
        let all = MissedPage { found: vec![lost(3)], through: 20 };
        let page = merge(vec![again(1)], all, 20);
        assert_eq!((places(&page), page.through), (vec![1, 3], 20));
        let full: Vec<_> = (0..PAGE as u64).map(again).collect();
        let page = merge(full, MissedPage { found: vec![lost(999)], through: 2000 }, 2000);
        assert_eq!((page.items.len(), page.through), (PAGE, PAGE as u64), "more of the one may follow");
    }

    #[test]
    fn ob_161_a_recovery_that_fails_waits_and_holds_back_no_other() {
        let [broken, sound] = [1, 2].map(|number| RecoveryId(Uuid::from_u128(number)));
        let (mut pauses, now) = (Pauses::default(), Instant::now());
        assert!(pauses.over(broken, now) && pauses.over(sound, now));
        assert!(!pauses.tried(broken, Err(anyhow!("refused")), now));
        assert!(pauses.tried(sound, Ok(()), now));
        assert!(!pauses.over(broken, now) && pauses.over(sound, now));
        assert!(pauses.over(broken, now + PAUSE), "it is tried again");
    }
}
