//! What a disabled endpoint did not get for too long ends (OB-88).

use std::{collections::HashSet, sync::Arc};

use mainspring_schemas::{DeliveryId, EndpointId, Timestamp};

use super::{Ports, scheduler::Message, statistics::Statistics};
use crate::ports::{HeldDelivery, PortError, Position};

/// Deliveries looked at, and ended, at a time.
const PAGE: usize = 256;

/// Looks are at least this far apart, unless there is more to end.
const REST_MS: i64 = 1_000;

/// Which deliveries a lane wants ended.
#[derive(Debug)]
pub(super) struct HoldPlan {
    /// Since when its endpoint is disabled.
    pub disabled_at: Timestamp,
    /// How long deliveries are held, in milliseconds.
    pub hold: i64,
    /// In flight, or recorded but not seen in the queue yet: not to be judged by their rows.
    pub claimed: HashSet<DeliveryId>,
}

/// What was ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub deliveries: Vec<DeliveryId>,
    /// Where that stands in the log.
    pub position: Position,
    /// When to look again, if anything is held.
    pub next: Option<Timestamp>,
}

/// What is to be ended of a page of held deliveries, oldest first, and when to look again.
fn judge(plan: &HoldPlan, held: &[HeldDelivery], now: Timestamp) -> (Vec<DeliveryId>, Option<Timestamp>) {
    // Time before the endpoint was disabled does not count: a delivery is not aged while it is merely late.
    let end = |held: &HeldDelivery| held.created_at.max(plan.disabled_at).plus(plan.hold);
    let over: Vec<_> = held.iter().filter(|held| end(held) <= now).collect();
    let ended: Vec<_> = over.iter().map(|held| held.id).filter(|id| !plan.claimed.contains(id)).collect();
    let more = held.len() >= PAGE && !ended.is_empty();
    let next = if more {
        Some(now)
    } else if over.len() > ended.len() {
        Some(now.plus(REST_MS))
    } else {
        held.iter().map(end).filter(|end| *end > now).min().map(|end| end.max(now.plus(REST_MS)))
    };
    (ended, next)
}

/// Ends what was held for too long; `None` in the message if the queue or the log failed.
pub(super) async fn end(
    ports: Ports,
    statistics: Arc<Statistics>,
    endpoint: EndpointId,
    plan: HoldPlan,
) -> Message {
    let ended = match try_end(&ports, endpoint, &plan).await {
        Ok(ended) => Some(ended),
        Err(error) => {
            super::load::pause(&statistics, &error).await;
            None
        }
    };
    Message::HoldEnded { endpoint, ended }
}

async fn try_end(ports: &Ports, endpoint: EndpointId, plan: &HoldPlan) -> Result<Ended, PortError> {
    let held = ports.queue.held(endpoint, PAGE).await?;
    let now = ports.clock.now();
    let (deliveries, next) = judge(plan, &held, now);
    let position = match deliveries.as_slice() {
        [] => 0,
        some => ports.log.discard(endpoint, now, some).await?,
    };
    Ok(Ended { deliveries, position, next })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn held(id: u128, created_at: i64) -> HeldDelivery {
        HeldDelivery { id: DeliveryId(Uuid::from_u128(id)), created_at: Timestamp(created_at) }
    }

    #[test]
    fn ob_88_the_time_held_counts_from_the_later_of_creation_and_disabling() {
        let plan = HoldPlan { disabled_at: Timestamp(1_000), hold: 10_000, claimed: HashSet::new() };
        let held = [held(1, 0), held(2, 1_000), held(3, 5_000)];
        let at = |now| judge(&plan, &held, Timestamp(now));
        assert_eq!(at(9_000), (Vec::new(), Some(Timestamp(11_000))));
        assert_eq!(at(11_000), (vec![held[0].id, held[1].id], Some(Timestamp(15_000))));
        assert_eq!(at(15_000).0.len(), 3);
        assert_eq!(at(15_000).1, None);
    }

    #[test]
    fn ob_88_what_is_in_flight_is_looked_at_again_later() {
        let held = [held(1, 0), held(2, 0)];
        let plan = HoldPlan { disabled_at: Timestamp(0), hold: 0, claimed: [held[0].id].into() };
        assert_eq!(judge(&plan, &held, Timestamp(5)), (vec![held[1].id], Some(Timestamp(1_005))));
    }
}
