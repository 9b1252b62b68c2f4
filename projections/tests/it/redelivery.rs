//! Requeued, recovered and forgotten deliveries in the read models.

use std::sync::Arc;

use mainspring_projections::{
    DeadLetterFilter, DeliveryFilter, DeliveryStatus, FirstAttempts::All, Missed, MissedLimit, Order,
    QueueFigures, ReadModels, RecoverySpan, missed,
};
use mainspring_schemas::{DeliveryId, EndpointId, Timestamp, event::delivery::AttemptResult};

use crate::{following::follow, history::History, memory_log::MemoryLog};

const LATER: Timestamp = Timestamp(i64::MAX);

/// A history with one endpoint and announcements about one contact.
fn announced(count: u8) -> (History, EndpointId) {
    let mut history = History::of(&[]);
    let endpoint = history.add_endpoint(&["contact.*"], false);
    history.create(1);
    for spare in 0..count {
        history.step((17, 0, spare));
    }
    (history, endpoint)
}

fn models(history: &History) -> (tempfile::TempDir, ReadModels, Arc<MemoryLog>) {
    let dir = tempfile::tempdir().unwrap();
    let log = MemoryLog::of(&history.records);
    let models = follow(dir.path(), &log);
    (dir, models, log)
}

fn span(endpoint: EndpointId, statuses: &[DeliveryStatus]) -> RecoverySpan {
    RecoverySpan {
        endpoint,
        since: Timestamp(0),
        until: LATER,
        statuses: statuses.to_vec(),
        event_types: Vec::new(),
        include_missed: false,
    }
}

#[test]
fn ob_160_a_requeued_delivery_comes_as_a_retry_in_log_order_with_a_fresh_schedule() {
    let (mut history, endpoint) = announced(4);
    let order = history.order.clone();
    for id in &order {
        history.outcome(*id, AttemptResult::Failed, false);
    }
    // Asked for in another order at one instant.
    for index in [2, 0, 3] {
        history.requeue(order[index]);
    }
    let (_dir, models, _) = models(&history);
    let found = models.retries(endpoint, All, LATER, None, 10).unwrap();
    let ids: Vec<DeliveryId> = found.iter().map(|due| due.id).collect();
    assert_eq!(ids, [order[0], order[2], order[3]]);
    assert!(found.iter().all(|due| (due.attempts, due.schedule_attempts, due.requeues) == (1, 0, 1)));
    let rest = models.retries(endpoint, All, LATER, Some((found[0].due_at, found[0].id)), 10).unwrap();
    assert_eq!(rest.iter().map(|due| due.id).collect::<Vec<_>>(), ids[1..]);
    let first = models.first_attempts(endpoint, All, None, 10);
    assert_eq!(first.unwrap(), []);
    let letters = |status: &str| {
        let filter = DeadLetterFilter { statuses: vec![status.to_owned()], ..DeadLetterFilter::default() };
        models.dead_letters(&filter, 10, 0).unwrap()
    };
    assert_eq!((letters("pending").len(), letters("retried").len()), (1, 3));
    assert!(letters("retried").iter().all(|letter| letter.retried_at == Some(history.now())));
    assert_eq!(models.untried(endpoint, 10).unwrap(), 3);
}

