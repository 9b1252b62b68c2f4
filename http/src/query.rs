//! Query parameters: decoded once, numbers and words strictly (HT-09), repeats refused (HT-08).

use actix_web::{HttpRequest, web::Query};
use mainspring_schemas::Timestamp;

use crate::{error::ApiError, issues::Issues};

/// The parameters of one request.
pub struct Parameters {
    pairs: Vec<(String, String)>,
    /// What is wrong so far.
    pub issues: Issues,
}

impl Parameters {
    /// Decodes the query string; a repeated key is an issue.
    pub fn of(request: &HttpRequest) -> Self {
        let pairs = Query::<Vec<(String, String)>>::from_query(request.query_string());
        let pairs = pairs.map(Query::into_inner).unwrap_or_default();
        let mut issues = Issues::default();
        for (index, (key, _)) in pairs.iter().enumerate() {
            if pairs[..index].iter().any(|(earlier, _)| earlier == key) {
                issues.custom(key, "must be given once");
            }
        }
        Self { pairs, issues }
    }

    /// A text; empty counts as absent (HT-61).
    pub fn text(&self, key: &str) -> Option<&str> {
        let value = self.pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }

    /// A text of at most `maximum` characters without U+0000 (HT-10, HT-53).
    pub fn key(&mut self, key: &str, maximum: u64) -> Option<String> {
        let text = self.text(key)?.to_owned();
        if text.chars().count() as u64 > maximum {
            self.issues.too_big(key, "string", maximum);
        } else if text.contains('\0') {
            self.issues.custom(key, "must not contain U+0000");
        }
        Some(text)
    }

    /// Whether the key is given at all.
    pub fn has(&self, key: &str) -> bool {
        self.pairs.iter().any(|(name, _)| name == key)
    }

    /// A decimal integer between the bounds.
    pub fn integer(&mut self, key: &str, default: u64, minimum: u64, maximum: u64) -> u64 {
        let Some((_, text)) = self.pairs.iter().find(|(name, _)| name == key) else { return default };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<u64>().ok().filter(|_| digits) {
            None => self.issues.invalid_format(key, "integer"),
            Some(value) if value < minimum => self.issues.too_small(key, "number", minimum),
            Some(value) if value > maximum => self.issues.too_big(key, "number", maximum),
            Some(value) => return value,
        }
        default
    }

    /// The words `true` or `false`.
    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        match self.text(key)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.issues.invalid_value(key, &["true", "false"]);
                None
            }
        }
    }

    /// One of several words.
    pub fn word<'w>(&mut self, key: &str, words: &[&'w str]) -> Option<&'w str> {
        let text = self.text(key)?.to_owned();
        let known = words.iter().copied().find(|word| *word == text);
        if known.is_none() {
            self.issues.invalid_value(key, words);
        }
        known
    }

    /// An instant.
    pub fn instant(&mut self, key: &str) -> Option<Timestamp> {
        let instant = self.text(key)?.parse().ok();
        if instant.is_none() {
            self.issues.invalid_format(key, "datetime");
        }
        instant
    }

    /// `limit` and `offset` (HT-60).
    pub fn page(&mut self) -> (usize, usize) {
        let limit = self.integer("limit", 50, 1, 100);
        let offset = self.integer("offset", 0, 0, 10_000);
        (limit as usize, offset as usize)
    }

    /// Ends reading.
    ///
    /// # Errors
    /// 400 with everything that is wrong.
    pub fn check(&mut self) -> Result<(), ApiError> {
        std::mem::take(&mut self.issues).into_result(())
    }
}
