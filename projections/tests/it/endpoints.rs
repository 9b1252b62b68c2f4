//! What the queue answers about one endpoint: the order of contacts, what is held, and nothing that is a credential.

use std::sync::Arc;

use mainspring_projections::{DeliveryFilter, FirstAttempts, Order, ReadModels};
use mainspring_schemas::{
    DeliveryId, EndpointId, StreamName, Timestamp,
    event::{
        EndpointEvent,
        delivery::AttemptResult,
        endpoint::{EndpointDeleted, EndpointDisabled, EndpointEnabled},
    },
};
use uuid::Uuid;

use crate::{following::follow, history::History, memory_log::MemoryLog};

const LATER: Timestamp = Timestamp(i64::MAX);

fn ids(due: Vec<mainspring_projections::DueDelivery>) -> Vec<DeliveryId> {
    due.into_iter().map(|due| due.id).collect()
}

fn heads(models: &ReadModels, endpoint: EndpointId) -> (Vec<DeliveryId>, Vec<DeliveryId>) {
    let first = models.first_attempts(endpoint, FirstAttempts::Heads, None, 100).unwrap();
    (ids(first), ids(models.retries(endpoint, FirstAttempts::Heads, LATER, None, 100).unwrap()))
}

#[test]
fn only_the_first_pending_delivery_of_a_contact_is_a_head() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    let endpoint = history.add_endpoint(&["*"], false);
    let other = history.add_endpoint(&["*"], false);
    history.create(1);
    history.create(2);
    for _ in 0..3 {
        history.announce(0, 0);
        history.announce(1, 0);
    }
    let mine: Vec<DeliveryId> =
        history.order.iter().copied().filter(|id| history.deliveries[id].endpoint == endpoint).collect();
    let log = MemoryLog::of(&history.records);
    let models = follow(dir.path(), &log);
    assert_eq!(heads(&models, endpoint), (vec![mine[0], mine[1]], Vec::new()));
    let all = models.first_attempts(endpoint, FirstAttempts::All, None, 100).unwrap();
    assert_eq!(ids(all), mine);

    let mut told = history.records.len();
    let mut outcome = |history: &mut History, id: DeliveryId, result: AttemptResult| {
        history.outcome(id, result, false);
        log.push(&history.records[told..]);
        told = history.records.len();
        follow(dir.path(), &log)
    };
    let models = outcome(&mut history, mine[0], AttemptResult::Retry { next_at: Timestamp(9) });
    assert_eq!(heads(&models, endpoint), (vec![mine[1]], vec![mine[0]]), "a retry holds its contact back");
    let contact = history.deliveries[&mine[0]].contact.unwrap();
    assert_eq!(models.next_of_contact(endpoint, contact).unwrap().unwrap().id, mine[0]);
    let models = outcome(&mut history, mine[0], AttemptResult::Failed);
    assert_eq!(heads(&models, endpoint), (vec![mine[1], mine[2]], Vec::new()));
    assert_eq!(models.next_of_contact(endpoint, contact).unwrap().unwrap().id, mine[2]);
    assert_eq!(heads(&models, other).0.len(), 2, "endpoints do not hold each other back");
}

#[test]
fn ob_88_what_is_held_comes_oldest_first_whatever_its_attempts() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    let endpoint = history.add_endpoint(&["*"], false);
    history.create(1);
    (0..6).for_each(|_| history.announce(0, 0));
    let order = history.order.clone();
    history.outcome(order[1], AttemptResult::Retry { next_at: Timestamp(i64::MAX - 1) }, false);
    history.outcome(order[4], AttemptResult::Retry { next_at: Timestamp(0) }, false);
    history.outcome(order[2], AttemptResult::Delivered, false);
    let models = follow(dir.path(), &MemoryLog::of(&history.records));
    let held = |limit| -> Vec<DeliveryId> {
        models.held_deliveries(endpoint, limit).unwrap().into_iter().map(|(id, _)| id).collect()
    };
    assert_eq!(held(100), [order[0], order[1], order[3], order[4], order[5]]);
    assert_eq!(held(2), order[..2]);
}

#[test]
fn ob_152_enabling_makes_what_waited_for_a_retry_due() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    let endpoint = history.add_endpoint(&["*"], false);
    let other = history.add_endpoint(&["*"], false);
    history.create(1);
    (0..2).for_each(|_| history.announce(0, 0));
    let far = Timestamp(i64::MAX - 1);
    for delivery in history.order.clone() {
        history.outcome(delivery, AttemptResult::Retry { next_at: far }, false);
    }
    let log = MemoryLog::of(&history.records);
    let models = follow(dir.path(), &log);
    let next = |models: &ReadModels, endpoint| {
        let filter = DeliveryFilter { endpoint: Some(endpoint), ..DeliveryFilter::default() };
        let listed = models.deliveries(&filter, Order::Ascending, None, 10).unwrap();
        listed.iter().map(|delivery| delivery.next_attempt_at).collect::<Vec<_>>()
    };
    assert_eq!(next(&models, endpoint), [Some(far); 2]);
    drop(models);
    let from = history.records.len();
    let disabled = EndpointDisabled { at: history.now(), reason: "failing".to_owned() };
    for event in
        [EndpointEvent::Disabled(disabled), EndpointEvent::Enabled(EndpointEnabled { at: history.now() })]
    {
        history.append(StreamName::endpoint(endpoint), event.encode().unwrap());
    }
    let enabled_at = history.records.last().unwrap().recorded_at;
    log.push(&history.records[from..]);
    let models = follow(dir.path(), &log);
    assert_eq!(next(&models, endpoint), [Some(enabled_at); 2]);
    assert_eq!(next(&models, other), [Some(far); 2]);
}

#[test]
fn ob_86_the_database_holds_no_credential_and_knows_which_keys_are_destroyed() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    let endpoint = history.add_endpoint(&["*"], false);
    let key = Uuid::from_u128(7);
    let deleted = EndpointEvent::Deleted(EndpointDeleted { at: Timestamp(9), data_key: Some(key) });
    history.append(StreamName::endpoint(endpoint), deleted.encode().unwrap());
    let log: Arc<MemoryLog> = MemoryLog::of(&history.records);
    let models = follow(dir.path(), &log);
    assert_eq!(models.destroyed_endpoint_keys().unwrap(), [key]);
    drop(models);
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let shows = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        for credential in ["config-credential", "header-credential", "url-credential", "whsec_credential"] {
            assert!(!shows(credential), "{credential}");
        }
    }
}