#[test]
fn oc_93_only_what_the_receiver_has_is_a_replay_until_it_has_it_again() {
    use AttemptResult::{Delivered, Failed};
    let replay_of = |history: &History, id: DeliveryId, endpoint| {
        let (_dir, models, _) = models(history);
        let due = models.retries(endpoint, All, LATER, None, 10).unwrap();
        due.iter().find(|due| due.id == id).map(|due| due.replay)
    };
    for (first, sent, replayed, expected) in [
        (Delivered, true, true, true),
        (Delivered, true, false, false),
        // Nothing was sent: the destination had nothing to say, or did not take the type.
        (Delivered, false, true, false),
        (Failed, true, true, false),
    ] {
        let (mut history, endpoint) = announced(1);
        let id = history.order[0];
        history.outcome_of(id, first.clone(), false, sent);
        if replayed {
            history.replay(id)
        } else {
            history.requeue(id)
        }
        assert_eq!(replay_of(&history, id, endpoint), Some(expected), "{first:?} {sent} {replayed}");
    }

    let (mut history, endpoint) = announced(1);
    let id = history.order[0];
    history.outcome(id, Delivered, false);
    history.replay(id);
    history.outcome(id, Failed, false);
    assert_eq!(replay_of(&history, id, endpoint), None, "given up");
    history.requeue(id);
    assert_eq!(replay_of(&history, id, endpoint), Some(true), "the receiver still has it");
    history.outcome(id, Delivered, false);
    history.requeue(id);
    assert_eq!(replay_of(&history, id, endpoint), Some(false), "asked for by itself");
}

#[test]
fn dl_05_the_oldest_letters_of_a_filter() {
    let (mut history, endpoint) = announced(4);
    let order = history.order.clone();
    for id in &order {
        history.step((1, 0, 1));
        history.outcome(*id, AttemptResult::Failed, false);
    }
    let since = history.now();
    history.requeue(order[1]);
    let (_dir, models, _) = models(&history);
    let pending = DeadLetterFilter { statuses: vec!["pending".to_owned()], ..DeadLetterFilter::default() };
    let of = |filter: &DeadLetterFilter, limit| {
        let found = models.oldest_dead_letters(filter, limit).unwrap();
        let total = models.dead_letter_count(filter).unwrap();
        (found.into_iter().map(|(_, id)| id).collect::<Vec<_>>(), total)
    };
    let (a, c, d) = (order[0], order[2], order[3]);
    assert_eq!(of(&pending, 10), (vec![a, c, d], 3));
    assert_eq!(of(&pending, 2), (vec![a, c], 3));
    assert_eq!(of(&pending, 0), (vec![], 3));
    let retriable = DeadLetterFilter { retriable: true, endpoint: Some(endpoint), ..pending.clone() };
    assert_eq!(of(&retriable, 10), (vec![a, c, d], 3));
    let late = DeadLetterFilter { since: Some(since), ..pending.clone() };
    assert_eq!(of(&late, 10), (vec![d], 1));
    let nobody = EndpointId(uuid::Uuid::from_u128(7));
    let elsewhere = DeadLetterFilter { endpoint: Some(nobody), ..pending.clone() };
    assert_eq!(of(&elsewhere, 10), (vec![], 0));
}

#[test]
fn ob_155_a_letter_opens_again_when_the_retry_fails_too() {
    let (mut history, _) = announced(1);
    let id = history.order[0];
    history.outcome(id, AttemptResult::Failed, false);
    history.requeue(id);
    history.outcome(id, AttemptResult::Failed, false);
    let (_dir, models, _) = models(&history);
    let letters = models.dead_letters(&DeadLetterFilter::default(), 10, 0).unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].status.as_str(), letters[0].retry_count), ("pending", 2));
    let manual: Vec<bool> =
        models.delivery(id).unwrap().unwrap().attempts.iter().map(|attempt| attempt.manual).collect();
    assert_eq!(manual, [true, false]);
}

#[test]
fn he_04_the_queue_is_as_old_as_what_is_due_longest() {
    let (mut history, endpoint) = announced(3);
    let first = history.deliveries[&history.order[0]].since;
    let order = history.order.clone();
    let later = history.now().plus(5000);
    history.outcome(order[0], AttemptResult::Retry { next_at: later }, false);
    let second = history.deliveries[&order[1]].since;
    assert!(first < second);
    let figures = |history: &History, now| {
        let (_dir, models, _) = models(history);
        models.queue_figures(now).unwrap()
    };
    let expected = QueueFigures {
        pending: 3,
        held: 0,
        failing: 0,
        due_since: Some(second),
        overdue_since: Some(second),
    };
    assert_eq!(figures(&history, later), expected);
    for id in &order[1..] {
        history.outcome(*id, AttemptResult::Failed, false);
    }
    let expected = QueueFigures { pending: 1, due_since: None, overdue_since: None, ..expected };
    assert_eq!(figures(&history, later.plus(-1)), expected, "its instant has not come");
    let late = figures(&history, later);
    assert_eq!((late.due_since, late.overdue_since), (Some(later), Some(later)));
    for _ in 0..2 {
        history.outcome(order[0], AttemptResult::Retry { next_at: later }, false);
    }
    let failing = figures(&history, LATER);
    assert_eq!((failing.failing, failing.due_since, failing.overdue_since), (1, Some(later), None));
    history.disable(endpoint);
    let held = figures(&history, LATER);
    assert_eq!((held.pending, held.held, held.failing, held.due_since), (1, 1, 0, None));
}

