//! Headers of every response: request id, security, cross-origin rules, what is worth compressing (HT-40..HT-43).

use actix_web::{
    Error, HttpMessage, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
};
use uuid::Uuid;

use crate::{admin::PLANE, auth::Budget};

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

/// The id of a request on the admin plane, for the audit trail.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub String);

/// A caller's request id, if it is in order (HT-40).
fn given_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let value = headers.get(&REQUEST_ID)?;
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'=' | b'-');
    (!value.is_empty() && value.len() <= 255 && value.as_bytes().iter().all(plain)).then(|| value.clone())
}

fn is_open(path: &str) -> bool {
    ["/v1/events", "/v1/contacts", "/v1/health", "/v1/t/"].iter().any(|open| path.starts_with(open))
}

/// Answers shorter than this, in bytes, are not compressed: that would cost more than it saves.
const WORTH_COMPRESSING: u64 = 1024;

/// The encoding that changes nothing.
const IDENTITY: &str = "identity";

/// Marks short answers as not to be compressed (HT-43); [`stamp`] takes the mark off again.
pub(crate) async fn leave_small(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut response = next.call(request).await?;
    if matches!(response.response().body().size(), BodySize::Sized(length) if length < WORTH_COMPRESSING) {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(IDENTITY));
    }
    Ok(response)
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
    let id = given_id(request.headers()).or_else(|| HeaderValue::from_str(&fresh_id()).ok());
    if request.path().starts_with(PLANE)
        && let Some(id) = id.as_ref().and_then(|id| id.to_str().ok())
    {
        request.extensions_mut().insert(RequestId(id.to_owned()));
    }
    let mut response = next.call(request).await?.map_into_boxed_body();
    let budget = response.request().extensions().get::<Budget>().copied();
    let headers = response.headers_mut();
    if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding == IDENTITY) {
        headers.remove(header::CONTENT_ENCODING);
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(Budget { limit, remaining, reset }) = budget {
        headers.insert(HeaderName::from_static("x-ratelimit-limit"), HeaderValue::from(limit));
        headers.insert(HeaderName::from_static("x-ratelimit-remaining"), HeaderValue::from(remaining));
        headers.insert(HeaderName::from_static("x-ratelimit-reset"), HeaderValue::from(reset));
    }
    for (name, value) in SECURITY {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Some(id) = &id {
        headers.insert(REQUEST_ID, id.clone());
    }
    if open {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        let exposed = "X-Request-Id, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining";
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
    }
    let failed = response.status().is_client_error() || response.status().is_server_error();
    Ok(match id.as_ref().and_then(|id| id.to_str().ok()).filter(|_| failed) {
        Some(id) => response.map_body(|_, body| with_id(body, id)),
        None => response,
    })
}

/// An error's body with the request's id in it, so that a report names what the logs name (HT-34).
fn with_id(body: BoxBody, id: &str) -> BoxBody {
    let bytes = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(body) => return body,
    };
    match serde_json::from_slice(&bytes) {
        Ok(serde_json::Value::Object(mut members)) => {
            members.insert("requestId".to_owned(), id.into());
            BoxBody::new(serde_json::Value::Object(members).to_string())
        }
        _ => BoxBody::new(bytes),
    }
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
