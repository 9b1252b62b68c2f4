//! Erasures in a history, and what can still be read of it afterwards.

use super::*;

impl History {
    /// Erases a contact with those that were merged into it: what was to be told about them is not, the erasure is.
    pub(super) fn erase(&mut self, index: usize) {
        self.destroy(index);
        let data = object(json!({"id": self.contacts[index].id, "reason": "erased"}));
        let event = Announced { at: self.now(), outbound_type: "contact.deleted".into(), about: None, data };
        let record = self.contact_event(index, &ContactEvent::Announced(event));
        self.told(record, "contact.deleted", None);
    }

    /// Destroys the data keys of a contact and of those that were merged into it.
    pub(super) fn destroy(&mut self, index: usize) {
        let (at, contact) = (self.now(), self.contacts[index].id);
        let ends_here = |mut id: ContactId| {
            while let Some(survivor) = self.contacts.iter().find(|c| c.id == id).and_then(|c| c.survivor) {
                id = survivor;
            }
            id == contact
        };
        let former: Vec<ContactId> =
            self.contacts.iter().map(|c| c.id).filter(|id| *id != contact && ends_here(*id)).collect();
        let data_keys = vec![Uuid::from_u128(0xdada << 64 | u128::from(self.records.len() as u64))];
        self.erased.extend(former.iter().copied().chain([contact]));
        let about = |delivery: &&mut ModelDelivery| {
            delivery.contact.is_some_and(|id| id == contact || former.contains(&id))
                && delivery.status == "pending"
        };
        for delivery in self.deliveries.values_mut().filter(about) {
            if delivery.parting {
                delivery.contact = None;
            } else {
                delivery.turn("discarded", at);
            }
        }
        self.contact_event(index, &ContactEvent::Erased(Erased { at, data_keys, former }));
    }

    /// The records as they read once the data keys of the erased are destroyed: of what came before their erasure only
    /// the open part is left, also of what receivers answered.
    pub fn without_keys(&self) -> Vec<Recorded> {
        let erased_at: HashMap<ContactId, u64> = self
            .records
            .iter()
            .filter(|record| record.event_type == "contact.erased")
            .flat_map(|record| {
                let former = match ContactEvent::decode(&record.event_type, 1, &record.payload).unwrap() {
                    ContactEvent::Erased(erased) => erased.former,
                    _ => Vec::new(),
                };
                former.into_iter().chain(record.stream.contact_id()).map(|id| (id, record.position))
            })
            .collect();
        let open = |record: &Recorded| {
            let fields = personal_fields(&record.event_type).unwrap();
            Bytes::from(split(&lift(&record.payload, fields).unwrap(), fields).unwrap().open())
        };
        let mut records = self.records.clone();
        for record in &mut records {
            let is_blank = match record.stream.category() {
                "contact" => record
                    .stream
                    .contact_id()
                    .is_some_and(|id| erased_at.get(&id).is_some_and(|position| record.position < *position)),
                "deliveries" => {
                    let event = DeliveryEvent::decode(&record.event_type, 1, &record.payload).unwrap();
                    let about = match &event {
                        DeliveryEvent::Attempted(attempted) => {
                            self.deliveries.get(&attempted.delivery).and_then(|delivery| delivery.contact)
                        }
                        DeliveryEvent::Recovered(recovered) => recovered.contact,
                        _ => None,
                    };
                    about.is_some_and(|id| self.erased.contains(&id))
                }
                _ => false,
            };
            if is_blank {
                record.payload = open(record);
            }
        }
        records
    }
}