#[test]
fn ob_162_figures_are_counted_over_the_period() {
    let (mut history, endpoint) = announced(20);
    let order = history.order.clone();
    history.outcome(order[0], AttemptResult::Delivered, false);
    history.step((1, 0, 255));
    let since = history.now();
    for id in &order[1..18] {
        history.outcome(*id, AttemptResult::Delivered, false);
    }
    history.outcome(order[18], AttemptResult::Failed, false);
    let (_dir, models, _) = models(&history);
    let stats = models.delivery_stats(endpoint, since).unwrap();
    assert_eq!((stats.delivered, stats.failed, stats.attempts), (17, 1, 18));
    assert_eq!(stats.by_class.into_iter().collect::<Vec<_>>(), [("http".to_owned(), 1)]);
    assert_eq!((stats.p50_ms, stats.p95_ms), (Some(12), Some(12)));
    let none = models.delivery_stats(endpoint, LATER).unwrap();
    assert_eq!((none.attempts, none.p50_ms, none.p95_ms), (0, None, None));
}

#[test]
fn ob_163_what_is_old_is_let_go_in_bounded_steps() {
    let (mut history, endpoint) = announced(10);
    let order = history.order.clone();
    for (index, id) in order.iter().enumerate() {
        history.step((1, 0, 1));
        let result = if index % 3 == 0 { AttemptResult::Failed } else { AttemptResult::Delivered };
        history.outcome(*id, result, false);
    }
    let (_dir, models, _) = models(&history);
    let never = Timestamp(0);
    let found = models.expirable(LATER, never, 4).unwrap();
    assert_eq!(found.len(), 1);
    let since = |index: usize| history.deliveries[&order[index]].since;
    assert_eq!((found[0].endpoint, found[0].ended_until), (endpoint, since(5)), "1, 2, 4 and 5");
    assert_eq!(models.expirable(never, never, 4).unwrap(), []);
    let failed = models.expirable(never, LATER, 2).unwrap();
    assert_eq!(failed[0].failed_until, since(3));
    assert!(failed[0].ended_until < since(0), "nothing but failed ones");
}

#[test]
fn ob_161_what_can_be_recovered_leaves_out_tests_and_the_erased() {
    let (mut history, endpoint) = announced(6);
    let order = history.order.clone();
    for id in &order {
        history.outcome(*id, AttemptResult::Failed, false);
    }
    let end = history.records.len() as u64;
    let (_dir, models, _) = models(&history);
    let failed = span(endpoint, &[DeliveryStatus::Failed]);
    assert_eq!(models.recoverable_total(&failed, end).unwrap(), 6);
    let page = models.recoverable(&failed, 0, end, 4).unwrap();
    assert_eq!(page.iter().map(|one| one.id).collect::<Vec<_>>(), order[..4]);
    let rest = models.recoverable(&failed, page[3].position + 1, end, 4).unwrap();
    assert_eq!(rest.iter().map(|one| one.id).collect::<Vec<_>>(), order[4..]);
    assert_eq!(models.recoverable_total(&failed, page[0].position).unwrap(), 0, "nothing that came later");
    let typed = RecoverySpan { event_types: vec!["bucket.*".into()], ..failed.clone() };
    assert_eq!(models.recoverable_total(&typed, end).unwrap(), 0);
    drop(models);
    // 16 and an even number deletes, others erase: both leave nothing to send after an erasure.
    while history.erased.is_empty() {
        history.create(1);
        history.step((16, 0, history.records.len() as u8));
    }
    let (_dir, models, _) = self::models(&history);
    let contact = *history.erased.iter().next().unwrap();
    let about = DeliveryFilter { contact: Some(contact), ..DeliveryFilter::default() };
    let gone = models.deliveries(&about, Order::Ascending, None, 100).unwrap();
    let left = models.recoverable(&failed, 0, LATER.0.unsigned_abs(), 100).unwrap();
    assert!(gone.iter().all(|delivery| left.iter().all(|one| one.id != delivery.id)));
}

