//! The headers of a callback as verification sees them.

use std::collections::BTreeMap;

use actix_web::http::header::HeaderMap;
use serde_json::Value;

/// Longest value that is looked at, in bytes (WS-96).
const LONGEST_VALUE: usize = 8 * 1024;

/// Headers by their names in lower case; values of a repeated header are joined (WS-06).
#[derive(Clone, Debug, Default)]
pub struct Headers(BTreeMap<String, String>);

impl Headers {
    /// The value, unless it is absent or too long to be looked at.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| value.len() <= LONGEST_VALUE)
    }

    /// Whether the header is there, whatever its value.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The headers as a JSON object, without those named.
    pub fn to_value<'n>(&self, without: impl Iterator<Item = &'n str>) -> Value {
        let hidden: Vec<&str> = without.collect();
        let shown = self.0.iter().filter(|(name, _)| !hidden.contains(&name.as_str()));
        Value::Object(shown.map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect())
    }

    fn add(&mut self, name: &str, value: &str) {
        let joined = self.0.entry(name.to_ascii_lowercase()).or_default();
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(value);
    }
}

impl From<&HeaderMap> for Headers {
    fn from(map: &HeaderMap) -> Self {
        let mut headers = Self::default();
        for (name, value) in map {
            headers.add(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
        }
        headers
    }
}

impl<'h> FromIterator<(&'h str, &'h str)> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'h str, &'h str)>>(pairs: I) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            headers.add(name, value);
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ws_06_names_in_lower_case_and_repeats_joined() {
        let headers: Headers = [("X-One", "a"), ("x-one", "b"), ("Cookie", "c")].into_iter().collect();
        assert_eq!(headers.get("x-one"), Some("a, b"));
        assert_eq!(headers.to_value(["cookie"].into_iter()), serde_json::json!({"x-one": "a, b"}));
    }

    #[test]
    fn ws_96_long_values_are_there_but_not_looked_at() {
        let long = "x".repeat(LONGEST_VALUE + 1);
        let headers: Headers = [("a", long.as_str()), ("b", &long[1..])].into_iter().collect();
        assert!(headers.has("a") && headers.get("a").is_none() && headers.get("b").is_some());
    }
}
