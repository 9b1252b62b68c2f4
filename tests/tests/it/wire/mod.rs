//! What callers see on the wire: requests and their answers, by the ids of the contract.

mod access;
mod admin_contacts;
mod bucket_members;
mod buckets;
mod contact_buckets;
mod contacts;
mod conventions;
mod events;
mod foresight;
mod gzip;
mod identify;
mod policies;
mod scenarios;
mod webhooks;

use serde_json::{Value, json};

use crate::{
    http::Message,
    server::{Server, Site},
};

const DEFINITIONS: [(&str, &str); 2] = [
    (
        "a-buyers",
        "id: buyers\nname: Buyers\nenabled: true\ncriteria: {event: order.placed, count: {gte: 2}}\n",
    ),
    ("b-pro", "id: pro\nname: Pro\ndescription: Who pays\nenabled: true\ncriteria: {prop: plan, eq: pro}\n"),
];

fn site() -> Site {
    Site::new(&DEFINITIONS)
}

/// Collects differences, so that one run shows all of them.
#[derive(Default)]
struct Table {
    differences: Vec<String>,
}

impl Table {
    /// Compares a status and those members of the body that `expected` has.
    fn row(&mut self, id: &str, answer: &Message, status: u16, expected: &Value) {
        let body = answer.json();
        if answer.status() != status || !covers(&body, expected) {
            let found = format!("{} {}", answer.status(), String::from_utf8_lossy(&answer.body));
            self.differences.push(format!("{id}: expected {status} {expected}, found {found}"));
        }
    }

    fn same<T: PartialEq + std::fmt::Debug>(&mut self, id: &str, found: T, expected: T) {
        if found != expected {
            self.differences.push(format!("{id}: expected {expected:?}, found {found:?}"));
        }
    }

    #[track_caller]
    fn end(self) {
        assert!(self.differences.is_empty(), "\n{}\n", self.differences.join("\n"));
    }
}

/// Whether `body` has everything that `expected` has; lists must be equally long.
fn covers(body: &Value, expected: &Value) -> bool {
    match (body, expected) {
        (Value::Object(body), Value::Object(expected)) => {
            expected.iter().all(|(key, value)| body.get(key).is_some_and(|found| covers(found, value)))
        }
        (Value::Array(body), Value::Array(expected)) => {
            body.len() == expected.len()
                && body.iter().zip(expected).all(|(found, value)| covers(found, value))
        }
        (body, expected) => body == expected,
    }
}

/// The names of an object's members, sorted.
fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

fn error(text: &str) -> Value {
    json!({ "error": text })
}

/// Code and path of every issue (HT-32), in order.
fn issues(answer: &Message) -> Vec<(String, Value)> {
    let body = answer.json();
    let issues = body["issues"].as_array().cloned().unwrap_or_default();
    issues
        .into_iter()
        .map(|issue| (issue["code"].as_str().unwrap_or_default().to_owned(), issue["path"].clone()))
        .collect()
}

/// Issues as a table writes them.
fn wanted(issues: &[(&str, &str)]) -> Vec<(String, Value)> {
    issues.iter().map(|(code, key)| ((*code).to_owned(), json!([key]))).collect()
}

/// A new key with these scopes.
async fn key(server: &Server, scopes: &[&str]) -> String {
    let created =
        server.post("/v1/admin/api-keys", &json!({"name": "a key", "scopes": scopes})).await.expect(201);
    created["key"].as_str().unwrap().to_owned()
}