#[test]
fn ob_163_gd_07_the_end_of_a_merged_contact_is_told_by_its_own_id_after_the_survivor_is_erased() {
    let mut history = History::of(&[]);
    let endpoint = history.add_endpoint(&["contact.deleted"], false);
    let [loser, survivor] = [history.create(1), history.create(1)].map(|index| history.contacts[index].id);
    history.merge(0, 0);
    // An even number erases.
    history.step((16, 0, 2));
    assert!(history.erased.contains(&loser) && history.erased.contains(&survivor));
    for records in [history.records.clone(), history.without_keys()] {
        let dir = tempfile::tempdir().unwrap();
        let models = follow(dir.path(), &MemoryLog::of(&records));
        let due = models.first_attempts(endpoint, All, None, 10).unwrap();
        let ids: Vec<String> = due
            .iter()
            .map(|due| serde_json::from_slice::<serde_json::Value>(&due.body).unwrap())
            .map(|body| body["data"]["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids, [loser.to_string(), survivor.to_string()]);
    }
}

#[test]
fn ob_161_missed_messages_are_found_once_and_not_among_the_forgotten() {
    let mut history = History::of(&[]);
    history.create(1);
    for spare in 0..6 {
        history.step((17, 0, spare));
    }
    let endpoint = history.add_endpoint(&["contact.updated"], false);
    let end = history.records.len() as u64;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let within = |history: &History, from: u64, limit: MissedLimit| {
        let (_dir, models, log) = models(history);
        let wanted = RecoverySpan { include_missed: true, ..span(endpoint, &[DeliveryStatus::Failed]) };
        let subscribed = ["contact.updated".to_owned()];
        runtime.block_on(missed(&*log, &models, &wanted, &subscribed, from, end, limit)).unwrap()
    };
    let find = |history: &History, from: u64, messages: usize| {
        within(history, from, MissedLimit { messages, bytes: usize::MAX })
    };
    let page = find(&history, 0, 2);
    assert_eq!((page.found.len(), page.found[1].position + 1), (2, page.through));
    let rest = find(&history, page.through, 10);
    assert_eq!((rest.found.len(), rest.through), (1, end));
    let first = page.found[0].body.len();
    for (bytes, found) in [(1, 1), (first, 1), (first + 1, 2)] {
        let bounded = within(&history, 0, MissedLimit { messages: 10, bytes });
        assert_eq!(bounded.found, page.found[..found], "no more envelopes once there are {bytes} bytes");
        assert_eq!(bounded.through, page.found[found - 1].position + 1);
    }
    let all: Vec<Missed> = page.found.into_iter().chain(rest.found).collect();
    assert!(
        all.iter().all(|one| one.event_type == "contact.updated" && one.body.contains("contact.updated"))
    );

    history.recover(endpoint, 0);
    assert_eq!(history.order.len(), 1);
    assert_eq!(find(&history, 0, 10).found, all[1..], "what has a delivery is not missed");
    let late = history.order[0];
    history.outcome(late, AttemptResult::Delivered, false);
    history.expire(endpoint);
    assert!(history.order.is_empty());
    assert_eq!(find(&history, 0, 10).found, [], "nobody can tell any more");
}
