//! The worked scenarios of buckets.md that concern the lists of members (SB-61..SB-63).

use std::collections::BTreeSet;

use mainspring_projections::{MemberFilter, ReadModels, StayStatus};
use mainspring_schemas::BucketId;
use rusqlite::Connection;

use crate::{following::follow, history::History, memory_log::MemoryLog};

/// What [`History::enter`] calls the bucket of an odd spare number, and a step that leaves it.
const LAPSED: u8 = 1;
const LEAVE: u8 = 14;

fn lapsed() -> BucketId {
    BucketId::new("lapsed").unwrap()
}

/// So many members, in contacts of their own.
fn members(count: u8) -> History {
    let mut history = History::default();
    for index in 0..count {
        history.create(1);
        history.enter(index, LAPSED);
    }
    history
}

#[test]
fn sb_61_members_are_active_stays_of_living_contacts() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = members(6);
    let contacts: Vec<_> = history.contacts.iter().map(|contact| contact.id).collect();
    for index in [3, 4] {
        history.step((LEAVE, index, LAPSED));
    }
    history.delete(5);
    let models = follow(dir.path(), &MemoryLog::of(&history.records));
    let counts = models.member_counts(&lapsed()).unwrap();
    assert_eq!((counts.active, counts.left), (3, 2));
    let is_member = |index: usize| models.is_member(&lapsed(), contacts[index]).unwrap();
    assert_eq!([0, 3, 5].map(is_member), [true, false, false], "active, left, deleted");
    let nobody = mainspring_schemas::ContactId(uuid::Uuid::nil());
    assert!(!models.is_member(&lapsed(), nobody).unwrap());
}

/// Pages of members until none is left.
fn pages(models: &ReadModels, size: usize) -> Vec<usize> {
    let (mut seen, mut sizes, mut after) = (BTreeSet::new(), Vec::new(), None);
    loop {
        let page = models.members_after(&lapsed(), after, size).unwrap();
        let Some(last) = page.last() else { return sizes };
        after = Some(last.id);
        sizes.push(page.len());
        assert!(page.iter().all(|stay| seen.insert(stay.contact)), "nobody comes twice");
    }
}

#[test]
fn sb_62_pages_of_two_show_five_members_once() {
    let dir = tempfile::tempdir().unwrap();
    let models = follow(dir.path(), &MemoryLog::of(&members(5).records));
    assert_eq!(pages(&models, 2), [2, 2, 1]);
    assert_eq!(pages(&models, 100), [5]);
    assert_eq!(models.member_counts(&lapsed()).unwrap().active, 5);
}

#[test]
fn sb_63_a_broken_store_is_an_error_and_no_wrong_number() {
    let dir = tempfile::tempdir().unwrap();
    let models = follow(dir.path(), &MemoryLog::of(&members(2).records));
    let connection = Connection::open(dir.path().join("read-models.sqlite")).unwrap();
    connection.execute_batch("DROP TABLE stays; DROP TABLE bucket_figures").unwrap();
    assert!(models.member_counts(&lapsed()).is_err());
    assert!(models.members_after(&lapsed(), None, 10).is_err());
    let filter = MemberFilter { bucket: lapsed(), status: StayStatus::Active, contact: None };
    assert!(models.member_count(&filter).is_err());
}
