//! The identity scenarios of `tests/vectors/identity/identity-scenarios.json`, call by call over HTTP.
//!
//! Alias calls to an analytics provider are not compared, since there is no such producer yet; nor is W-29, which is
//! about lists.

use std::collections::HashMap;

use serde_json::Value;

use crate::{
    http::{Message, Request},
    server::{ADMIN, Server, Site},
};

/// Scenarios about what does not exist yet.
const LATER: [&str; 1] = ["W-29"];

/// Ids by the symbols of a scenario.
#[derive(Default)]
struct Symbols(HashMap<String, String>);

impl Symbols {
    /// The text itself, or what its symbol stands for.
    fn resolve(&self, text: &str) -> String {
        let known = text.strip_prefix('@').and_then(|symbol| self.0.get(symbol));
        known.cloned().unwrap_or_else(|| text.to_owned())
    }

    fn replace(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.resolve(text)),
            Value::Array(values) => values.iter().map(|value| self.replace(value)).collect(),
            Value::Object(members) => {
                members.iter().map(|(key, value)| (key.clone(), self.replace(value))).collect()
            }
            other => other.clone(),
        }
    }

    /// Binds a symbol at its first use, compares it afterwards.
    fn meet(&mut self, symbol: &str, id: &str, place: &str) {
        let bound = self.0.entry(symbol.to_owned()).or_insert_with(|| id.to_owned());
        assert_eq!(bound, id, "{place}: {symbol}");
    }
}

fn query(body: &Value) -> String {
    let pairs = body.as_object().unwrap().iter().map(|(key, value)| {
        let encode = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        };
        let value: String = value.as_str().unwrap().bytes().map(encode).collect();
        format!("{key}={value}")
    });
    pairs.collect::<Vec<_>>().join("&")
}

async fn call(server: &Server, call: &str, body: &Value) -> Message {
    let (call, header) = match call.split_once(" [Idempotency-Key: ") {
        Some((call, key)) => (call, Some(key.trim_end_matches(']').to_owned())),
        None => (call, None),
    };
    let (method, path) = call.split_once(' ').unwrap();
    let mut request = match method {
        "GET" => Request::new(method, &format!("{path}?{}", query(body))),
        _ => Request::new(method, path).json(body),
    };
    if let Some(key) = header {
        request = request.header("idempotency-key", &key);
    }
    server.send(request.key(ADMIN)).await
}

fn compare(symbols: &mut Symbols, place: &str, expected: &Value, answer: &Message) {
    assert_eq!(
        u64::from(answer.status()),
        expected["status"].as_u64().unwrap(),
        "{place}: {:?}",
        answer.json()
    );
    let answer = answer.json();
    let contacts = answer["contacts"].as_array().cloned().unwrap_or_default();
    for (member, expected) in expected.as_object().unwrap() {
        match member.as_str() {
            "status" => {}
            "bind" => symbols.meet(expected.as_str().unwrap(), answer["contactKey"].as_str().unwrap(), place),
            "contact" => symbols.meet(expected.as_str().unwrap(), answer["id"].as_str().unwrap(), place),
            "contacts" => {
                let expected = expected.as_array().unwrap();
                assert_eq!(contacts.len(), expected.len(), "{place}: {answer}");
                for (symbol, contact) in expected.iter().zip(&contacts) {
                    symbols.meet(symbol.as_str().unwrap(), contact["id"].as_str().unwrap(), place);
                }
            }
            "count" => assert_eq!(contacts.len() as u64, expected.as_u64().unwrap(), "{place}: {answer}"),
            // Members of the one contact that was found.
            "email" | "externalId" | "properties" => {
                assert_eq!(contacts[0][member], symbols.replace(expected), "{place}: {member} of {answer}");
            }
            _ => assert_eq!(answer[member], symbols.replace(expected), "{place}: {member} of {answer}"),
        }
    }
}

#[tokio::test]
async fn w_01_to_w_36_who_is_who_over_the_wire() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../vectors/identity/identity-scenarios.json")).unwrap();
    let mut compared = 0;
    for scenario in vectors["scenarios"].as_array().unwrap() {
        let id = scenario["id"].as_str().unwrap();
        if LATER.contains(&id) {
            continue;
        }
        let site = Site::new(&[]);
        let server = site.start();
        let mut symbols = Symbols::default();
        for (number, step) in scenario["steps"].as_array().unwrap().iter().enumerate() {
            let place = format!("{id} step {}: {}", number + 1, scenario["name"].as_str().unwrap());
            let body = symbols.replace(&step["body"]);
            let answer = call(&server, step["call"].as_str().unwrap(), &body).await;
            compare(&mut symbols, &place, &step["expect"], &answer);
            compared += 1;
        }
        server.kill();
    }
    assert!(compared > 130, "{compared}");
}
