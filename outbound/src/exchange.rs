//! One request and what came back of it, as the worker sees them. [`crate::client`] makes real ones.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{Method, header::HeaderMap};

use crate::outcome::Failure;

/// How many bytes of an answer are stored (OB-115).
const SNIPPET_BYTES: usize = 1024;

/// A request about to leave, with these very bytes as its body (OB-53, OB-110).
#[derive(Clone, Debug)]
pub struct Request {
    /// How; `POST` unless the destination wants it otherwise.
    pub method: Method,
    /// Where to; checked by whoever sends it.
    pub url: String,
    /// Headers of the destination, in addition to the sender's own (OB-111).
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// What decides whether an answer is a success; without it every 2xx is one (OB-140).
    pub classifier: Option<Classifier>,
}

impl Request {
    /// A `POST` whose answer is judged by its status alone.
    pub fn post(url: impl Into<String>, headers: HeaderMap, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, url: url.into(), headers, body: body.into(), classifier: None }
    }
}

/// A destination's own verdict about an answer, by its status and the first 64 KiB of its body (OB-201).
#[derive(Clone)]
pub struct Classifier(Arc<Verdict>);

type Verdict = dyn Fn(u16, &[u8]) -> bool + Send + Sync;

impl Classifier {
    /// A verdict; it must be pure.
    pub fn new(accepts: impl Fn(u16, &[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(accepts))
    }

    /// Whether the answer is a success.
    pub fn accepts(&self, status: u16, body: &[u8]) -> bool {
        (self.0)(status, body)
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Classifier")
    }
}

/// The part of an answer that matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its `Retry-After`, as sent.
    pub retry_after: Option<String>,
    /// Its first bytes as text (OB-115); `None` if there are none or none are kept.
    pub snippet: Option<String>,
    /// The verdict of the request's classifier, if it has one.
    pub accepted: Option<bool>,
}

/// Sends requests.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends one request and waits for the whole answer, within the limits of section 7. Dropping the future
    /// abandons the request.
    async fn send(&self, request: Request) -> Result<Response, Failure>;
}

/// A whole answer, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Its status.
    pub status: u16,
    /// Its body, or the beginning of it.
    pub body: Vec<u8>,
    /// Whether the body ended before the limit.
    pub is_whole: bool,
}

/// Asks questions whose answers matter.
#[async_trait]
pub trait Fetch: Send + Sync + 'static {
    /// Sends one request and reads at most `most` bytes of the answer's body, within the limits of section 7.
    async fn fetch(&self, request: Request, most: usize) -> Result<Fetched, Failure>;
}

/// The first bytes of a body as text: at most 1024, cut at a character boundary, what is no text replaced, and
/// without NUL, which some databases refuse.
pub fn snippet(body: &[u8]) -> Option<String> {
    let mut text = String::new();
    let cut = body.len() > SNIPPET_BYTES;
    let mut chunks = body[..body.len().min(SNIPPET_BYTES)].utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        text.push_str(chunk.valid());
        let split_by_us = cut && chunks.peek().is_none();
        if !chunk.invalid().is_empty() && !split_by_us {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    let mut text = text.replace('\0', "\u{fffd}");
    text.truncate(text.floor_char_boundary(SNIPPET_BYTES));
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ob_115_snippets_are_cut_between_characters() {
        assert_eq!(snippet(b""), None);
        assert_eq!(snippet(b"ok").unwrap(), "ok");
        let text = format!("{}é and more", "a".repeat(1023));
        assert_eq!(snippet(text.as_bytes()).unwrap(), "a".repeat(1023));
        assert_eq!(snippet(b"a\0b\xffc").unwrap(), "a\u{fffd}b\u{fffd}c");
    }

    proptest! {
        #[test]
        fn ob_115_snippets_are_short_and_without_nul(body: Vec<u8>, repeat in 0_usize..40) {
            let text = snippet(&body.repeat(repeat)).unwrap_or_default();
            prop_assert!(text.len() <= 1024 && !text.contains('\0'));
        }
    }
}
