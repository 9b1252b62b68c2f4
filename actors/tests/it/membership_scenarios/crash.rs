//! A crash at every step of the write that holds an event and the join it causes (SB-79).

use std::{fs, path::Path};

use mainspring_schemas::event::ContactEvent;

use super::F2;
use crate::{
    harness::{T0, definitions},
    world::{World, event, history},
};

/// So many bytes reach the disk between two crashes.
const STEP: usize = 11;

/// The only segment of a small log.
fn segment(directory: &Path) -> (String, Vec<u8>) {
    let mut segments = fs::read_dir(directory).unwrap().map(Result::unwrap).filter(|entry| {
        let name = entry.file_name().into_string().unwrap();
        name.ends_with(".log")
    });
    let entry = segments.next().unwrap();
    assert!(segments.next().is_none(), "one segment");
    (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
}

/// Copies the files of a log that is not being written.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[actix::test]
async fn sb_79_a_crash_leaves_the_event_with_its_join_or_nothing_of_both() {
    let world = World::new(T0);
    let running = world.start(Some(definitions(F2))).await;
    let contact = running.engine.ingest(event("u1", "hello")).await.unwrap().contact_id;
    while running.engine.buckets().is_building() {
        tokio::task::yield_now().await;
    }
    let before = tempfile::tempdir().unwrap();
    copy(&world.log_directory(), before.path());
    let mut signup = event("u1", "signup");
    signup.idempotency_key = Some("K".into());
    running.engine.ingest(signup.clone()).await.unwrap();
    let (name, whole) = segment(&world.log_directory());
    let (_, old) = segment(before.path());
    running.stop().await;
    assert!(whole.starts_with(&old) && whole.len() > old.len());

    let mut survived = 0;
    for end in (old.len()..whole.len()).step_by(STEP).chain([whole.len() - 1, whole.len()]) {
        let crashed = World::new(T0);
        copy(before.path(), &crashed.log_directory());
        copy(world.data_keys().parent().unwrap(), crashed.data_keys().parent().unwrap());
        fs::write(crashed.log_directory().join(&name), &whole[..end]).unwrap();
        let running = crashed.start(Some(definitions(F2))).await;
        let found = history(&**running.engine.log(), contact).await;
        let count = |wanted: fn(&ContactEvent) -> bool| found.iter().filter(|event| wanted(event)).count();
        let is_signup =
            |event: &ContactEvent| matches!(event, ContactEvent::EventRecorded(e) if e.name == "signup");
        let is_join = |event: &ContactEvent| matches!(event, ContactEvent::BucketEntered(e) if e.announced);
        let (events, joins) = (count(is_signup), count(is_join));
        assert_eq!(events, joins, "after {} bytes of the write", end - old.len());
        survived += joins;
        // The caller repeats what was not acknowledged; it happens once.
        let again = running.engine.ingest(signup.clone()).await.unwrap();
        assert_eq!((again.contact_id, again.stored), (contact, joins == 0));
        let found = history(&**running.engine.log(), contact).await;
        let count = |wanted: fn(&ContactEvent) -> bool| found.iter().filter(|event| wanted(event)).count();
        assert_eq!((count(is_signup), count(is_join)), (1, 1));
        running.stop().await;
    }
    assert_eq!(survived, 1, "only the whole write survives");
}
