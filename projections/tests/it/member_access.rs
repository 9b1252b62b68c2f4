//! Members in process (BK-210..BK-212): count, has, pages, all of them.

use std::collections::BTreeSet;

use mainspring_eventlog::EventLog;
use mainspring_projections::{MemberCursor, PageSize, ReadModels, Stay, StayStatus};
use mainspring_schemas::{BucketId, StayId, identity::KeyKind};
use proptest::prelude::*;

use crate::{
    following::follow,
    history::{BUCKETS, History},
    memory_log::MemoryLog,
};

const EXTERNAL: u8 = 1;
const EMAIL: u8 = 2;
const ANONYMOUS: u8 = 8;

/// The spare number with which a history enters [`bucket`].
const LAPSED: u8 = 1;

fn bucket() -> BucketId {
    BucketId::new(BUCKETS[usize::from(LAPSED)]).unwrap()
}

fn size(limit: usize) -> PageSize {
    PageSize::new(limit).unwrap()
}

fn ids(stays: &[Stay]) -> Vec<StayId> {
    stays.iter().map(|stay| stay.id).collect()
}

fn index(contact: usize) -> u8 {
    u8::try_from(contact).unwrap()
}

/// A history of so many members.
fn members(count: usize) -> History {
    let mut history = History::default();
    for contact in 0..count {
        history.create(EXTERNAL);
        history.enter(index(contact), LAPSED);
    }
    history
}

#[test]
fn sb_61_count_and_has_see_active_stays_of_live_contacts_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = members(6);
    history.create(EXTERNAL);
    history.step((14, 3, 1));
    history.step((14, 4, 1));
    history.delete(5, 1);
    let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
    let members = read_models.bucket_members(&bucket());
    assert_eq!(members.count().unwrap(), 3);
    let has: Vec<bool> = (1..=7).map(|person| members.has(&format!("Key-{person}")).unwrap()).collect();
    assert_eq!(has, [true, true, true, false, false, false, false], "active, left, deleted, never");
    assert!(!members.has("nobody").unwrap());
    assert!(!members.has("").unwrap());
    assert_eq!(members.stay_of("Key-1").unwrap().unwrap().contact, history.contacts[0].id);
    let nothing = read_models.bucket_members(&BucketId::new("never-defined").unwrap());
    assert_eq!((nothing.count().unwrap(), nothing.has("Key-1").unwrap()), (0, false));
}

#[test]
fn sb_62_pages_of_two_two_one_and_every_member_once() {
    let dir = tempfile::tempdir().unwrap();
    let read_models = follow(dir.path(), &MemoryLog::of(&members(5).records));
    let members = read_models.bucket_members(&bucket());
    let mut pages = Vec::new();
    let mut cursor: Option<MemberCursor> = None;
    loop {
        let page = members.page(cursor, size(2)).unwrap();
        assert_eq!(page.count, 5);
        assert!(page.members.iter().all(|stay| stay.status == StayStatus::Active && stay.entry_count == 1));
        pages.push(ids(&page.members));
        // Callers hand it round as text.
        cursor = page.cursor.map(|cursor| cursor.to_string().parse().unwrap());
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    let all = pages.concat();
    assert!(all.is_sorted(), "ordered by id");
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 5);
    for page_size in [1, 2, 5, 6, 100] {
        let iterated: Vec<Stay> = members.iter(size(page_size)).collect::<Result<_, _>>().unwrap();
        assert_eq!(ids(&iterated), all, "pages of {page_size}");
    }
    let exact = members.page(None, size(5)).unwrap();
    assert_eq!(exact.cursor, None, "nothing follows a full last page");
}

#[test]
fn bk_211_no_page_holds_more_than_a_hundred() {
    let dir = tempfile::tempdir().unwrap();
    let read_models = follow(dir.path(), &MemoryLog::of(&members(103).records));
    let members = read_models.bucket_members(&bucket());
    let page = members.page(None, size(1000)).unwrap();
    assert_eq!((page.members.len(), page.count), (100, 103));
    assert_eq!(members.page(page.cursor, size(1000)).unwrap().members.len(), 3);
    assert_eq!(members.iter(size(1000)).count(), 103);
}

#[test]
fn sb_63_failing_storage_is_an_answer_and_not_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let read_models = follow(dir.path(), &MemoryLog::of(&members(2).records));
    let writer = rusqlite::Connection::open(dir.path().join("read-models.sqlite")).unwrap();
    writer.execute_batch("DROP TABLE stays; DROP TABLE bucket_figures;").unwrap();
    let members = read_models.bucket_members(&bucket());
    assert!(members.count().is_err());
    assert!(members.has("Key-1").is_err());
    assert!(members.page(None, size(1)).is_err());
    let mut all = members.iter(size(1));
    assert!(all.next().unwrap().is_err());
    assert!(all.next().is_none(), "an iterator ends with the error");
}

