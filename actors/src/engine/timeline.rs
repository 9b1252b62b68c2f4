//! A contact's history made readable: its own stream and those of all it absorbed, as one (CT-85, MC-30).

use std::{cmp::Reverse, collections::BinaryHeap};

use compact_str::format_compact;
use mainspring_eventlog::Position;
use mainspring_schemas::{
    BucketId, ContactId, RecordId, StreamName, Timestamp,
    event::contact::{ContactEvent, EventRecorded, Source},
};
use serde_json::json;

use super::Engine;
use crate::{
    api::{EngineError, Timeline, TimelineEvent},
    pages::Pages,
};

/// An event with its place among all others: by when it happened, then by when it was recorded.
struct Placed {
    place: (Timestamp, Position),
    event: TimelineEvent,
}

impl PartialEq for Placed {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Placed {}

impl PartialOrd for Placed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Placed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place.cmp(&other.place)
    }
}

/// The newest entries of a history that may be much longer.
struct Newest {
    room: usize,
    oldest_first: BinaryHeap<Reverse<Placed>>,
    total: u64,
}

impl Newest {
    fn add(&mut self, placed: Placed) {
        self.total += 1;
        self.oldest_first.push(Reverse(placed));
        if self.oldest_first.len() > self.room {
            self.oldest_first.pop();
        }
    }

    /// What is left after the `offset` newest, newest first.
    fn page(self, offset: usize) -> Timeline {
        let sorted = self.oldest_first.into_sorted_vec();
        let events = sorted.into_iter().skip(offset).map(|Reverse(placed)| placed.event).collect();
        Timeline { events, total: self.total }
    }
}

/// What a record shows as: an application event, or an announced transition, which is one too (BK-100, BK-110).
fn shown(id: RecordId, event: ContactEvent) -> Option<TimelineEvent> {
    let transition = |verb: &str, bucket: &BucketId, at, properties: serde_json::Value| TimelineEvent {
        id,
        at,
        name: format_compact!("bucket:{verb}:{bucket}"),
        source: Source::Bucket,
        properties: properties.as_object().cloned().unwrap_or_default(),
    };
    match event {
        ContactEvent::EventRecorded(event) => {
            let EventRecorded { name, occurred_at: at, properties, source, .. } = event;
            Some(TimelineEvent { id, at, name, properties, source })
        }
        ContactEvent::BucketEntered(entered) if entered.announced => {
            let properties = json!({
                "bucketId": entered.bucket, "bucketName": entered.bucket_name, "userId": entered.user_key,
                "transition": "entered", "source": entered.source.as_str(), "entryCount": entered.epoch,
            });
            Some(transition("entered", &entered.bucket, entered.at, properties))
        }
        ContactEvent::BucketLeft(left) if left.announced => {
            let properties = json!({
                "bucketId": left.bucket, "bucketName": left.bucket_name, "userId": left.user_key,
                "transition": "left", "source": left.source.as_str(), "entryCount": left.epoch,
                "reason": left.reason.as_str(),
            });
            Some(transition("left", &left.bucket, left.at, properties))
        }
        ContactEvent::BucketDwelled(dwelled) => {
            let properties = json!({
                "bucketId": dwelled.bucket, "bucketName": dwelled.bucket_name, "userId": dwelled.user_key,
                "transition": "dwell", "source": dwelled.source.as_str(), "entryCount": dwelled.epoch,
                "dwellCount": dwelled.ordinal,
            });
            let mut shown = transition("dwell", &dwelled.bucket, dwelled.at, properties);
            shown.name = format_compact!("{}:{}", shown.name, dwelled.label);
            Some(shown)
        }
        _ => None,
    }
}

impl Engine {
    /// The events of a contact and of all it absorbed, newest `occurredAt` first; `None` if nobody answers for the id.
    /// Takes time in proportion to the whole history, and memory for `offset + limit` events.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn timeline(
        &self,
        contact: ContactId,
        limit: usize,
        offset: usize,
    ) -> Result<Option<Timeline>, EngineError> {
        let Some(state) = self.state(contact).await? else { return Ok(None) };
        let mut newest =
            Newest { room: offset.saturating_add(limit), oldest_first: BinaryHeap::new(), total: 0 };
        for member in state.id.iter().chain(&state.aliases) {
            self.read_history(*member, &mut newest).await?;
        }
        Ok(Some(newest.page(offset)))
    }

    async fn read_history(&self, contact: ContactId, newest: &mut Newest) -> Result<(), EngineError> {
        let unreadable = |error: &dyn std::fmt::Display| EngineError::LogFailed(error.to_string());
        let mut pages = Pages::of(&**self.log(), StreamName::contact(contact));
        while let Some(records) = pages.next().await.map_err(|error| unreadable(&error))? {
            for record in &records {
                let event = ContactEvent::decode(&record.event_type, record.schema_version, &record.payload)
                    .map_err(|error| unreadable(&error))?;
                if let Some(event) = shown(record.id, event) {
                    newest.add(Placed { place: (event.at, record.position), event });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use compact_str::CompactString;
    use mainspring_schemas::{
        Properties, StayId,
        event::contact::{BucketDwelled, TransitionSource},
    };

    use super::*;

    #[test]
    fn bk_110_a_dwell_shows_as_the_event_it_is() {
        let at = Timestamp(7);
        let bucket = BucketId::new("b").unwrap();
        let dwelled = BucketDwelled {
            at,
            stay: StayId::of(ContactId(uuid::Uuid::nil()), &bucket, 2),
            bucket,
            bucket_name: "B".to_owned(),
            epoch: 2,
            label: "every-5".into(),
            ordinal: 3,
            source: TransitionSource::Reconcile,
            user_key: "u".into(),
            email: None,
        };
        let shown = shown(RecordId(uuid::Uuid::nil()), ContactEvent::BucketDwelled(dwelled)).unwrap();
        assert_eq!((shown.name.as_str(), shown.at), ("bucket:dwell:b:every-5", at));
        let expected = json!({
            "bucketId": "b", "bucketName": "B", "userId": "u", "transition": "dwell", "source": "reconcile",
            "entryCount": 2, "dwellCount": 3,
        });
        assert_eq!(serde_json::Value::Object(shown.properties), expected);
    }

    #[test]
    fn ct_85_a_page_holds_the_newest_and_counts_all() {
        let mut newest = Newest { room: 3, oldest_first: BinaryHeap::new(), total: 0 };
        for (at, position) in [(5, 0), (1, 1), (5, 2), (9, 3), (2, 4)] {
            let event = TimelineEvent {
                id: RecordId(uuid::Uuid::from_u128(position.into())),
                at: Timestamp(at),
                name: CompactString::const_new("x"),
                properties: Properties::new(),
                source: Source::Api,
            };
            newest.add(Placed { place: (event.at, position), event });
        }
        let page = newest.page(1);
        let positions: Vec<u128> = page.events.iter().map(|event| event.id.0.as_u128()).collect();
        assert_eq!((positions, page.total), (vec![2, 0], 5));
    }
}
