//! PostHog: events of a webhook destination (section 10).

use std::sync::LazyLock;

use mainspring_schemas::source::{Member, Mismatch, Shape};
use serde_json::Value;

use super::{filled, instant, object, set, text};
use crate::sources::event::{Mapped, SourceEvent};

static PAYLOAD: LazyLock<Shape> = LazyLock::new(|| {
    let event = Shape::map([
        Member::optional("uuid", Shape::Text),
        Member::required("event", Shape::Text),
        Member::required("distinct_id", Shape::Text),
        Member::optional("properties", Shape::map([])),
    ]);
    let person = Shape::map([Member::optional("properties", Shape::map([]))]);
    Shape::map([Member::required("event", event), Member::optional("person", person)])
});

pub(super) fn map(payload: &Value, library_name: &str) -> Mapped {
    if let Err(mismatch) = PAYLOAD.check(payload) {
        return mismatch.into();
    }
    let event = &payload["event"];
    let mut event_properties = object(event, "properties");
    if event_properties.get("$lib").and_then(Value::as_str) == Some(library_name) {
        return Mapped::Skipped("echo");
    }
    let Some(name) = filled(event, "event") else {
        return Mismatch::of("event", "event: must not be empty").into();
    };
    let Some(id) = filled(event, "distinct_id").map(str::to_owned) else {
        return Mapped::Skipped("identity");
    };
    let is_anonymous = match event_properties.get("$is_identified") {
        Some(Value::Bool(identified)) => !identified,
        Some(Value::String(identified)) => identified == "false",
        _ => false,
    };
    let (user_id, anonymous_id) = if is_anonymous { (None, Some(id)) } else { (Some(id), None) };
    let uuid = filled(event, "uuid");
    set(&mut event_properties, "_posthogEventId", uuid);
    let contact_properties =
        payload.get("person").map(|person| object(person, "properties")).unwrap_or_default();
    let email = payload.get("person").and_then(|person| text(person.get("properties")?, "email"));
    SourceEvent {
        event: name.to_owned(),
        user_id,
        anonymous_id,
        email: email.filter(|email| !email.is_empty()).map(str::to_owned),
        event_properties,
        contact_properties,
        idempotency_key: uuid.map(|uuid| format!("posthog:{uuid}")),
        occurred_at: instant(event.get("timestamp")),
        ..SourceEvent::default()
    }
    .into()
}
