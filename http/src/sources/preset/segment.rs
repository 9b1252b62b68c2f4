//! Segment: `identify` and `track` (section 9). Batches are not accepted: only their first element is signed (WS-120).

use std::sync::LazyLock;

use mainspring_schemas::{
    Properties,
    source::{Member, Shape},
};
use serde_json::Value;

use super::{filled, instant, object, properties, set, text};
use crate::sources::event::{Mapped, SourceEvent};

static PAYLOAD: LazyLock<Shape> = LazyLock::new(|| {
    let traits = || Member::optional("traits", Shape::map([]));
    Shape::map([
        Member::required("type", Shape::Text),
        Member::optional("event", Shape::Text),
        Member::optional("messageId", Shape::Text),
        Member::optional("userId", Shape::Text),
        Member::optional("anonymousId", Shape::Text),
        traits(),
        Member::optional("properties", Shape::map([])),
        Member::optional("context", Shape::map([traits()])),
    ])
});

pub(super) fn map(payload: &Value) -> Mapped {
    if let Err(mismatch) = PAYLOAD.check(payload) {
        return mismatch.into();
    }
    let context = payload.get("context").unwrap_or(&Value::Null);
    let mut mapped = match text(payload, "type") {
        Some("identify") => SourceEvent {
            event_properties: properties([("source", "segment"), ("_segmentType", "identify")]),
            contact_properties: from_segment(traits(payload, context)),
            ..SourceEvent::named("contact.updated")
        },
        Some("track") => {
            let Some(name) = filled(payload, "event") else { return Mapped::Skipped("event") };
            let event_properties = from_segment(object(payload, "properties"));
            SourceEvent { event_properties, ..SourceEvent::named(name) }
        }
        _ => return Mapped::Skipped("type"),
    };
    mapped.user_id = filled(payload, "userId").map(str::to_owned);
    mapped.anonymous_id = filled(payload, "anonymousId").map(str::to_owned);
    if mapped.user_id.is_none() && mapped.anonymous_id.is_none() {
        return Mapped::Skipped("identity");
    }
    let address = |holder: &Value| filled(holder.get("traits")?, "email").map(str::to_owned);
    mapped.email = address(payload).or_else(|| address(context));
    mapped.idempotency_key = filled(payload, "messageId").map(str::to_owned);
    mapped.occurred_at = instant(payload.get("timestamp"));
    mapped.into()
}

/// Traits of the message, else of its context.
fn traits(payload: &Value, context: &Value) -> Properties {
    let own = payload.get("traits").is_some_and(Value::is_object);
    object(if own { payload } else { context }, "traits")
}

fn from_segment(mut properties: Properties) -> Properties {
    set(&mut properties, "source", Some("segment"));
    properties
}
