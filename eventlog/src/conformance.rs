//! The suite that every adapter of the log must pass.
//!
//! It knows nothing but [`EventLog`]. An adapter runs all of it like this (its crate's tests need tokio's
//! `rt-multi-thread` and `macros`):
//!
//! ```ignore
//! struct Mine { log: Arc<dyn EventLog>, /* whatever opening it again takes */ }
//!
//! #[async_trait]
//! impl Adapter for Mine {
//!     fn log(&self) -> Arc<dyn EventLog> { Arc::clone(&self.log) }
//!     async fn reopen(&mut self) { /* close, open again */ }
//! }
//!
//! async fn fresh() -> Mine { /* an empty log */ }
//!
//! mainspring_eventlog::conformance_tests!(fresh);
//! ```

// The suite is test code that happens to be a module: it panics when a claim does not hold.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test code")]

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mainspring_schemas::{RecordId, StreamName, Timestamp};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    Append, AppendError, Appended, EventLog, Expected, NewRecord, Position, Recorded, StreamAppend, Version,
};

pub mod appending;
pub mod concurrency;
pub mod following;
pub mod reading;

/// A log under test.
#[async_trait]
pub trait Adapter: Send + Sync {
    /// The log that is open now.
    fn log(&self) -> Arc<dyn EventLog>;

    /// Closes the log and opens the same data again.
    async fn reopen(&mut self);
}

/// Makes one `#[tokio::test]` of every claim. The argument names an `async fn() -> impl Adapter` that begins an empty
/// log.
#[macro_export]
macro_rules! conformance_tests {
    ($fresh:path) => {
        $crate::conformance_tests! { @module $fresh, appending:
            positions_and_versions_count_up_without_gaps,
            a_stream_that_must_not_exist_is_created_once,
            an_expected_version_must_be_the_last_one,
            any_version_is_accepted_if_any_is_expected,
            a_refused_append_leaves_nothing_behind,
            an_append_over_several_streams_is_all_or_nothing,
            malformed_appends_are_refused,
            submissions_without_waiting_keep_their_order_and_see_each_other,
            every_field_comes_back,
            empty_and_big_payloads_come_back,
            reopening_changes_nothing,
            appending_goes_on_after_reopening,
        }
        $crate::conformance_tests! { @module $fresh, reading:
            a_stream_that_was_never_written_is_empty,
            a_stream_is_read_forwards_from_anywhere,
            a_stream_is_read_backwards_from_anywhere,
            the_whole_log_is_read_from_anywhere,
            reading_past_the_end_is_empty,
            a_limit_of_zero_reads_nothing,
            a_stream_of_ten_thousand_records_is_read_in_pages,
            ten_thousand_streams_are_told_apart,
            names_that_look_alike_are_different_streams,
        }
        $crate::conformance_tests! { @module $fresh, concurrency:
            of_writers_that_expect_the_same_version_exactly_one_wins,
            of_writers_that_create_the_same_stream_exactly_one_wins,
            a_storm_of_writers_leaves_no_gaps,
            each_callback_is_called_once_and_with_its_own_answer,
            nothing_is_read_before_it_is_durable,
        }
        $crate::conformance_tests! { @module $fresh, following:
            waiting_ends_when_a_record_is_durable,
            a_subscription_hands_over_from_old_to_new_without_gap_or_repeat,
            a_slow_subscriber_holds_nobody_up_and_misses_nothing,
            a_subscription_resumes_after_any_record,
            subscribers_see_the_same_order,
            dropping_a_waiting_read_loses_nothing,
        }
    };
    (@module $fresh:path, $module:ident: $($claim:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                let mut adapter = $fresh().await;
                $crate::conformance::$module::$claim(&mut adapter).await;
            }
        )*
    };
}

/// A stream name made for a test.
fn stream(name: &str) -> StreamName {
    StreamName::new(name)
}

/// A record that carries a number.
fn record(number: u64) -> NewRecord {
    NewRecord {
        id: RecordId(Uuid::from_u128(u128::from(number) << 64 | 7)),
        event_type: "test.happened".into(),
        schema_version: 1,
        causation: None,
        trace: None,
        wake_at: None,
        definitions: 0,
        sealed_with: None,
        payload: Bytes::copy_from_slice(&number.to_le_bytes()),
    }
}

/// The number a record carries.
fn number(recorded: &Recorded) -> u64 {
    u64::from_le_bytes(recorded.payload[..].try_into().expect("a payload of eight bytes"))
}

/// An append to one stream.
fn append(name: &StreamName, expected: Expected, records: Vec<NewRecord>) -> Append {
    let streams = vec![StreamAppend { stream: name.clone(), expected, records }];
    Append { recorded_at: Timestamp(1_780_000_000_000), streams }
}

/// An append of one numbered record.
fn one(name: &StreamName, expected: Expected, value: u64) -> Append {
    append(name, expected, vec![record(value)])
}

/// Submits and returns the future answer.
fn submit(log: &Arc<dyn EventLog>, append: Append) -> oneshot::Receiver<Result<Appended, AppendError>> {
    let (sender, receiver) = oneshot::channel();
    log.submit(append, Box::new(move |answer| drop(sender.send(answer))));
    receiver
}

/// The whole log from a position on.
async fn all_from(log: &Arc<dyn EventLog>, from: Position, page: usize) -> Vec<Recorded> {
    let (mut records, mut next) = (Vec::new(), from);
    while next < log.durable_end() {
        let page = log.read_all(next, page).await.expect("a readable log");
        next = page.last().expect("a record below the durable end").position + 1;
        records.extend(page);
    }
    records
}

/// A whole stream.
async fn whole_stream(log: &Arc<dyn EventLog>, name: &StreamName) -> Vec<Recorded> {
    log.read_stream(name, 0, usize::MAX).await.expect("a readable stream")
}

/// Panics unless positions count up from `from`, and versions count up from 0 in every stream seen from its start.
fn assert_gapless(records: &[Recorded], from: Position) {
    let mut versions: std::collections::HashMap<&StreamName, Version> = std::collections::HashMap::new();
    for (index, record) in records.iter().enumerate() {
        assert_eq!(record.position, from + index as u64, "a gap or a repeat in the log");
        let next = versions.entry(&record.stream).or_insert(if from == 0 { 0 } else { record.version });
        assert_eq!(record.version, *next, "a gap or a repeat in {}", record.stream);
        *next += 1;
    }
}
