//! The delivery queue.

use std::sync::Arc;

use mainspring_eventlog::EventLog;
use mainspring_projections::{
    DeadLetterFilter, Delivery, DeliveryFilter, DeliveryStatus, Order, ReadModels, Selection, rebuild,
};
use mainspring_schemas::{
    EndpointId, StreamName, Timestamp,
    event::{
        EndpointEvent,
        delivery::AttemptResult,
        endpoint::{EndpointDeleted, EndpointDisabled, EndpointEnabled, EndpointUpdated, TestRequested},
    },
};
use serde_json::json;

use crate::{following::follow, history::History, memory_log::MemoryLog};

const LATER: Timestamp = Timestamp(i64::MAX);

fn configure(history: &mut History, endpoint: EndpointId, event: &EndpointEvent) {
    history.append(StreamName::endpoint(endpoint), event.encode().unwrap());
}

fn due(read_models: &ReadModels, endpoint: EndpointId) -> usize {
    read_models.due_deliveries(endpoint, LATER, None, 100).unwrap().len()
}

#[test]
fn ob_60_ob_66_who_is_subscribed_at_the_position_gets_it_and_nobody_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    history.create(1);
    history.announce(0, 0);
    let early = history.add_endpoint(&["contact.*"], false);
    let other = history.add_endpoint(&["bucket.*"], false);
    history.announce(0, 0);
    let settings = History::settings(&["email.*".to_owned()]);
    configure(&mut history, early, &EndpointEvent::Updated(EndpointUpdated { at: Timestamp(9), settings }));
    history.announce(0, 0);
    let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
    assert_eq!(due(&read_models, early), 1, "neither the past nor what it no longer wants");
    assert_eq!(due(&read_models, other), 0);
    assert_eq!(read_models.pending_endpoints().unwrap(), [early]);
}

#[test]
fn ob_50_ob_52_bk_115_the_envelope_is_frozen_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    let endpoint = history.add_endpoint(&["*"], false);
    history.create(1);
    history.enter(0, 1);
    history.step((14, 0, 1));
    history.announce(0, 0);
    let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
    let bodies: Vec<(String, String)> = read_models
        .due_deliveries(endpoint, LATER, None, 10)
        .unwrap()
        .into_iter()
        .map(|due| (due.message.to_string(), String::from_utf8(due.body.to_vec()).unwrap()))
        .collect();
    let at = |index: usize| history.records[index].recorded_at;
    let expected = [
        format!(
            "{{\"id\":\"{}\",\"type\":\"bucket.entered\",\"timestamp\":\"{}\",\"data\":{{\"bucketId\":\"lapsed\",\
             \"bucketName\":\"LAPSED\",\"userId\":\"u\",\"userEmail\":null,\"transition\":\"entered\",\
             \"entryCount\":1,\"source\":\"event\"}}}}",
            bodies[0].0,
            at(3),
        ),
        format!(
            "{{\"id\":\"{}\",\"type\":\"bucket.left\",\"timestamp\":\"{}\",\"data\":{{\"bucketId\":\"lapsed\",\
             \"bucketName\":\"Name\",\"userId\":\"u\",\"userEmail\":\"a@example.com\",\"transition\":\"left\",\
             \"entryCount\":1,\"source\":\"reconcile\",\"reason\":\"criteria\"}}}}",
            bodies[1].0,
            at(4),
        ),
        format!(
            "{{\"id\":\"{}\",\"type\":\"contact.updated\",\"timestamp\":\"{}\",\"data\":{{\"id\":\"{}\",\
             \"properties\":{{\"a\":null,\"b\":1}}}}}}",
            bodies[2].0,
            at(5),
            history.contacts[0].id,
        ),
    ];
    assert!(bodies.iter().map(|(_, body)| body).eq(expected.iter()), "{bodies:#?}");
}