#[test]
fn bk_212_sb_70_members_without_an_external_key_are_members_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    for (contact, keys) in [EMAIL, ANONYMOUS, EXTERNAL].into_iter().enumerate() {
        history.create(keys);
        history.enter(index(contact), LAPSED);
    }
    let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
    let members = read_models.bucket_members(&bucket());
    assert_eq!(members.count().unwrap(), 3);
    assert_eq!(members.iter(PageSize::default()).count(), 3);
    for (contact, kind) in [KeyKind::Email, KeyKind::Anonymous, KeyKind::External].into_iter().enumerate() {
        let contact = &history.contacts[contact];
        assert!(members.has(&contact.primary(kind).unwrap()).unwrap(), "{kind:?}");
        assert!(members.has(&contact.id.to_string()).unwrap());
    }
    let by_address = members.stay_of("P1_%@EXAMPLE.com").unwrap().unwrap();
    assert_eq!(by_address.user_key, history.contacts[0].id.to_string(), "KE-20: the id where no key is");
}

#[test]
fn bk_210_sb_69_has_accepts_keys_and_ids_from_before_a_merge() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    history.create(ANONYMOUS);
    history.create(EXTERNAL);
    history.create(EXTERNAL);
    history.enter(0, LAPSED);
    history.merge(0, 1);
    history.merge(0, 1);
    let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
    let members = read_models.bucket_members(&bucket());
    assert_eq!(members.count().unwrap(), 1);
    for key in ["Key-1", "Key-2", "Key-3"] {
        assert!(members.has(key).unwrap(), "{key}");
    }
    for contact in &history.contacts {
        assert!(members.has(&contact.id.to_string()).unwrap());
    }
    let mut gone = history;
    gone.delete(0, 1);
    let dir = tempfile::tempdir().unwrap();
    let read_models = follow(dir.path(), &MemoryLog::of(&gone.records));
    let members = read_models.bucket_members(&bucket());
    assert_eq!(members.count().unwrap(), 0);
    for contact in &gone.contacts {
        assert!(!members.has(&contact.id.to_string()).unwrap(), "of the deleted survivor");
    }
}

#[test]
fn bk_229_stays_of_a_contact_newest_first_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = members(1);
    for _ in 0..3 {
        history.step((14, 0, 1));
        history.enter(0, LAPSED);
    }
    history.define("lapsed", "h1");
    let contact = history.contacts[0].id;
    let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
    let page = |status, limit, offset| read_models.contact_stays(contact, status, limit, offset).unwrap();
    let all = page(None, 50, 0);
    assert_eq!(all, read_models.stays_of(contact).unwrap());
    assert_eq!(all.iter().map(|stay| stay.entry_count).collect::<Vec<_>>(), [4, 3, 2, 1]);
    assert_eq!([page(None, 3, 0), page(None, 3, 3)].concat(), all);
    assert_eq!(page(Some(StayStatus::Active), 50, 0), all[..1]);
    assert_eq!(page(Some(StayStatus::Left), 50, 0), all[1..]);
    let count = |status| read_models.contact_stay_count(contact, status).unwrap();
    let counts = [None, Some(StayStatus::Active), Some(StayStatus::Left)].map(count);
    assert_eq!(counts, [4, 1, 3]);
    let names = read_models.bucket_names().unwrap();
    assert_eq!(names.get("lapsed").map(String::as_str), Some("LAPSED"));
}

/// Stays active in the bucket by the model.
fn active(history: &History) -> BTreeSet<StayId> {
    let members = history.stays.iter().filter(|(_, s)| s.bucket == bucket() && s.left_at.is_none());
    members.map(|(id, _)| *id).collect()
}

/// What happens between two pages: joins, leaves, births, merges, deletions.
fn disturbance() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    let what = prop_oneof![Just(0_u8), Just(12), Just(12), Just(14), Just(14), Just(15), Just(16)];
    prop::collection::vec((what, any::<u8>(), any::<u8>()), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn bk_211_pages_neither_repeat_nor_skip_whoever_stays(
        population in 1_usize..30,
        limit in 1_usize..6,
        between in prop::collection::vec(disturbance(), 40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut history = members(population);
        let log = MemoryLog::of(&history.records);
        let shown = |history: &History, cursor: Option<MemberCursor>| {
            let known = usize::try_from(log.durable_end()).unwrap();
            log.push(&history.records[known..]);
            let read_models: ReadModels = follow(dir.path(), &log);
            read_models.bucket_members(&bucket()).page(cursor, size(limit)).unwrap()
        };
        let mut stayed = active(&history);
        let mut seen: Vec<StayId> = Vec::new();
        let mut cursor = None;
        // Joins may outrun small pages; then the pages so far are judged.
        for steps in &between {
            let page = shown(&history, cursor);
            let members = active(&history);
            prop_assert_eq!(page.count, members.len() as u64, "a snapshot at each page");
            prop_assert!(page.members.iter().all(|stay| members.contains(&stay.id)), "only members");
            prop_assert!(page.members.len() <= limit);
            stayed.retain(|stay| members.contains(stay));
            seen.extend(ids(&page.members));
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
            steps.iter().for_each(|step| history.step(*step));
        }
        prop_assert!(seen.is_sorted_by(|a, b| a < b), "no member twice, in order of ids");
        let reached = if cursor.is_none() { None } else { seen.last().copied() };
        let missed: Vec<&StayId> =
            stayed.iter().filter(|stay| reached.is_none_or(|end| **stay <= end) && !seen.contains(stay)).collect();
        prop_assert!(missed.is_empty(), "members that stayed and were on no page: {:?}", missed);
    }
}
