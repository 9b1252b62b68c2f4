//! Questions about contacts and members.

use mainspring_schemas::{BucketId, ContactId, StayId, Timestamp, identity::IdentityKey};
use uuid::Uuid;

use super::ReadModels;
use crate::{
    contacts::{self, Contact, ContactFilter, ContactKey, ContactOrder},
    error::Result,
    memberships::{self, MemberCounts, MemberFilter, Stay},
};

/// Questions about contacts. All of them fail only if the database does.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl ReadModels {
    /// Up to `limit` data keys that an erasure destroyed, in order, after `after` (GD-03).
    pub fn destroyed_keys(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<Uuid>> {
        self.ask(|connection| contacts::destroyed_keys(connection, after, limit))
    }

    /// A live contact.
    pub fn contact(&self, contact: ContactId) -> Result<Option<Contact>> {
        self.ask(|connection| contacts::contact(connection, contact))
    }

    /// Every key of a contact, by kind, primary ones first (CT-05).
    pub fn contact_keys(&self, contact: ContactId) -> Result<Vec<ContactKey>> {
        self.ask(|connection| contacts::keys_of(connection, contact))
    }

    /// The owner of a key.
    pub fn contact_by_key(&self, key: &IdentityKey) -> Result<Option<ContactId>> {
        self.ask(|connection| contacts::by_key(connection, key))
    }

    /// Who answers for an id that was merged away (KE-22); `None` if it was not, or if the survivor is deleted.
    pub fn survivor_of(&self, contact: ContactId) -> Result<Option<ContactId>> {
        self.ask(|connection| contacts::former(connection, contact))
    }

    /// A page of live contacts (AP-01).
    pub fn contacts(
        &self,
        filter: &ContactFilter,
        order: ContactOrder,
        limit: usize,
        offset: usize,
    ) -> Result<Vec<Contact>> {
        self.ask(|connection| contacts::list(connection, filter, order, limit, offset))
    }

    /// How many live contacts a filter leaves (HT-60).
    pub fn contact_count(&self, filter: &ContactFilter) -> Result<u64> {
        self.ask(|connection| contacts::filtered_total(connection, filter))
    }

    /// How many contacts live.
    pub fn contact_total(&self) -> Result<u64> {
        self.ask(contacts::total)
    }

    /// Ids of live contacts after one of them, ascending: the order of back-fills.
    pub fn contact_ids_after(&self, after: Option<ContactId>, limit: usize) -> Result<Vec<ContactId>> {
        self.ask(|connection| contacts::ids_after(connection, after, limit))
    }

    /// Contacts that must be looked at by `until`, soonest first, after the given one of that order.
    pub fn due_wakes(
        &self,
        after: Option<(Timestamp, ContactId)>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Timestamp, ContactId)>> {
        self.ask(|connection| contacts::due_wakes(connection, after, until, limit))
    }

    /// Contacts that are deleted and not erased, with the instant of the deletion, the longest deleted first, after the
    /// given one of that order (CT-74).
    pub fn deleted_after(
        &self,
        after: Option<(Timestamp, ContactId)>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, ContactId)>> {
        self.ask(|connection| contacts::deleted_after(connection, after, limit))
    }

    /// The soonest wake-up of all contacts.
    pub fn next_wake(&self) -> Result<Option<Timestamp>> {
        self.ask(contacts::next_wake)
    }

    /// A page of a bucket's stays, newest first (BK-223).
    pub fn members(&self, filter: &MemberFilter, limit: usize, offset: usize) -> Result<Vec<Stay>> {
        self.ask(|connection| memberships::members(connection, filter, limit, offset))
    }

    /// How many stays a filter leaves.
    pub fn member_count(&self, filter: &MemberFilter) -> Result<u64> {
        self.ask(|connection| memberships::filtered_count(connection, filter))
    }

    /// Active and ended stays of a bucket (BK-220).
    pub fn member_counts(&self, bucket: &BucketId) -> Result<MemberCounts> {
        self.ask(|connection| memberships::counts(connection, bucket))
    }

    /// All stays of a contact, newest first (BK-229).
    pub fn stays_of(&self, contact: ContactId) -> Result<Vec<Stay>> {
        self.ask(|connection| memberships::stays_of(connection, contact))
    }

    /// One stay.
    pub fn stay(&self, stay: StayId) -> Result<Option<Stay>> {
        self.ask(|connection| memberships::stay(connection, stay))
    }

    /// Whether a contact is an active member of a bucket (BK-210).
    pub fn is_member(&self, bucket: &BucketId, contact: ContactId) -> Result<bool> {
        self.ask(|connection| memberships::is_member(connection, bucket, contact))
    }
}