#[test]
fn ob_88_a_disabled_endpoint_holds_and_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    let endpoint = history.add_endpoint(&["*"], false);
    history.create(1);
    history.announce(0, 0);
    let disabled =
        EndpointEvent::Disabled(EndpointDisabled { at: Timestamp(9), reason: "failing".to_owned() });
    configure(&mut history, endpoint, &disabled);
    history.announce(0, 0);
    let test = TestRequested { at: Timestamp(9), data: json!({"m": 1}).as_object().unwrap().clone() };
    configure(&mut history, endpoint, &EndpointEvent::TestRequested(test));
    let log = MemoryLog::of(&history.records);
    let read_models = follow(dir.path(), &log);
    let held = read_models.due_deliveries(endpoint, LATER, None, 10).unwrap();
    assert_eq!(held.len(), 1, "only the test is due (OB-177)");
    assert!(held[0].test && held[0].event_type == "webhook.test");
    let counts = read_models.delivery_counts(Some(endpoint)).unwrap();
    assert_eq!((counts.pending, counts.held), (3, 3));
    let listed = read_models.deliveries(&DeliveryFilter::default(), Order::Ascending, None, 10).unwrap();
    assert_eq!(listed.iter().map(|delivery| delivery.held).collect::<Vec<_>>(), [true, true, false]);
    let next_known = |delivery: &Delivery| delivery.next_attempt_at.is_some();
    assert_eq!(listed.iter().map(next_known).collect::<Vec<_>>(), [false, false, true], "OB-121");
    let from = history.records.len();
    configure(&mut history, endpoint, &EndpointEvent::Enabled(EndpointEnabled { at: Timestamp(10) }));
    log.push(&history.records[from..]);
    let read_models = follow(dir.path(), &log);
    assert_eq!(due(&read_models, endpoint), 3);
    let row = read_models.endpoint(endpoint).unwrap().unwrap();
    assert!(!row.is_disabled() && row.disabled_reason.is_none());
}

#[test]
fn ob_87_a_deleted_endpoint_discards_what_was_pending() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    let endpoint = history.add_endpoint(&["*"], false);
    history.create(1);
    history.announce(0, 0);
    history.announce(0, 0);
    let first = history.order[0];
    history.outcome(first, AttemptResult::Delivered, false);
    configure(
        &mut history,
        endpoint,
        &EndpointEvent::Deleted(EndpointDeleted { at: Timestamp(9), data_key: None }),
    );
    let late = history.order[1];
    history.outcome(late, AttemptResult::Delivered, false);
    history.announce(0, 0);
    let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
    let status = |id| read_models.delivery(id).unwrap().unwrap().delivery.status;
    assert_eq!((status(first), status(late)), (DeliveryStatus::Delivered, DeliveryStatus::Discarded));
    assert_eq!(due(&read_models, endpoint), 0);
    assert_eq!(read_models.endpoint_count(true).unwrap(), 0);
    assert!(read_models.endpoint(endpoint).unwrap().unwrap().deleted_at.is_some());
    let counts = read_models.delivery_counts(None).unwrap();
    assert_eq!((counts.delivered, counts.discarded, counts.pending), (1, 1, 0));
}

#[test]
fn ob_123_to_ob_127_outcomes_attempts_and_dead_letters() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    let endpoint = history.add_endpoint(&["*"], false);
    history.create(1);
    history.announce(0, 0);
    history.announce(0, 1);
    let (given_up, taken) = (history.order[0], history.order[1]);
    let next_at = history.now().plus(5000);
    history.outcome(given_up, AttemptResult::Retry { next_at }, false);
    history.outcome(given_up, AttemptResult::Retry { next_at: next_at.plus(99) }, true);
    let log = MemoryLog::of(&history.records);
    let read_models = follow(dir.path(), &log);
    let detail = read_models.delivery(given_up).unwrap().unwrap();
    assert_eq!(
        (detail.delivery.attempts, detail.delivery.next_attempt_at),
        (1, Some(next_at)),
        "a repeat does nothing"
    );
    assert_eq!(read_models.due_deliveries(endpoint, next_at.plus(-1), None, 10).unwrap().len(), 1);
    assert_eq!(read_models.endpoint(endpoint).unwrap().unwrap().health.consecutive_failures, 1);
    let from = history.records.len();
    history.outcome(given_up, AttemptResult::Failed, false);
    history.outcome(given_up, AttemptResult::Delivered, false);
    history.outcome(taken, AttemptResult::Delivered, false);
    log.push(&history.records[from..]);
    let read_models = follow(dir.path(), &log);
    let detail = read_models.delivery(given_up).unwrap().unwrap();
    assert_eq!(detail.delivery.status, DeliveryStatus::Failed, "terminal stays terminal");
    assert_eq!(detail.attempts.iter().map(|attempt| attempt.n).collect::<Vec<_>>(), [2, 1]);
    let letters = read_models.dead_letters(&DeadLetterFilter::default(), 10, 0).unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].id, letters[0].error.as_str()), (given_up, "Exhausted 2: HTTP 500"));
    assert_eq!(letters[0].body, detail.payload);
    assert_eq!(
        read_models
            .dead_letter_count(&DeadLetterFilter {
                statuses: vec!["retried".into()],
                ..DeadLetterFilter::default()
            })
            .unwrap(),
        0
    );
    let row = read_models.endpoint(endpoint).unwrap().unwrap();
    assert_eq!((row.health.consecutive_failures, row.last_delivery_at.is_some()), (0, true));
    assert_eq!(read_models.next_due().unwrap(), None);
}

