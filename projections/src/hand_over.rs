//! New deliveries for whoever sends them, as soon as the record that caused them is durable: the tables show them when
//! their batch is committed, and nobody should wait for that.

use std::{collections::BTreeMap, sync::Arc};

use mainspring_eventlog::Position;
use mainspring_schemas::{
    ContactId, EndpointId,
    event::{ContactEvent, DeliveryEvent, DomainEvent},
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    delivery_queue::DueDelivery,
    fact::{Fact, Owner},
    step::Step,
};

/// Deliveries that wait to be taken over. Beyond that only their endpoints are named: the queue has them.
const WAITING: usize = 4_096;

/// Passes new deliveries on to one consumer, who finds everything else in the [`ReadModels`](crate::ReadModels). Give it
/// to the [`Runner`](crate::Runner) that follows the log.
#[derive(Clone, Debug, Default)]
pub struct HandOver {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    fresh: Mutex<Fresh>,
    news: Notify,
}

/// What happened since the last look, in the order of the log within each list.
#[derive(Debug, Default)]
pub struct Fresh {
    /// Deliveries that wait for their first attempt.
    pub deliveries: Vec<DueDelivery>,
    /// Endpoints that have more new deliveries than these, up to this position: to be read from the queue.
    pub missed: BTreeMap<EndpointId, Position>,
    /// Contacts that were erased, and where: what is pending about them may be ended or rewritten (OB-163).
    pub erased: Vec<(ContactId, Position)>,
}

impl Fresh {
    fn is_empty(&self) -> bool {
        self.deliveries.is_empty() && self.missed.is_empty() && self.erased.is_empty()
    }

    fn note(&mut self, step: &Step) {
        let position = step.fact.position();
        for cell in &step.deliveries {
            let endpoint = cell.row.endpoint;
            // Whoever missed one finds the later ones behind it.
            let missed = self.missed.contains_key(&endpoint) || self.deliveries.len() >= WAITING;
            match cell.due().filter(|_| !missed) {
                Some(delivery) => self.deliveries.push(delivery),
                None => drop(self.missed.insert(endpoint, position)),
            }
        }
        if let (Owner::Endpoint(endpoint), DomainEvent::Delivery(DeliveryEvent::Recovered(_))) =
            (step.fact.owner, &step.fact.event)
        {
            // Whether that makes a delivery is known to the tables alone.
            self.missed.insert(endpoint, position);
        }
        self.erased.extend(erased(&step.fact).map(|contact| (contact, position)));
    }
}

/// Who is erased by a record.
fn erased(fact: &Fact) -> impl Iterator<Item = ContactId> {
    let (contact, former) = match (fact.owner, &fact.event) {
        (Owner::Contact(contact), DomainEvent::Contact(ContactEvent::Erased(erased))) => {
            (Some(contact), erased.former.as_slice())
        }
        _ => (None, [].as_slice()),
    };
    contact.into_iter().chain(former.iter().copied())
}

impl HandOver {
    /// Waits for anything new.
    ///
    /// # Cancel safety
    /// Nothing is taken before the future is ready.
    pub async fn next(&self) -> Fresh {
        loop {
            let news = self.shared.news.notified();
            let fresh = std::mem::take(&mut *self.shared.fresh.lock());
            if !fresh.is_empty() {
                return fresh;
            }
            news.await;
        }
    }

    /// Passes on what came of some records.
    pub(crate) fn give(&self, steps: &[Step]) {
        let mut fresh = self.shared.fresh.lock();
        steps.iter().for_each(|step| fresh.note(step));
        if !fresh.is_empty() {
            self.shared.news.notify_one();
        }
    }
}
