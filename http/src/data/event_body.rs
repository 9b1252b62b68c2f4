//! The body of one event: the quick way for bodies in order, the thorough way for everything else.

use std::borrow::Cow;

use compact_str::CompactString;
use mainspring_actors::api::{Identity, IngestCall};
use mainspring_schemas::{Properties, Timestamp, event::contact::Source, identity::is_email_shaped};
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{error::ApiError, json::Members};

/// Event names from outside that only the engine may use (HT-56, IG-40, IG-41).
pub const RESERVED: [&str; 2] = ["bucket:", "journey:"];

/// How far in the future an event may be dated, in milliseconds (DP-09).
const FUTURE: i64 = 10 * 60_000;

/// One event as received, in order.
#[derive(Debug)]
pub struct EventBody {
    /// The call it makes.
    pub call: IngestCall,
    /// List standings asked for.
    pub lists: Vec<(String, bool)>,
}

/// The common case, read straight from the bytes without an intermediate tree.
#[derive(Deserialize)]
struct Plain<'b> {
    #[serde(borrow)]
    name: Cow<'b, str>,
    #[serde(borrow, default)]
    email: Option<Cow<'b, str>>,
    #[serde(borrow, default, rename = "userId")]
    user_id: Option<Cow<'b, str>>,
    #[serde(borrow, default, rename = "anonymousId")]
    anonymous_id: Option<Cow<'b, str>>,
    #[serde(default, rename = "eventProperties")]
    event_properties: Properties,
    #[serde(default, rename = "contactProperties")]
    contact_properties: Properties,
    #[serde(borrow, default, rename = "idempotencyKey")]
    idempotency_key: Option<Cow<'b, str>>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'b, str>>,
    #[serde(default)]
    lists: Option<Value>,
}

/// Whether a value is plain enough for the quick way: no nesting whose limits must be counted.
fn is_flat(properties: &Properties) -> bool {
    properties.len() <= 100 && properties.values().all(|value| !value.is_object() && !value.is_array())
}

fn is_plain_text(text: Option<&str>, maximum: usize) -> bool {
    text.is_none_or(|text| !text.is_empty() && text.len() <= maximum && !text.contains('\0'))
}

fn is_name(name: &str) -> bool {
    let length = name.chars().count();
    (1..=200).contains(&length) && !name.chars().any(char::is_control) && !name.trim().is_empty()
}

/// Reads an event the quick way; `None` if anything at all is unusual.
pub fn read_plain(body: &[u8], now: Timestamp, trace: Option<Uuid>) -> Option<Result<EventBody, ApiError>> {
    let plain: Plain<'_> = serde_json::from_slice(body).ok()?;
    let (email, user_id) = (plain.email.as_deref(), plain.user_id.as_deref());
    let usual = plain.lists.is_none()
        && is_name(&plain.name)
        && is_plain_text(email, 320)
        && email.is_none_or(is_email_shaped)
        && is_plain_text(user_id, 512)
        && is_plain_text(plain.anonymous_id.as_deref(), 200)
        && plain.idempotency_key.as_deref().is_none_or(|key| key.len() <= 512 && !key.contains('\0'))
        && is_flat(&plain.event_properties)
        && is_flat(&plain.contact_properties)
        // An explicit null is no absence (HT-05): the thorough way tells them apart.
        && !has_null(body);
    if !usual {
        return None;
    }
    let occurred_at = match plain.timestamp.as_deref().map(str::parse) {
        None => None,
        Some(Ok(instant)) => Some(instant),
        Some(Err(_)) => return None,
    };
    let call = IngestCall {
        identity: Identity::new(user_id, email, plain.anonymous_id.as_deref()),
        name: CompactString::from(plain.name),
        event_properties: plain.event_properties,
        contact_properties: plain.contact_properties,
        idempotency_key: plain.idempotency_key.filter(|key| !key.is_empty()).map(CompactString::from),
        occurred_at,
        source: Source::Api,
        existing_only: false,
        trace,
    };
    Some(check(EventBody { call, lists: Vec::new() }, now))
}

/// Whether the word stands anywhere, even inside a text: then the thorough way decides.
fn has_null(body: &[u8]) -> bool {
    body.windows(4).any(|window| window == b"null")
}

/// Reads an event the thorough way, with every issue noted.
///
/// # Errors
/// 400 as the specification words it.
pub fn read(
    mut members: Map<String, Value>,
    now: Timestamp,
    trace: Option<Uuid>,
) -> Result<EventBody, ApiError> {
    let mut reader = Members::new(&mut members);
    let name = read_name(&mut reader, "name");
    let email = reader.email("email");
    let user_id = reader.text("userId", false, 1, 512);
    let anonymous_id = reader.text("anonymousId", false, 1, 200);
    let event_properties = reader.properties("eventProperties").unwrap_or_default();
    let contact_properties = reader.properties("contactProperties").unwrap_or_default();
    let lists = reader.lists("lists").unwrap_or_default();
    let idempotency_key = reader.text("idempotencyKey", false, 0, 512).filter(|key| !key.is_empty());
    let occurred_at = reader.instant("timestamp");
    let name = reader.issues.into_result(name.unwrap_or_default())?;
    let call = IngestCall {
        identity: Identity::new(user_id.as_deref(), email.as_deref(), anonymous_id.as_deref()),
        name: CompactString::from(name),
        event_properties,
        contact_properties,
        idempotency_key: idempotency_key.map(CompactString::from),
        occurred_at,
        source: Source::Api,
        existing_only: false,
        trace,
    };
    check(EventBody { call, lists }, now)
}

