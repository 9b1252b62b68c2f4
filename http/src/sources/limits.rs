//! What an event of a source may look like: the limits of `POST /v1/events`, since it goes the same way (WS-15, WS-17).

use mainspring_schemas::{identity::is_email_shaped, source::Mismatch};

use super::event::SourceEvent;
use crate::{data::RESERVED, json::is_within_limits};

/// Longest name of an event, in characters.
const LONGEST_NAME: usize = 200;

/// Longest user id and idempotency key, in characters.
const LONGEST_ID: usize = 512;

/// Longest id of a visitor, in characters.
const LONGEST_ANONYMOUS_ID: usize = 200;

/// Whether only the engine may use the name.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|prefix| name.starts_with(prefix))
}

/// Checks an event. An address that cannot be one counts as unknown, since the person may be known otherwise.
pub(super) fn check(event: &mut SourceEvent) -> Result<(), Mismatch> {
    let fits = |text: Option<&str>, longest: usize| {
        text.is_none_or(|text| text.chars().count() <= longest && !text.contains('\0'))
    };
    let blank = |text: &String| !text.trim().is_empty();
    event.user_id = event.user_id.take().filter(blank);
    event.anonymous_id = event.anonymous_id.take().filter(blank);
    event.email = event.email.take().filter(|email| is_email_shaped(email.trim()));
    let own_id = event.provider_key.as_ref().and_then(|key| key.user_id.as_deref());
    let name = event.event.as_str();
    let named =
        fits(Some(name), LONGEST_NAME) && !name.trim().is_empty() && !name.chars().any(char::is_control);
    let problem = if !named {
        Some(("event", "the event's name is too long or holds control characters"))
    } else if !fits(event.user_id.as_deref(), LONGEST_ID) || !fits(own_id, LONGEST_ID) {
        Some(("userId", "the user id is too long or holds U+0000"))
    } else if !fits(event.anonymous_id.as_deref(), LONGEST_ANONYMOUS_ID) {
        Some(("anonymousId", "the anonymous id is too long or holds U+0000"))
    } else if !fits(event.idempotency_key.as_deref(), LONGEST_ID) {
        Some(("idempotencyKey", "the idempotency key is too long or holds U+0000"))
    } else if !is_within_limits(&event.event_properties) {
        Some(("eventProperties", "the properties have too many keys or levels"))
    } else if !is_within_limits(&event.contact_properties) {
        Some(("contactProperties", "the properties have too many keys or levels"))
    } else {
        None
    };
    problem.map_or(Ok(()), |(key, message)| Err(Mismatch::of(key, message)))
}
