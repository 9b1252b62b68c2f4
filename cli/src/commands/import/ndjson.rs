//! One event per line, in the shape of `POST /v1/events` plus `timestamp`.

use compact_str::CompactString;
use mainspring_schemas::{Properties, Timestamp};
use serde::Deserialize;

use super::row::{Draft, Row};

/// Members that no one knows are ignored, as the data plane does (IG-02).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    name: CompactString,
    user_id: Option<String>,
    email: Option<String>,
    anonymous_id: Option<String>,
    timestamp: Option<Timestamp>,
    #[serde(default)]
    event_properties: Option<Properties>,
    #[serde(default)]
    contact_properties: Option<Properties>,
    idempotency_key: Option<CompactString>,
}

/// Reads one line.
pub fn parse(text: &str) -> Result<Row, String> {
    let line: Line = serde_json::from_str(text).map_err(|error| explain(&error))?;
    let draft = Draft {
        name: line.name,
        user_id: line.user_id,
        email: line.email,
        anonymous_id: line.anonymous_id,
        timestamp: line.timestamp,
        event_properties: line.event_properties.unwrap_or_default(),
        contact_properties: line.contact_properties.unwrap_or_default(),
        idempotency_key: line.idempotency_key.filter(|key| !key.is_empty()),
    };
    draft.checked()
}

/// What is wrong and where. Values the parser quotes may be somebody's data, so only its own words are passed on.
fn explain(error: &serde_json::Error) -> String {
    let column = error.column();
    match error.classify() {
        serde_json::error::Category::Data => {
            let message = error.to_string();
            let words = message.split(" at line ").next().unwrap_or_default();
            if words.starts_with("missing field") || words.starts_with("expected an ISO 8601") {
                format!("{words} (column {column})")
            } else {
                format!("a member has another type than `POST /v1/events` takes (column {column})")
            }
        }
        _ => format!("malformed JSON (column {column})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_events_with_a_timestamp() {
        let line = r#"{"name":"signed.up","userId":"u1","timestamp":"2026-06-01T02:00:00+02:00","eventProperties":{"plan":"pro"},"lists":{}}"#;
        let row = parse(line).unwrap();
        assert_eq!(row.at.unwrap().to_string(), "2026-06-01T00:00:00.000Z");
        assert_eq!(row.call.event_properties["plan"], "pro");
        let error = |text: &str| parse(text).unwrap_err();
        assert_eq!(error(r#"{"name":"a"}"#), "email or userId is required");
        assert_eq!(error(r#"{"name":"a","email":"nobody"}"#), "email: not an address");
        assert!(error(r#"{"userId":"u1"}"#).starts_with("missing field `name`"));
        assert!(
            error(r#"{"name":"a","userId":"u1","timestamp":"2026"}"#).starts_with("expected an ISO 8601")
        );
        assert!(error("{").starts_with("malformed JSON"));
        assert!(!error(r#"{"name":"a","userId":{"secret":1}}"#).contains("secret"));
    }
}
