//! Headers of every response: request id, security, cross-origin rules (HT-40..HT-42).

use actix_web::{
    Error, HttpMessage, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
};
use uuid::Uuid;

use crate::auth::Budget;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const SECURITY: [(&str, &str); 10] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "SAMEORIGIN"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("origin-agent-cluster", "?1"),
    ("x-dns-prefetch-control", "off"),
    ("x-download-options", "noopen"),
    ("x-permitted-cross-domain-policies", "none"),
    ("x-xss-protection", "0"),
];

/// A caller's request id, if it is in order (HT-40).
fn given_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let value = headers.get(&REQUEST_ID)?;
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'=' | b'-');
    (!value.is_empty() && value.len() <= 255 && value.as_bytes().iter().all(plain)).then(|| value.clone())
}

fn is_open(path: &str) -> bool {
    path.starts_with("/v1/events") || path.starts_with("/v1/contacts") || path.starts_with("/v1/health")
}

/// Puts the headers on every response and answers preflights.
pub(crate) async fn stamp(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let open = is_open(request.path());
    if open && request.method() == Method::OPTIONS {
        let mut preflight = HttpResponse::NoContent();
        preflight.insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"));
        preflight.insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET,HEAD,PUT,POST,DELETE,PATCH"));
        preflight.insert_header((header::ACCESS_CONTROL_MAX_AGE, "600"));
        if let Some(asked) = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            preflight.insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone()));
        }
        return Ok(request.into_response(preflight.finish()));
    }
    let id = given_id(request.headers());
    let mut response = next.call(request).await?.map_into_boxed_body();
    let budget = response.request().extensions().get::<Budget>().copied();
    let headers = response.headers_mut();
    if let Some(Budget { limit, remaining }) = budget {
        headers.insert(HeaderName::from_static("x-ratelimit-limit"), HeaderValue::from(limit));
        headers.insert(HeaderName::from_static("x-ratelimit-remaining"), HeaderValue::from(remaining));
    }
    for (name, value) in SECURITY {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Some(id) = id.or_else(|| HeaderValue::from_str(&fresh_id()).ok()) {
        headers.insert(REQUEST_ID, id);
    }
    if open {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        let exposed = "X-Request-Id, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining";
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
    }
    Ok(response)
}

thread_local! {
    static IDS: std::cell::RefCell<mainspring_actors::entropy::Entropy> = std::cell::RefCell::default();
}

fn fresh_id() -> String {
    let bytes = IDS.with(|ids| ids.borrow_mut().bytes());
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// The trace of a request: its id if that is a UUID.
pub(crate) fn trace(headers: &HeaderMap) -> Option<Uuid> {
    headers.get(&REQUEST_ID)?.to_str().ok()?.parse().ok()
}
