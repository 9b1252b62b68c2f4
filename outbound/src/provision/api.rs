//! The part of PostHog's API that is needed; every answer is read up to a limit.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::Value;

use super::fault::Fault;
use crate::exchange::{Fetch, Request};

/// Destinations per page of the listing.
const PAGE: usize = 100;

/// Most pages that are read.
const MOST_PAGES: usize = 10;

/// Most bytes of an answer.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// A personal key that cannot stand in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a personal API key")]
pub struct InvalidKey;

/// PostHog, as one account sees it.
pub(super) struct Api {
    fetch: Arc<dyn Fetch>,
    host: String,
    authorization: HeaderValue,
}

impl Api {
    pub fn new(fetch: Arc<dyn Fetch>, host: &str, personal_key: &str) -> Result<Self, InvalidKey> {
        let authorization = HeaderValue::try_from(format!("Bearer {}", personal_key.trim()));
        let mut authorization = authorization.map_err(|_| InvalidKey)?;
        authorization.set_sensitive(true);
        Ok(Self { fetch, host: host.to_owned(), authorization })
    }

    /// Reads a path.
    pub async fn get(&self, path: &str) -> Result<Value, Fault> {
        self.call(Method::GET, path, None).await
    }

    /// All destinations of a project, without what they are told.
    pub async fn list(&self, project: u64) -> Result<Vec<Value>, Fault> {
        let mut listed = Vec::new();
        for _ in 0..MOST_PAGES {
            let query = format!("type=destination&limit={PAGE}&offset={}", listed.len());
            let page = self.get(&format!("/api/projects/{project}/hog_functions/?{query}")).await?;
            let is_last = page["next"].is_null();
            let results = results(page)?;
            let is_last = is_last || results.is_empty();
            listed.extend(results);
            if is_last {
                break;
            }
        }
        Ok(listed)
    }

    /// One destination, whole.
    pub async fn read(&self, project: u64, id: &str) -> Result<Value, Fault> {
        self.get(&format!("/api/projects/{project}/hog_functions/{id}/")).await
    }

    /// Makes a destination.
    pub async fn create(&self, project: u64, destination: &Value) -> Result<Value, Fault> {
        self.call(Method::POST, &format!("/api/projects/{project}/hog_functions/"), Some(destination)).await
    }

    /// Changes some members of a destination.
    pub async fn update(&self, project: u64, id: &str, patch: &Value) -> Result<Value, Fault> {
        self.call(Method::PATCH, &format!("/api/projects/{project}/hog_functions/{id}/"), Some(patch)).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let url = format!("{}{path}", self.host);
        let request = Request { method, ..Request::post(url, headers, body) };
        let answer = self.fetch.fetch(request, MOST_BYTES).await.map_err(Fault::no_answer)?;
        if !(200..300).contains(&answer.status) {
            return Err(Fault::refused(answer.status, &answer.body));
        }
        if !answer.is_whole {
            return Err(Fault::too_long());
        }
        serde_json::from_slice(&answer.body).map_err(|_| Fault::foreign())
    }
}

/// The items of one page of a listing.
pub(super) fn results(mut page: Value) -> Result<Vec<Value>, Fault> {
    match page.get_mut("results").map(Value::take) {
        Some(Value::Array(results)) => Ok(results),
        _ => Err(Fault::foreign()),
    }
}

/// The id of a destination, which may stand in a path.
pub(super) fn id(destination: &Value) -> Result<&str, Fault> {
    let is_plain = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    destination["id"].as_str().filter(is_plain).ok_or_else(Fault::foreign)
}
