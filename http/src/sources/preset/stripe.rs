//! Stripe: customers, subscriptions, invoices (section 8).

use std::sync::LazyLock;

use mainspring_schemas::{
    Properties,
    source::{Member, Mismatch, Shape},
};
use serde_json::Value;

use super::{filled, object, properties, seconds, set, stripe_properties, text};
use crate::sources::event::{Mapped, ProviderKey, SourceEvent};

static PAYLOAD: LazyLock<Shape> = LazyLock::new(|| {
    Shape::map([
        Member::required("id", Shape::Text),
        Member::required("type", Shape::Text),
        Member::required("data", Shape::map([Member::required("object", Shape::map([]))])),
    ])
});

/// The members of the object that are read; `customer` is looked at by hand, since it may be expanded.
static OBJECT: LazyLock<Shape> = LazyLock::new(|| {
    let optional_text = |key| Member::optional(key, Shape::Text);
    let object = Shape::map([
        optional_text("id"),
        optional_text("object"),
        optional_text("email"),
        optional_text("customer_email"),
        optional_text("name"),
        optional_text("phone"),
        Member::optional("metadata", Shape::map([])),
    ]);
    Shape::map([Member::required("data", Shape::map([Member::required("object", object)]))])
});

/// What an event is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Customer,
    Subscription,
    Invoice,
}

/// WS-85 to WS-89.
fn event(kind: &str) -> Option<(String, About)> {
    let customer = match kind {
        "customer.created" => Some("contact.created"),
        "customer.updated" => Some("contact.updated"),
        "customer.deleted" => Some("contact.deleted"),
        _ => None,
    };
    if let Some(name) = customer {
        return Some((name.to_owned(), About::Customer));
    }
    if let Some(action) = kind.strip_prefix("customer.subscription.") {
        return Some((format!("subscription.{action}"), About::Subscription));
    }
    kind.starts_with("invoice.").then(|| (kind.to_owned(), About::Invoice))
}

pub(super) fn map(payload: &Value, user_id_key: Option<&str>) -> Mapped {
    if let Err(mismatch) = PAYLOAD.check(payload) {
        return mismatch.into();
    }
    let kind = text(payload, "type").unwrap_or_default();
    let Some((name, about)) = event(kind) else { return Mapped::Skipped("type") };
    if let Err(mismatch) = OBJECT.check(payload) {
        return mismatch.into();
    }
    let subject = &payload["data"]["object"];
    let customer = subject.get("customer").filter(|customer| !customer.is_null());
    let expanded = customer.filter(|customer| customer.is_object());
    if customer.is_some_and(|customer| !customer.is_object() && !customer.is_string()) {
        return Mismatch::of("data", "object.customer: Invalid input: expected string or object").into();
    }
    let id = match about {
        About::Customer => filled(subject, "id"),
        _ => expanded.map_or_else(|| filled(subject, "customer"), |customer| filled(customer, "id")),
    };
    let Some(id) = id else { return Mapped::Skipped("identity") };
    let email = filled(subject, "email")
        .or_else(|| filled(subject, "customer_email"))
        .or_else(|| filled(expanded?, "email"));
    let mut event_properties = properties([
        ("source", "stripe"),
        ("stripeCustomerId", id),
        ("stripeEventId", text(payload, "id").unwrap_or_default()),
        ("_stripeEvent", kind),
    ]);
    set(&mut event_properties, "stripeObject", text(subject, "object"));
    set(&mut event_properties, "livemode", payload.get("livemode").filter(|value| !value.is_null()).cloned());
    stripe_properties::add(&mut event_properties, about, subject);
    let profile = about == About::Customer && kind != "customer.deleted";
    let user_id = user_id_key.and_then(|key| {
        let own = |value: &Value| filled(value.get("metadata")?, key).map(str::to_owned);
        own(subject).or_else(|| own(expanded?))
    });
    SourceEvent {
        event: name,
        user_id: Some(id.to_owned()),
        email: email.map(str::to_owned),
        provider_key: Some(ProviderKey { id: id.to_owned(), user_id }),
        event_properties,
        contact_properties: if profile { customer_profile(subject, id) } else { Properties::new() },
        idempotency_key: text(payload, "id").map(str::to_owned),
        occurred_at: seconds(payload.get("created")),
        ..SourceEvent::default()
    }
    .into()
}

/// WS-101.
fn customer_profile(customer: &Value, id: &str) -> Properties {
    let mut profile = object(customer, "metadata");
    set(&mut profile, "name", text(customer, "name"));
    set(&mut profile, "phone", text(customer, "phone"));
    set(&mut profile, "stripeCustomerId", Some(id));
    profile
}
