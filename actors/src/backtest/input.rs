//! What of a contact's history matters to the criteria under test. The rest is not kept, so that memory holds no more
//! than it must.

use mainspring_schemas::{
    Properties,
    criteria::Touches,
    event::{ContactEvent, contact::Absorbed},
};

/// What the criteria look at.
#[derive(Debug)]
pub(super) struct Lens(pub Touches);

impl Lens {
    /// Whether events of this type can be inputs at all; the others need not even be decoded.
    pub fn takes(event_type: &str) -> bool {
        matches!(
            event_type,
            "contact.created"
                | "contact.keys-attached"
                | "contact.properties"
                | "contact.event"
                | "contact.absorbed"
                | "contact.deleted"
                | "contact.restored"
        )
    }

    /// The part of an event that the criteria can see, or that says who the contact is; `None` if there is none.
    pub fn narrow(&self, event: ContactEvent) -> Option<ContactEvent> {
        match event {
            ContactEvent::Created(mut created) => {
                self.keep(&mut created.properties);
                Some(ContactEvent::Created(created))
            }
            ContactEvent::PropertiesChanged(mut changed) => {
                self.keep(&mut changed.set);
                changed.removed.retain(|name| self.0.properties.contains(name.as_str()));
                let seen = !changed.set.is_empty() || !changed.removed.is_empty();
                seen.then_some(ContactEvent::PropertiesChanged(changed))
            }
            ContactEvent::EventRecorded(mut recorded) => {
                self.keep(&mut recorded.properties);
                recorded.idempotency = None;
                let seen = self.0.wildcard
                    || self.0.events.contains(&recorded.name)
                    || !recorded.properties.is_empty();
                seen.then_some(ContactEvent::EventRecorded(recorded))
            }
            ContactEvent::Absorbed(mut absorbed) => {
                self.narrow_merge(&mut absorbed);
                Some(ContactEvent::Absorbed(absorbed))
            }
            ContactEvent::KeysAttached(_) | ContactEvent::Deleted(_) | ContactEvent::Restored(_) => {
                Some(event)
            }
            _ => None,
        }
    }

    fn narrow_merge(&self, absorbed: &mut Absorbed) {
        self.keep(&mut absorbed.properties);
        absorbed.occurrences.retain(|name, _| self.0.events.contains(name));
        absorbed.idempotency.clear();
    }

    fn keep(&self, properties: &mut Properties) {
        properties.retain(|name, _| self.0.properties.contains(name.as_str()));
    }
}