#[test]
fn ob_180_filters_and_cursor() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    history.create(1);
    history.create(1);
    let endpoint = history.add_endpoint(&["*"], false);
    for index in 0..6 {
        history.announce(index, index);
    }
    history.enter(0, 1);
    let log = MemoryLog::of(&history.records);
    let read_models = follow(dir.path(), &log);
    let list =
        |filter: DeliveryFilter| read_models.deliveries(&filter, Order::Descending, None, 50).unwrap().len();
    let base = DeliveryFilter::default;
    assert_eq!(list(base()), 7);
    assert_eq!(list(DeliveryFilter { endpoint: Some(endpoint), ..base() }), 7);
    assert_eq!(list(DeliveryFilter { contact: Some(history.contacts[1].id), ..base() }), 3);
    assert_eq!(list(DeliveryFilter { event_types: vec!["bucket.*".into()], ..base() }), 1);
    assert_eq!(
        list(DeliveryFilter { event_types: vec!["bucket.*".into(), "contact.updated".into()], ..base() }),
        4
    );
    assert_eq!(list(DeliveryFilter { event_types: vec!["*".into()], ..base() }), 7);
    assert_eq!(list(DeliveryFilter { statuses: vec![DeliveryStatus::Failed], ..base() }), 0);
    assert_eq!(list(DeliveryFilter { error_class: Some("http".into()), ..base() }), 0);
    let message = read_models.due_deliveries(endpoint, LATER, None, 1).unwrap()[0].message;
    assert_eq!(list(DeliveryFilter { message: Some(message), ..base() }), 1);
    for order in [Order::Ascending, Order::Descending] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = read_models.deliveries(&base(), order, cursor, 2).unwrap();
            let Some(last) = page.last() else { break };
            cursor = Some(last.seq);
            seen.extend(page.into_iter().map(|delivery| delivery.id));
        }
        if order == Order::Descending {
            seen.reverse();
        }
        assert_eq!(seen, history.order);
    }
}

#[test]
fn ob_65_a_rebuild_makes_the_same_deliveries_and_keeps_their_outcomes() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::of(&crate::following::steps(1500));
    let log = MemoryLog::of(&history.records);
    let all = |read_models: &ReadModels| {
        read_models
            .deliveries(&DeliveryFilter::default(), Order::Ascending, None, usize::MAX)
            .unwrap()
            .into_iter()
            .map(|delivery| read_models.delivery(delivery.id).unwrap().unwrap())
            .collect::<Vec<_>>()
    };
    let before = all(&follow(dir.path(), &log));
    assert!(before.iter().any(|detail| detail.delivery.status == DeliveryStatus::Delivered));
    std::fs::remove_file(dir.path().join("read-models.sqlite")).unwrap();
    let dynamic: Arc<dyn EventLog> = log.clone();
    rebuild(&dynamic, dir.path(), &Selection::All, &mut |_| {}).unwrap();
    assert_eq!(all(&ReadModels::open(dir.path()).unwrap()), before);
}
