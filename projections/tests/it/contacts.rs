//! Contacts: lists, search, back-fill order, wake-ups, merges, deletions.

use mainspring_projections::{ContactFilter, ContactOrder, MemberFilter, StayStatus};
use mainspring_schemas::{
    BucketId,
    identity::{IdentityKey, KeyKind},
};

use crate::{following::follow, history::History, memory_log::MemoryLog};

fn search(text: &str) -> ContactFilter {
    ContactFilter { search: Some(text.to_owned()), bucket: None }
}

#[test]
fn ap_01_search_is_a_literal_part_of_any_key_in_any_case() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    for _ in 0..3 {
        history.create(0b0011);
    }
    let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
    let found = |text: &str| read_models.contact_count(&search(text)).unwrap();
    assert_eq!(found("KEY-"), 3);
    assert_eq!(found("key-1"), 1);
    assert_eq!(found("_%@EXAMPLE"), 3, "wildcards mean themselves");
    assert_eq!(found("key%1"), 0);
    assert_eq!(found(""), 3);
    let listed = read_models.contacts(&search("p2_"), ContactOrder::LastSeen, 50, 0).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].id, history.contacts[0].id);
    assert_eq!(listed[0].contact_key(), "Key-1");
}

#[test]
fn ws_106_operators_find_a_contact_by_a_providers_id() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    history.create(0b0001);
    history.create(0b1_0000);
    let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
    let listed = read_models.contacts(&search("CUS_2"), ContactOrder::LastSeen, 50, 0).unwrap();
    assert_eq!(listed.iter().map(|contact| contact.id).collect::<Vec<_>>(), [history.contacts[1].id]);
    let key = IdentityKey::new(KeyKind::Provider, "stripe:cus_2").unwrap();
    assert_eq!(read_models.contact_by_key(&key).unwrap(), Some(history.contacts[1].id));
    assert_eq!(listed[0].contact_key(), history.contacts[1].id.to_string(), "KE-20: never canonical");
}

#[test]
fn ap_01_newest_seen_first_and_pages_do_not_overlap() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    for _ in 0..7 {
        history.create(1);
    }
    history.step((3, 2, 2));
    let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
    let list = |limit, offset| {
        read_models.contacts(&ContactFilter::default(), ContactOrder::LastSeen, limit, offset).unwrap()
    };
    let all = list(50, 0);
    assert_eq!(all.len(), 7);
    assert_eq!(all[0].id, history.contacts[2].id);
    let pages = [list(3, 0), list(3, 3), list(3, 6)].concat();
    assert_eq!(pages, all);
}

#[test]
fn ids_after_is_the_order_of_back_fills_and_wakes_are_soonest_first() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    for spare in 0..9 {
        history.step((0, 0, spare));
    }
    let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = read_models.contact_ids_after(after, 2).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(*last);
        seen.extend(page);
    }
    assert!(seen.into_iter().eq(history.live_ids()));

    let mut expected: Vec<_> =
        history.contacts.iter().filter_map(|contact| Some((contact.wake_at?, contact.id))).collect();
    expected.sort_unstable();
    assert!(expected.len() > 1);
    let until = expected[expected.len() - 2].0;
    expected.pop();
    let mut wakes = Vec::new();
    while let Some(wake) = read_models.due_wakes(wakes.last().copied(), until, 1).unwrap().first() {
        wakes.push(*wake);
    }
    assert_eq!(wakes, expected);
    assert_eq!(read_models.next_wake().unwrap(), Some(expected[0].0));
}

#[test]
fn mc_15_a_merged_contact_is_gone_and_its_keys_and_id_lead_to_the_survivor() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    for _ in 0..3 {
        history.create(0b0011);
    }
    history.enter(0, 1);
    history.merge(0, 1);
    history.merge(0, 1);
    let (first, second, last) = (&history.contacts[0], &history.contacts[1], &history.contacts[2]);
    let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
    assert_eq!(read_models.contact(first.id).unwrap(), None);
    assert_eq!(read_models.contact_total().unwrap(), 1);
    assert_eq!(read_models.survivor_of(first.id).unwrap(), Some(last.id), "through two merges");
    assert_eq!(read_models.survivor_of(second.id).unwrap(), Some(last.id));
    assert_eq!(read_models.survivor_of(last.id).unwrap(), None);
    let key = IdentityKey::new(KeyKind::External, "Key-1").unwrap();
    assert_eq!(read_models.contact_by_key(&key).unwrap(), Some(last.id));
    assert_eq!(read_models.contact_keys(last.id).unwrap().len(), 6);
    let stays = read_models.stays_of(last.id).unwrap();
    assert_eq!(stays.len(), 1);
    assert_eq!(stays[0].user_key, last.primary(KeyKind::External).unwrap(), "the key of now");
}

#[test]
fn ct_70_a_deleted_contact_is_gone_with_keys_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    history.create(0b1111);
    history.create(0b0001);
    history.enter(0, 1);
    history.enter(1, 1);
    history.delete(0, 1);
    let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
    let deleted = history.contacts[0].id;
    assert_eq!(read_models.contact(deleted).unwrap(), None);
    assert_eq!(read_models.contact_keys(deleted).unwrap(), []);
    assert_eq!(read_models.stays_of(deleted).unwrap(), []);
    assert_eq!(read_models.survivor_of(deleted).unwrap(), None);
    let bucket = BucketId::new("lapsed").unwrap();
    let counts = read_models.member_counts(&bucket).unwrap();
    assert_eq!((counts.active, counts.left), (1, 0), "BK-228");
    for status in [StayStatus::Active, StayStatus::Left] {
        let filter = MemberFilter { bucket: bucket.clone(), status, contact: None };
        let listed = read_models.members(&filter, 50, 0).unwrap();
        assert_eq!(listed.len() as u64, read_models.member_count(&filter).unwrap());
    }
}

#[test]
fn a_record_after_the_end_of_a_contact_changes_nothing_but_is_counted() {
    for step in [2, 3] {
        let dir = tempfile::tempdir().unwrap();
        let mut history = History::default();
        history.create(1);
        history.delete(0, 1);
        let log = MemoryLog::of(&history.records);
        follow(dir.path(), &log);
        history.contacts[0].live = true;
        let from = history.records.len();
        for _ in 0..step {
            history.touch(0, 2);
        }
        log.push(&history.records[from..]);
        let read_models = follow(dir.path(), &log);
        assert_eq!(read_models.contact_total().unwrap(), 0);
    }
}
