//! Clerk: users and waiting lists (section 6).

use std::sync::LazyLock;

use mainspring_schemas::{
    Properties, Timestamp,
    source::{Member, Shape},
};
use serde_json::Value;

use super::{filled, object, properties, set, text};
use crate::sources::event::{Mapped, SourceEvent};

static PAYLOAD: LazyLock<Shape> = LazyLock::new(|| {
    Shape::map([
        Member::required("type", Shape::Text),
        Member::optional("data", Shape::map([])),
        Member::optional("timestamp", Shape::Number),
    ])
});

/// The members of `data` that are read, by what a known type must have.
static PERSON: LazyLock<Shape> = LazyLock::new(|| {
    Shape::map([Member::optional(
        "data",
        Shape::map([
            Member::optional("id", Shape::Text),
            Member::optional("email_addresses", Shape::List),
            Member::optional("primary_email_address_id", Shape::Text),
            Member::optional("public_metadata", Shape::map([])),
            Member::optional("email_address", Shape::Text),
        ]),
    )])
});

pub(super) fn map(payload: &Value) -> Mapped {
    if let Err(mismatch) = PAYLOAD.check(payload) {
        return mismatch.into();
    }
    let kind = text(payload, "type").unwrap_or_default();
    let event = match kind {
        "user.created" => "contact.created",
        "user.updated" => "contact.updated",
        "user.deleted" => "contact.deleted",
        "waitlistEntry.created" => "waitlist.joined",
        _ => return Mapped::Skipped("type"),
    };
    if let Err(mismatch) = PERSON.check(payload) {
        return mismatch.into();
    }
    let data = payload.get("data").unwrap_or(&Value::Null);
    let occurred_at = payload.get("timestamp").and_then(Value::as_i64).map(Timestamp);
    let mapped = if kind == "waitlistEntry.created" { waiting(data) } else { user(data, kind) };
    let Some(mut mapped) = mapped else { return Mapped::Skipped("identity") };
    set(&mut mapped.event_properties, "_clerkEvent", Some(kind));
    SourceEvent { event: event.to_owned(), occurred_at, ..mapped }.into()
}

/// WS-65 to WS-69.
fn user(data: &Value, kind: &str) -> Option<SourceEvent> {
    let id = filled(data, "id")?;
    let contact_properties = if kind == "user.deleted" { Properties::new() } else { profile(data, id) };
    Some(SourceEvent {
        user_id: Some(id.to_owned()),
        email: address(data).map(str::to_owned),
        event_properties: properties([("source", "clerk"), ("clerkUserId", id)]),
        contact_properties,
        ..SourceEvent::default()
    })
}

/// WS-70: the entry's own id is nobody's id, unless there is nothing else.
fn waiting(data: &Value) -> Option<SourceEvent> {
    let email = filled(data, "email_address").map(str::to_owned);
    let user_id = if email.is_some() { None } else { Some(filled(data, "id")?.to_owned()) };
    let event_properties = properties([("source", "clerk")]);
    Some(SourceEvent { user_id, email, event_properties, ..SourceEvent::default() })
}

/// WS-66: the primary address, else the first.
fn address(data: &Value) -> Option<&str> {
    let addresses = data.get("email_addresses")?.as_array()?;
    let primary = text(data, "primary_email_address_id");
    let by_id = addresses.iter().find(|address| primary.is_some() && text(address, "id") == primary);
    filled(by_id.or_else(|| addresses.first())?, "email_address")
}

/// WS-67: private and unsafe metadata are never read.
fn profile(data: &Value, id: &str) -> Properties {
    let mut profile = object(data, "public_metadata");
    set(&mut profile, "firstName", text(data, "first_name"));
    set(&mut profile, "lastName", text(data, "last_name"));
    set(&mut profile, "avatarUrl", filled(data, "image_url").or_else(|| filled(data, "profile_image_url")));
    set(&mut profile, "clerkUserId", Some(id));
    profile
}
