//! Definitions, switches and passes of buckets in a history.

use std::num::NonZeroU32;

use super::*;

impl History {
    pub fn define(&mut self, bucket: &str, hash: &str) {
        let id = BucketId::new(bucket).unwrap();
        let criteria: Criteria = serde_json::from_value(
            json!({"type": "property", "property": "plan", "operator": "eq", "value": "pro"}),
        )
        .unwrap();
        let definition = BucketDefinition::new(id.clone(), bucket.to_uppercase(), criteria);
        let at = self.now();
        let event =
            Defined { at, definition, criteria_hash: hash.to_owned(), re_evaluates: true, replans: false };
        self.append(StreamName::bucket(&id), BucketEvent::Defined(Box::new(event)).encode().unwrap());
    }

    pub(super) fn bucket(&mut self, whom: u8, spare: u8) {
        let name = BUCKETS[usize::from(whom) % BUCKETS.len()];
        let stream = StreamName::bucket(&BucketId::new(name).unwrap());
        let at = self.now();
        let purpose = if whom.is_multiple_of(3) { Purpose::Clocks } else { Purpose::Membership };
        let event = match spare % 7 {
            _ if !self.versions.contains_key(&stream) => return self.define(name, "h0"),
            0 => return self.define(name, "h1"),
            1 => BucketEvent::Retired(Retired { at }),
            2 => BucketEvent::Switched(Switched { at, enabled: whom.is_multiple_of(2) }),
            3 => BucketEvent::BackfillStarted(BackfillStarted {
                at,
                criteria_hash: "h1".to_owned(),
                total: 9,
                purpose,
            }),
            4 => {
                let cursor = ContactId(Uuid::from_u128(5));
                BucketEvent::BackfillAdvanced(BackfillAdvanced { at, cursor, processed: 4, purpose })
            }
            5 => BucketEvent::CatchUpPlanned(CatchUpPlanned {
                at,
                first: at,
                count: 3,
                per_minute: NonZeroU32::MIN,
            }),
            _ => BucketEvent::BackfillCompleted(BackfillCompleted {
                at,
                criteria_hash: "h1".to_owned(),
                processed: 9,
                purpose,
            }),
        };
        self.append(stream, event.encode().unwrap());
    }
}
