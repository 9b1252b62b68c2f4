//! Claims about waiting and subscriptions.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use super::{Adapter, all_from, assert_gapless, number, one, stream, submit};
use crate::{EventLog, Expected, Recorded, Subscription};

/// A writer that goes on in the background: `count` records over five streams.
fn write_in_background(log: &Arc<dyn EventLog>, count: u64) -> tokio::task::JoinHandle<()> {
    let log = Arc::clone(log);
    tokio::spawn(async move {
        for value in 0..count {
            let answer = submit(&log, one(&stream(&format!("contact-{}", value % 5)), Expected::Any, value));
            if value % 10 == 0 {
                answer.await.unwrap().unwrap();
            }
        }
    })
}

/// Follows a log until `count` records were seen.
async fn follow(log: Arc<dyn EventLog>, from: u64, count: usize, batch: usize) -> Vec<Recorded> {
    let mut subscription = Subscription::new(log, from);
    let mut seen = Vec::new();
    while seen.len() < count {
        let records = subscription.next_batch(batch).await.unwrap();
        assert!(!records.is_empty(), "a batch has at least one record");
        seen.extend(records);
        assert_eq!(subscription.position(), from + seen.len() as u64);
    }
    seen
}

/// `wait_past` returns at once for what is durable, and otherwise when it becomes so.
pub async fn waiting_ends_when_a_record_is_durable(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    for value in 0..20 {
        let waiting = tokio::spawn({
            let log = Arc::clone(&log);
            async move {
                log.wait_past(value).await;
                log.durable_end()
            }
        });
        log.append(one(&stream("contact-1"), Expected::Any, value)).await.unwrap();
        assert!(waiting.await.unwrap() > value);
        log.wait_past(0).await;
    }
}

/// Old records first, then new ones as they come.
pub async fn a_subscription_hands_over_from_old_to_new_without_gap_or_repeat(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    write_in_background(&log, 300).await.unwrap();
    let writer = write_in_background(&log, 500);
    for batch in [1, 3, 64, 10_000] {
        let seen = follow(Arc::clone(&log), 0, 800, batch).await;
        assert_gapless(&seen, 0);
    }
    writer.await.unwrap();
}

/// A subscriber that rests between batches costs the writer nothing and sees everything later.
pub async fn a_slow_subscriber_holds_nobody_up_and_misses_nothing(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    let mut slow = Subscription::new(Arc::clone(&log), 0);
    let writer = write_in_background(&log, 1);
    let mut seen = slow.next_batch(1).await.unwrap();
    writer.await.unwrap();
    // It does nothing at all while others write and follow.
    write_in_background(&log, 600).await.unwrap();
    let fast = follow(Arc::clone(&log), 0, 601, 100).await;
    while seen.len() < 601 {
        seen.extend(slow.next_batch(7).await.unwrap());
    }
    assert_eq!(seen, fast);
}

/// Stopping after any record and going on from the next position repeats and skips nothing.
pub async fn a_subscription_resumes_after_any_record(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    write_in_background(&log, 60).await.unwrap();
    log.wait_past(59).await;
    let whole = all_from(&log, 0, 100).await;
    for checkpoint in 0..60 {
        let seen = follow(Arc::clone(&log), checkpoint, 60 - checkpoint as usize, 9).await;
        assert_eq!(seen, whole[checkpoint as usize..]);
    }
}

/// There is one order, and everybody sees it.
pub async fn subscribers_see_the_same_order(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    let followers: Vec<_> =
        [1, 10, 1_000].map(|batch| tokio::spawn(follow(Arc::clone(&log), 0, 900, batch))).into();
    let writers: Vec<_> = (0..3).map(|_| write_in_background(&log, 300)).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let mut orders = Vec::new();
    for follower in followers {
        let seen = follower.await.unwrap();
        assert_gapless(&seen, 0);
        orders.push(seen);
    }
    assert!(orders.windows(2).all(|pair| pair[0] == pair[1]));
}

/// A batch that nobody waited for to the end is there for the next call.
pub async fn dropping_a_waiting_read_loses_nothing(adapter: &mut dyn Adapter) {
    let log = adapter.log();
    let mut subscription = Subscription::new(Arc::clone(&log), 0);
    for value in 0..20 {
        {
            let mut waiting = pin!(subscription.next_batch(10));
            let first_poll = poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_ready())).await;
            assert!(!first_poll, "there is nothing to read yet");
        }
        log.append(one(&stream("contact-1"), Expected::Any, value)).await.unwrap();
        let batch = subscription.next_batch(10).await.unwrap();
        assert_eq!(batch.iter().map(number).collect::<Vec<_>>(), [value]);
    }
}
