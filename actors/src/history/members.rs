//! Who is in one bucket at an instant, by the transitions that were recorded.

use std::collections::HashMap;

use compact_str::CompactString;
use mainspring_schemas::{
    BucketId, ContactId, StayId, Timestamp,
    event::{
        ContactEvent,
        contact::{Absorbed, BucketEntered, TransitionSource},
    },
};
use serde::Serialize;

/// A member of a bucket, as its stay began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The contact's canonical key when it joined (KE-20).
    pub user_id: CompactString,
    /// Its primary address when it joined.
    pub user_email: Option<CompactString>,
    /// The stay.
    pub stay: StayId,
    /// When it began.
    pub entered_at: Timestamp,
    /// Ordinal of the stay.
    pub entry_count: u32,
    /// Who decided it.
    pub source: TransitionSource,
}

impl From<&BucketEntered> for Member {
    fn from(entered: &BucketEntered) -> Self {
        Self {
            user_id: entered.user_key.clone(),
            user_email: entered.email.clone(),
            stay: entered.stay,
            entered_at: entered.at,
            entry_count: entered.epoch,
            source: entered.source,
        }
    }
}

/// The members of one bucket at one instant. It is told all events of contacts, each contact's in order.
///
/// A contact that was deleted is a member until then, a stay that moves in a merge goes on with the survivor (BK-240).
#[derive(Debug)]
pub struct Members {
    bucket: BucketId,
    at: Timestamp,
    members: HashMap<ContactId, Member>,
}

impl Members {
    /// Nobody yet.
    pub fn new(bucket: BucketId, at: Timestamp) -> Self {
        Self { bucket, at, members: HashMap::new() }
    }

    /// Whether events of this type can say anything about members, so that they must be told.
    pub fn concerns(event_type: &str) -> bool {
        matches!(
            event_type,
            "contact.bucket-entered" | "contact.bucket-left" | "contact.absorbed" | "contact.deleted"
        )
    }

    /// Takes an event into account if it counts at the instant.
    pub fn tell(&mut self, contact: ContactId, event: &ContactEvent) {
        match event {
            ContactEvent::BucketEntered(entered)
                if entered.bucket == self.bucket && entered.at <= self.at =>
            {
                self.members.insert(contact, Member::from(entered));
            }
            ContactEvent::BucketLeft(left) if left.bucket == self.bucket && left.at <= self.at => {
                self.members.remove(&contact);
            }
            ContactEvent::Absorbed(absorbed) if absorbed.at <= self.at => self.merge(contact, absorbed),
            ContactEvent::Deleted(deleted) if deleted.at <= self.at => drop(self.members.remove(&contact)),
            _ => {}
        }
    }

    fn merge(&mut self, survivor: ContactId, absorbed: &Absorbed) {
        let Some(moved) = self.members.remove(&absorbed.loser) else { return };
        let goes_on = absorbed
            .standings
            .iter()
            .any(|standing| standing.bucket == self.bucket && standing.active.is_some());
        if goes_on {
            self.members.insert(survivor, moved);
        }
    }

    /// The stay of a contact, if it is a member.
    pub fn of(&self, contact: ContactId) -> Option<&Member> {
        self.members.get(&contact)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// All of them, by contact.
    pub fn into_sorted(self) -> Vec<(ContactId, Member)> {
        let mut members: Vec<_> = self.members.into_iter().collect();
        members.sort_unstable_by_key(|(contact, _)| *contact);
        members
    }
}