/// Reads an event of an operator (IG-50).
///
/// # Errors
/// As [`read`].
pub fn read_of_operator(
    mut members: Map<String, Value>,
    now: Timestamp,
    trace: Option<Uuid>,
) -> Result<EventBody, ApiError> {
    let mut reader = Members::new(&mut members);
    let name = read_name(&mut reader, "event");
    let email = reader.email("userEmail");
    let user_id = reader.text("userId", false, 1, 512);
    let event_properties = reader.properties("properties").unwrap_or_default();
    let name = reader.issues.into_result(name.unwrap_or_default())?;
    let call = IngestCall {
        identity: Identity::new(user_id.as_deref(), email.as_deref(), None),
        name: CompactString::from(name),
        event_properties,
        contact_properties: Properties::new(),
        idempotency_key: None,
        occurred_at: None,
        source: Source::Api,
        existing_only: false,
        trace,
    };
    check(EventBody { call, lists: Vec::new() }, now)
}

fn read_name(reader: &mut Members<'_>, key: &str) -> Option<String> {
    let name = reader.text(key, true, 1, 200);
    if name.as_ref().is_some_and(|name| !name.is_empty() && name.chars().count() <= 200 && !is_name(name)) {
        reader.issues.custom(key, "must hold more than blanks and no control characters");
    }
    name
}

/// The rules that follow the schema.
fn check(body: EventBody, now: Timestamp) -> Result<EventBody, ApiError> {
    let call = &body.call;
    if RESERVED.iter().any(|prefix| call.name.starts_with(prefix)) {
        return Err(ApiError::BadRequest(format!("Event name is reserved: {}", call.name)));
    }
    if call.identity.external.is_none() && call.identity.email.is_none() {
        return Err(ApiError::BadRequest("email or userId is required".to_owned()));
    }
    if call.occurred_at.is_some_and(|at| at.since(now) > FUTURE) {
        return Err(ApiError::BadRequest("timestamp is more than 10 minutes in the future".to_owned()));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp(1_780_272_000_000);

    fn both(body: &Value) -> (Option<IngestCall>, Result<IngestCall, String>) {
        let bytes = serde_json::to_vec(body).unwrap();
        let plain = read_plain(&bytes, NOW, None).and_then(Result::ok).map(|body| body.call);
        let thorough = read(body.as_object().unwrap().clone(), NOW, None);
        (plain, thorough.map(|body| body.call).map_err(|error| error.to_string()))
    }

    #[test]
    fn the_quick_way_reads_what_the_thorough_way_reads() {
        for body in [
            json!({"name": "a", "userId": " u1 "}),
            json!({"name": "a", "email": "A@x.io", "eventProperties": {"n": 1, "t": "ü", "b": false}}),
            json!({"name": "a\"b", "userId": "u", "timestamp": "2026-05-01T00:00:00.5Z", "idempotencyKey": "", "x": 1}),
        ] {
            let (plain, thorough) = both(&body);
            assert_eq!(plain.unwrap(), thorough.unwrap(), "{body}");
        }
    }

    #[test]
    fn the_quick_way_leaves_everything_unusual_to_the_thorough_way() {
        for body in [
            json!({"name": "", "userId": "u"}),
            json!({"name": "  ", "userId": "u"}),
            json!({"name": "a\u{7}", "userId": "u"}),
            json!({"name": "a", "userId": ""}),
            json!({"name": "a", "userId": "u", "email": "nope"}),
            json!({"name": "a", "userId": "u", "email": null}),
            json!({"name": "a", "userId": "u", "timestamp": "yesterday"}),
            json!({"name": "a", "userId": "u", "anonymousId": "x".repeat(201)}),
            json!({"name": "a", "userId": "u\u{0}"}),
            json!({"name": 5, "userId": "u"}),
        ] {
            let (plain, thorough) = both(&body);
            assert!(plain.is_none() && thorough.is_err(), "{body}");
        }
        let (plain, thorough) =
            both(&json!({"name": "a", "userId": "u", "contactProperties": {"plan": null}}));
        assert!(plain.is_none() && thorough.is_ok(), "a null property is an order to remove it");
    }

    #[test]
    fn rules_of_the_route() {
        let text = |body: Value| both(&body).1.unwrap_err();
        assert_eq!(text(json!({"name": "x"})), "email or userId is required", "DP-10");
        assert_eq!(text(json!({"name": "x", "userId": " "})), "email or userId is required", "HT-11");
        assert_eq!(
            text(json!({"name": "bucket:entered:x", "userId": "u"})),
            "Event name is reserved: bucket:entered:x"
        );
        let late = json!({"name": "x", "userId": "u", "timestamp": "2026-06-01T00:10:00.001Z"});
        assert_eq!(text(late), "timestamp is more than 10 minutes in the future", "DP-09");
    }
}
