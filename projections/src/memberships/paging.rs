//! Members page by page, each page one look-up long (BK-210, BK-211).

use std::{fmt, str::FromStr};

use mainspring_schemas::{BucketId, StayId};
use rusqlite::Connection;

use super::query::{self, Stay};
use crate::error::Result;

/// Why a page cannot be asked for (BK-211).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// A page of nothing would never end.
    #[error("a page must hold at least one member")]
    Empty,
    /// A text that never was a cursor.
    #[error("malformed cursor")]
    MalformedCursor,
}

/// How many members a page holds at most: at least 1, at most [`PageSize::LARGEST`] (BK-210).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(usize);

impl PageSize {
    /// No page is larger; more is cut to this.
    pub const LARGEST: usize = 100;

    /// A size, cut to [`PageSize::LARGEST`].
    ///
    /// # Errors
    /// [`PageError::Empty`] for 0.
    pub fn new(limit: usize) -> Result<Self, PageError> {
        if limit == 0 { Err(PageError::Empty) } else { Ok(Self(limit.min(Self::LARGEST))) }
    }

    /// The number of members.
    pub fn get(self) -> usize {
        self.0
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(50)
    }
}

/// Where a page ended. Opaque to callers; stays valid when the member it names has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberCursor(StayId);

impl fmt::Display for MemberCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for MemberCursor {
    type Err = PageError;

    fn from_str(text: &str) -> Result<Self, PageError> {
        let cursor = text.parse().map(Self).map_err(|_| PageError::MalformedCursor)?;
        // An id has other spellings, too; none of them was ever handed out.
        if cursor.to_string() == text { Ok(cursor) } else { Err(PageError::MalformedCursor) }
    }
}

/// A page of a bucket's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPage {
    /// Active stays of live contacts, in the order of their ids.
    pub members: Vec<Stay>,
    /// Where the next page begins; `None` if this is the last.
    pub cursor: Option<MemberCursor>,
    /// All members of the bucket, as of the same instant as the page.
    pub count: u64,
}

/// A page of a bucket's members after a cursor. Ids never change while a stay lasts, so whoever stays is on exactly one
/// page, whoever else joins or leaves in between (BK-211).
pub(crate) fn page(
    connection: &Connection,
    bucket: &BucketId,
    after: Option<MemberCursor>,
    size: PageSize,
) -> Result<MemberPage> {
    // One read transaction, so that page and count are of one instant.
    let snapshot = connection.unchecked_transaction()?;
    let count = query::counts(&snapshot, bucket)?.active;
    // One more than asked for tells whether anything follows.
    let mut members =
        query::members_after(&snapshot, bucket, after.map(|cursor| cursor.0), size.get().saturating_add(1))?;
    let more = members.len() > size.get();
    members.truncate(size.get());
    let cursor = members.last().filter(|_| more).map(|last| MemberCursor(last.id));
    Ok(MemberPage { members, cursor, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bk_210_sizes_are_at_least_one_and_at_most_a_hundred() {
        assert_eq!(PageSize::new(0), Err(PageError::Empty));
        assert_eq!(PageSize::new(1).map(PageSize::get), Ok(1));
        assert_eq!(PageSize::new(1000).map(PageSize::get), Ok(100));
        assert_eq!(PageSize::default().get(), 50);
    }

    #[test]
    fn bk_211_only_what_was_handed_out_is_a_cursor() {
        let text = "018f9f3a-2c41-7c3e-9a50-1f0d6b1f7a11";
        assert_eq!(text.parse::<MemberCursor>().map(|cursor| cursor.to_string()), Ok(text.to_owned()));
        for malformed in ["", "7", "018F9F3A-2C41-7C3E-9A50-1F0D6B1F7A11", "018f9f3a2c417c3e9a501f0d6b1f7a11"]
        {
            assert_eq!(malformed.parse::<MemberCursor>(), Err(PageError::MalformedCursor), "{malformed}");
        }
    }
}
