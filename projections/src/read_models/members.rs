//! A bucket's members in process: count, has, pages, and all of them (BK-210).

use std::vec;

use mainspring_schemas::{BucketId, ContactId};

use super::ReadModels;
use crate::{
    contacts,
    error::Result,
    memberships::{self, MemberCursor, MemberPage, PageSize, Stay, StayStatus},
};

impl ReadModels {
    /// Access to the members of a bucket. A bucket that does not exist has none.
    pub fn bucket_members(&self, bucket: &BucketId) -> BucketMembers {
        BucketMembers { read_models: self.clone(), bucket: bucket.clone() }
    }

    /// A page of a contact's stays, newest first, ids break ties; of one status if given (BK-229).
    ///
    /// # Errors
    /// If the database fails.
    pub fn contact_stays(
        &self,
        contact: ContactId,
        status: Option<StayStatus>,
        limit: usize,
        offset: usize,
    ) -> Result<Vec<Stay>> {
        self.ask(|connection| memberships::contact_stays(connection, contact, status, limit, offset))
    }

    /// How many stays a contact has; of one status if given (BK-229).
    ///
    /// # Errors
    /// If the database fails.
    pub fn contact_stay_count(&self, contact: ContactId, status: Option<StayStatus>) -> Result<u64> {
        self.ask(|connection| memberships::contact_stay_count(connection, contact, status))
    }
}

/// The members of one bucket: active stays of live contacts, whatever keys the contacts are known by (BK-210, BK-212).
/// Cheap to clone. Every method fails only if the database does.
#[derive(Clone, Debug)]
pub struct BucketMembers {
    read_models: ReadModels,
    bucket: BucketId,
}

#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl BucketMembers {
    /// How many members there are.
    pub fn count(&self) -> Result<u64> {
        self.read_models.ask(|connection| Ok(memberships::counts(connection, &self.bucket)?.active))
    }

    /// Whether somebody is a member. Any key of the contact will do: an id, also of a contact merged away, an external
    /// key, an address, a Discord or an anonymous key. Nobody by that key is no member.
    pub fn has(&self, any_key: &str) -> Result<bool> {
        Ok(self.stay_of(any_key)?.is_some())
    }

    /// The stay that makes somebody a member, by any key of the contact.
    pub fn stay_of(&self, any_key: &str) -> Result<Option<Stay>> {
        self.read_models.ask(|connection| match contacts::by_any_key(connection, any_key)? {
            Some(contact) => memberships::active_stay(connection, &self.bucket, contact),
            None => Ok(None),
        })
    }

    /// A page of members in the order of their stay ids, the first one without a cursor (BK-211).
    pub fn page(&self, after: Option<MemberCursor>, size: PageSize) -> Result<MemberPage> {
        self.read_models.ask(|connection| memberships::page(connection, &self.bucket, after, size))
    }

    /// Every member once, read page by page. A page that cannot be read ends it with the error.
    pub fn iter(&self, size: PageSize) -> BucketMemberIter {
        let page = Vec::new().into_iter();
        BucketMemberIter { members: self.clone(), size, page, next: Some(None) }
    }
}

/// Every member of a bucket; see [`BucketMembers::iter`].
#[derive(Debug)]
pub struct BucketMemberIter {
    members: BucketMembers,
    size: PageSize,
    page: vec::IntoIter<Stay>,
    /// Where the next page begins; `None` if there is none.
    next: Option<Option<MemberCursor>>,
}

impl Iterator for BucketMemberIter {
    type Item = Result<Stay>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(stay) = self.page.next() {
                return Some(Ok(stay));
            }
            match self.members.page(self.next.take()?, self.size) {
                Ok(page) => {
                    self.next = page.cursor.map(Some);
                    self.page = page.members.into_iter();
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
