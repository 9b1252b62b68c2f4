//! Endpoints in a history, and what became of deliveries to them.

use super::*;

impl History {
    pub fn settings(event_types: &[String]) -> EndpointSettings {
        EndpointSettings {
            url: "https://example.com/***".to_owned(),
            secret_url: Some("https://example.com/url-credential".to_owned()),
            description: None,
            event_types: event_types.to_vec(),
            kind: "webhook".to_owned(),
            config: Some(object(json!({"apiKey": "config-credential"}))),
            rate_limit: Some(5),
            headers: [("authorization".to_owned(), "header-credential".to_owned())].into(),
            ..EndpointSettings::default()
        }
    }

    pub fn add_endpoint(&mut self, event_types: &[&str], disabled: bool) -> EndpointId {
        let id = EndpointId(Uuid::from_u128(0xe << 64 | u128::from(self.records.len() as u64)));
        let event_types: Vec<String> = event_types.iter().map(|text| (*text).to_owned()).collect();
        let secret = Some(SigningSecret { secret: "whsec_credential".to_owned(), expires_at: None });
        let settings = Self::settings(&event_types);
        let event = EndpointCreated { at: self.now(), settings, secret, disabled };
        self.append(StreamName::endpoint(id), EndpointEvent::Created(event).encode().unwrap());
        self.endpoints.push(ModelEndpoint { id, event_types, disabled, deleted: false });
        id
    }

    pub fn disable(&mut self, id: EndpointId) {
        let event = EndpointDisabled { at: self.now(), reason: "operator".to_owned() };
        self.append(StreamName::endpoint(id), EndpointEvent::Disabled(event).encode().unwrap());
    }

    pub(super) fn endpoint(&mut self, whom: u8, spare: u8) {
        const SETS: [&[&str]; 4] =
            [&["*"], &["bucket.*"], &["contact.updated"], &["bucket.left", "contact.*"]];
        let set = SETS[usize::from(whom) % SETS.len()];
        let there: Vec<usize> =
            (0..self.endpoints.len()).filter(|index| !self.endpoints[*index].deleted).collect();
        if there.is_empty() || spare.is_multiple_of(4) && there.len() < 4 {
            self.add_endpoint(set, spare.is_multiple_of(8));
            return;
        }
        let index = there[usize::from(whom) % there.len()];
        let (at, id) = (self.now(), self.endpoints[index].id);
        let event = match spare % 8 {
            0 | 1 => EndpointEvent::Updated(EndpointUpdated {
                at,
                settings: Self::settings(&set.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()),
            }),
            2 => EndpointEvent::Disabled(EndpointDisabled { at, reason: "failing".to_owned() }),
            3 | 4 => EndpointEvent::Enabled(EndpointEnabled { at }),
            5 => EndpointEvent::SecretRotated(SecretRotated { at, secrets: Vec::new() }),
            6 => EndpointEvent::TestRequested(TestRequested { at, data: object(json!({"message": "test"})) }),
            _ => EndpointEvent::Deleted(EndpointDeleted { at, data_key: None }),
        };
        let record = self.append(StreamName::endpoint(id), event.encode().unwrap());
        match event {
            EndpointEvent::Updated(updated) => {
                self.endpoints[index].event_types = updated.settings.event_types
            }
            EndpointEvent::Disabled(_) => self.endpoints[index].disabled = true,
            EndpointEvent::Enabled(_) => self.endpoints[index].disabled = false,
            EndpointEvent::TestRequested(_) => {
                let delivery = DeliveryId::of(&MessageId::of(record, WEBHOOK_TEST), id);
                self.deliveries.insert(delivery, ModelDelivery::new(id, None, at));
                self.order.push(delivery);
            }
            EndpointEvent::Deleted(_) => {
                self.endpoints[index].deleted = true;
                for delivery in
                    self.deliveries.values_mut().filter(|d| d.endpoint == id && d.status == "pending")
                {
                    delivery.turn("discarded", at);
                }
            }
            _ => {}
        }
    }

    /// An outcome; now and then for a delivery that is terminal already, or one that repeats.
    pub(super) fn attempt(&mut self, whom: u8, spare: u8) {
        if self.order.is_empty() {
            return;
        }
        let id = self.order[usize::from(whom) % self.order.len()];
        match spare % 16 {
            13 => return self.redeliver(id, whom),
            14 => return self.requeue(id),
            15 => return self.discard(id),
            _ => {}
        }
        let result = match spare % 4 {
            0 | 1 => AttemptResult::Delivered,
            2 => AttemptResult::Retry { next_at: self.now().plus(5000) },
            _ => AttemptResult::Failed,
        };
        let repeat = spare.is_multiple_of(7);
        self.outcome(id, result, repeat);
    }

    /// A delivery that is settled without a request now and then.
    pub fn outcome(&mut self, id: DeliveryId, result: AttemptResult, repeat: bool) {
        let sent = result != AttemptResult::Delivered || self.deliveries[&id].attempts % 4 != 3;
        self.outcome_of(id, result, repeat, sent);
    }

    pub fn outcome_of(&mut self, id: DeliveryId, result: AttemptResult, repeat: bool, sent: bool) {
        let ModelDelivery { endpoint, attempts: made, requeues: now_requeues, .. } = self.deliveries[&id];
        // Now and then one that began before the newest requeue.
        let requeues = if made % 3 == 2 { now_requeues.saturating_sub(1) } else { now_requeues };
        let outrun = requeues < now_requeues;
        let attempt = if repeat { made.max(1) } else { made + 1 };
        let ok = result == AttemptResult::Delivered;
        let attempted = Attempted {
            at: self.now(),
            delivery: id,
            attempt,
            result: result.clone(),
            duration_ms: 12,
            response_status: sent.then_some(if ok { 204 } else { 500 }),
            response_snippet: Some(format!("thanks for {id}")),
            error: (!ok).then(|| "HTTP 500".to_owned()),
            error_class: (!ok).then(|| "http".to_owned()),
            secret_count: ok.then_some(2),
            requeues,
            throttled_until: (attempt % 3 == 2).then(|| self.now().plus(60_000)),
        };
        let event = DeliveryEvent::Attempted(attempted);
        self.append(StreamName::deliveries(endpoint), event.encode().unwrap());
        let at = self.now();
        let delivery = self.deliveries.get_mut(&id).unwrap();
        if delivery.status != "pending" || (attempt <= made && (outrun || !ok)) {
            return;
        }
        delivery.attempts = attempt.max(made);
        delivery.sent = ok && sent;
        match result {
            AttemptResult::Delivered => delivery.turn("delivered", at),
            AttemptResult::Failed if !outrun => delivery.turn("failed", at),
            AttemptResult::Failed | AttemptResult::Retry { .. } => {}
        }
    }
}
