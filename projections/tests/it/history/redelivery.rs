//! What is sent again, found late, and forgotten in a history.

use super::*;

impl History {
    fn tell(&mut self, endpoint: EndpointId, event: &DeliveryEvent) {
        self.append(StreamName::deliveries(endpoint), event.encode().unwrap());
    }

    fn is_gone(&self, endpoint: EndpointId) -> bool {
        self.endpoints.iter().any(|known| known.id == endpoint && known.deleted)
    }

    /// Any of the rarer records of a stream of deliveries.
    pub(super) fn redeliver(&mut self, id: DeliveryId, pick: u8) {
        let (at, endpoint) = (self.now(), self.deliveries[&id].endpoint);
        match pick % 5 {
            0 => self.expire(endpoint),
            1 => self.recover(endpoint, pick),
            2 => {
                let event = LetterDiscarded { at, delivery: id };
                self.tell(endpoint, &DeliveryEvent::LetterDiscarded(event));
            }
            3 => self.span(endpoint),
            _ => self.replay(id),
        }
    }

    pub fn requeue(&mut self, delivery: DeliveryId) {
        self.requeue_as(delivery, RequeueCause::Retry, None);
    }

    /// A recovery finds a delivery in whatever state.
    pub fn replay(&mut self, delivery: DeliveryId) {
        self.requeue_as(delivery, RequeueCause::Recovery, Some(RecoveryId(Uuid::from_u128(2))));
    }

    fn requeue_as(&mut self, delivery: DeliveryId, cause: RequeueCause, recovery: Option<RecoveryId>) {
        let (at, endpoint) = (self.now(), self.deliveries[&delivery].endpoint);
        let event = DeliveryEvent::Requeued(Requeued { at, delivery, cause, recovery });
        self.tell(endpoint, &event);
        let gone = self.is_gone(endpoint);
        let model = self.deliveries.get_mut(&delivery).unwrap();
        let erased = model.contact.is_some_and(|contact| self.erased.contains(&contact));
        if !gone && !erased && (model.status != "pending" || model.attempts > 0) {
            if model.status == "delivered" {
                model.replay = model.sent && cause == RequeueCause::Recovery;
            }
            model.turn("pending", at);
            model.requeues += 1;
        }
    }

    pub fn discard(&mut self, delivery: DeliveryId) {
        let (at, endpoint) = (self.now(), self.deliveries[&delivery].endpoint);
        let event = DeliveryEvent::Discarded(Discarded { at, delivery, reason: DiscardReason::Held });
        self.tell(endpoint, &event);
        let model = self.deliveries.get_mut(&delivery).unwrap();
        if model.status == "pending" {
            model.turn("discarded", at);
        }
    }

    /// The older half of what ended is forgotten, of what failed the older quarter.
    pub fn expire(&mut self, endpoint: EndpointId) {
        let at = self.now();
        let mut ended: Vec<Timestamp> = self
            .deliveries
            .values()
            .filter(|d| d.endpoint == endpoint && d.status != "pending")
            .map(|d| d.since)
            .collect();
        ended.sort_unstable();
        let Some(ended_until) = ended.get(ended.len() / 2).copied() else { return };
        let failed_until = ended[ended.len() / 4];
        self.tell(endpoint, &DeliveryEvent::Expired(Expired { at, ended_until, failed_until }));
        self.deliveries.retain(|_, d| {
            let until = if d.status == "failed" { failed_until } else { ended_until };
            d.endpoint != endpoint || d.status == "pending" || d.since > until
        });
        self.order.retain(|id| self.deliveries.contains_key(id));
    }

    /// An announcement is delivered late, unless it has a delivery.
    pub fn recover(&mut self, endpoint: EndpointId, pick: u8) {
        let told: Vec<(RecordId, ContactId)> = self
            .records
            .iter()
            .filter(|record| record.event_type == "contact.announced")
            .filter_map(|record| Some((record.id, record.stream.contact_id()?)))
            .collect();
        if told.is_empty() {
            return;
        }
        let (source, contact) = told[usize::from(pick) % told.len()];
        let outbound_type = if pick % 4 == 3 { "contact.deleted" } else { "contact.updated" };
        let event = Recovered {
            at: self.now(),
            recovery: RecoveryId(Uuid::from_u128(1)),
            source,
            event_type: outbound_type.to_owned(),
            contact: Some(contact),
            body: format!("{{\"about\":\"{contact}\"}}"),
        };
        self.tell(endpoint, &DeliveryEvent::Recovered(event));
        let id = DeliveryId::of(&MessageId::of(source, outbound_type), endpoint);
        if self.is_gone(endpoint) || self.deliveries.contains_key(&id) {
            return;
        }
        let mut model = ModelDelivery::new(endpoint, Some(contact), self.now());
        model.parting = outbound_type == "contact.deleted";
        if self.erased.contains(&contact) {
            model.status = "discarded";
        }
        self.deliveries.insert(id, model);
        self.order.push(id);
    }

    /// A whole recovery that finds one delivery.
    fn span(&mut self, endpoint: EndpointId) {
        let (at, end) = (self.now(), self.records.len() as u64);
        let recovery = RecoveryId(Uuid::from_u128(0xec0 << 64 | u128::from(end)));
        let started = RecoveryStarted {
            at,
            recovery,
            since: at.plus(-86_400_000),
            until: at,
            statuses: vec!["failed".to_owned()],
            event_types: Vec::new(),
            include_missed: false,
            matched: 1,
            end,
        };
        self.tell(endpoint, &DeliveryEvent::RecoveryStarted(started));
        let advanced = RecoveryAdvanced { at, recovery, through: end, queued: 1, missed: 0 };
        self.tell(endpoint, &DeliveryEvent::RecoveryAdvanced(advanced));
        if end % 2 == 0 {
            self.tell(endpoint, &DeliveryEvent::RecoveryEnded(RecoveryEnded { at, recovery }));
        }
    }
}
