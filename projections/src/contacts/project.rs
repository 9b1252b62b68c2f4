//! What each event means for the contacts, as data.

use mainspring_schemas::{
    ContactId, Properties, Timestamp,
    event::{
        DomainEvent,
        contact::{Absorbed, AttachedKey, ContactEvent, Restored, Source},
    },
};

use uuid::Uuid;

use crate::fact::{Fact, Owner};

/// How a contact ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// This one answers for it from now on (MC-15).
    MergedInto(ContactId),
    /// Deleted then; that can be undone for a while (CT-74).
    Deleted(Timestamp),
    /// Erased.
    Erased,
}

/// What happens to one contact's rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ContactChange<'a> {
    /// The contact comes into being.
    Create {
        /// When.
        at: Timestamp,
        /// Its keys.
        keys: &'a [AttachedKey],
        /// Its properties.
        properties: &'a Properties,
    },
    /// Keys come, or become primary.
    AttachKeys {
        /// When.
        at: Timestamp,
        /// The keys.
        keys: &'a [AttachedKey],
    },
    /// Properties change.
    ChangeProperties {
        /// When.
        at: Timestamp,
        /// New values.
        set: &'a Properties,
        /// Names that vanish.
        removed: &'a [String],
        /// Whether a call did it, so that the contact was seen (CT-08); a reaction of a bucket sees nobody.
        seen: bool,
    },
    /// Another contact's keys, properties and age arrive (MC-10..MC-21).
    Absorb(&'a Absorbed),
    /// Only its version, its wake-up and, if a call caused it, its last instant move (CT-08).
    Touch {
        /// When it was seen, if it was.
        seen_at: Option<Timestamp>,
    },
    /// Row and keys disappear.
    Remove {
        /// Why, and so what stays.
        end: End,
    },
    /// The row comes back (GD-02).
    Restore(&'a Restored),
    /// The person is erased: these data keys must stay destroyed (GD-03). The row goes with the deletion that follows.
    Erase {
        /// When.
        at: Timestamp,
        /// The keys.
        data_keys: &'a [Uuid],
    },
}

/// The change a record makes to the contact of its stream; `None` if it stands in another kind of stream.
pub fn project(fact: &Fact) -> Option<(ContactId, ContactChange<'_>)> {
    let (Owner::Contact(contact), DomainEvent::Contact(event)) = (fact.owner, &fact.event) else {
        return None;
    };
    let change = match event {
        ContactEvent::Created(created) => {
            ContactChange::Create { at: created.at, keys: &created.keys, properties: &created.properties }
        }
        ContactEvent::KeysAttached(attached) => {
            ContactChange::AttachKeys { at: attached.at, keys: &attached.keys }
        }
        ContactEvent::PropertiesChanged(changed) => ContactChange::ChangeProperties {
            at: changed.at,
            set: &changed.set,
            removed: &changed.removed,
            seen: !changed.by_bucket,
        },
        ContactEvent::Absorbed(absorbed) => ContactChange::Absorb(absorbed),
        ContactEvent::Seen(seen) => ContactChange::Touch { seen_at: Some(seen.at) },
        ContactEvent::EventRecorded(event) => {
            ContactChange::Touch { seen_at: (event.source != Source::Bucket).then_some(event.at) }
        }
        ContactEvent::BucketEntered(_)
        | ContactEvent::BucketLeft(_)
        | ContactEvent::BucketDwelled(_)
        | ContactEvent::BucketDeadline(_)
        | ContactEvent::DwellPlanned(_)
        | ContactEvent::Reacted(_)
        | ContactEvent::Announced(_)
        | ContactEvent::IdentityConflict(_)
        | ContactEvent::Looked(_) => ContactChange::Touch { seen_at: None },
        ContactEvent::MergedInto(merged) => ContactChange::Remove { end: End::MergedInto(merged.survivor) },
        ContactEvent::Erased(erased) => ContactChange::Erase { at: erased.at, data_keys: &erased.data_keys },
        ContactEvent::Deleted(deleted) if deleted.erases() => ContactChange::Remove { end: End::Erased },
        ContactEvent::Deleted(deleted) => ContactChange::Remove { end: End::Deleted(deleted.at) },
        ContactEvent::Restored(restored) => ContactChange::Restore(restored),
    };
    Some((contact, change))
}
