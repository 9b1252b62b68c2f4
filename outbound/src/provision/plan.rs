//! What is to be done with PostHog's destination (WS-93); pure.

use serde_json::{Map, Value, json};
use url::Url;

/// The header of our source that holds its secret (WS-43).
const SECRET_HEADER: &str = "x-posthog-webhook-secret";

/// Where our source is, on whatever host.
const PATH: &str = "/v1/webhooks/posthog";

/// The template of PostHog that a destination is made from.
const TEMPLATE: &str = "template-webhook";

/// The property of events by which only those of identified people are sent.
const IDENTIFIED: &str = "$is_identified";

/// Names by which a destination of ours is recognized, those of its predecessor included.
const NAMES: [&str; 2] = ["mainspring", "hogsend"];

/// Most destinations that are looked at.
const MOST_CANDIDATES: usize = 25;

/// What PostHog computes and keeps beside what it was given.
const COMPUTED: [&str; 4] = ["bytecode", "bytecode_error", "transpiled", "order"];

/// What the destination must say.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The address of our source.
    pub webhook_url: &'a str,
    /// What our source recognizes PostHog by.
    pub secret: &'a str,
}

/// What is to be done. Not for debug output: it holds the secret.
#[derive(Clone, PartialEq)]
pub enum Plan {
    /// Make this destination.
    Create(Value),
    /// Change these members of the one there is.
    Update(Value),
    /// Nothing.
    Unchanged,
}

/// The listed destinations worth a look, the likeliest first: by their names, then by their template.
pub fn candidates(listed: &[Value]) -> Vec<&Value> {
    let mut candidates: Vec<&Value> = listed.iter().collect();
    candidates.sort_by_key(|destination| {
        let name = destination["name"].as_str().unwrap_or_default().to_lowercase();
        let template = destination["template"]["id"].as_str().or(destination["template_id"].as_str());
        (!NAMES.iter().any(|known| name.contains(known)), template != Some(TEMPLATE))
    });
    candidates.truncate(MOST_CANDIDATES);
    candidates
}

/// Where a destination sends to.
pub fn destination_url(destination: &Value) -> Option<&str> {
    destination["inputs"]["url"]["value"].as_str()
}

/// Whether an address is one of our source, on whatever host.
pub fn leads_here(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| url.path().trim_end_matches('/').ends_with(PATH))
}

/// Decides by the destination there is. Of it are kept: name, description, foreign headers and foreign filters.
pub fn plan(existing: Option<&Value>, wanted: &Wanted<'_>) -> Plan {
    let Some(existing) = existing else { return Plan::Create(created(wanted)) };
    let mut patch = Map::new();
    if let Some(inputs) = corrected_inputs(&existing["inputs"], wanted) {
        patch.insert("inputs".to_owned(), inputs);
    }
    if let Some(filters) = corrected_filters(&existing["filters"]) {
        patch.insert("filters".to_owned(), filters);
    }
    if existing["enabled"] != true {
        patch.insert("enabled".to_owned(), Value::Bool(true));
    }
    if patch.is_empty() { Plan::Unchanged } else { Plan::Update(Value::Object(patch)) }
}

fn created(wanted: &Wanted<'_>) -> Value {
    let inputs: Map<String, Value> = own_inputs(&Value::Null, wanted)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!({ "value": value })))
        .collect();
    json!({
        "type": "destination",
        "template_id": TEMPLATE,
        "name": "Mainspring",
        "description": "Sends events of identified people to Mainspring.",
        "enabled": true,
        "inputs": inputs,
        "filters": {"source": "events", "properties": [own_filter()]},
    })
}

/// Our four inputs; the headers keep those of others.
fn own_inputs(inputs: &Value, wanted: &Wanted<'_>) -> [(&'static str, Value); 4] {
    [
        ("url", Value::from(wanted.webhook_url)),
        ("method", Value::from("POST")),
        ("body", json!({"event": "{event}", "person": "{person}"})),
        ("headers", headers(&inputs["headers"]["value"], wanted.secret)),
    ]
}

/// The inputs as they must be; `None` if they are.
fn corrected_inputs(inputs: &Value, wanted: &Wanted<'_>) -> Option<Value> {
    let own = own_inputs(inputs, wanted);
    let is_right = |(name, value): &(&str, Value)| {
        let input = &inputs[*name];
        // In another language our placeholders are plain text.
        input["value"] == *value && matches!(input["templating"].as_str(), None | Some("hog"))
    };
    if own.iter().all(is_right) {
        return None;
    }
    let mut corrected = inputs.as_object().cloned().unwrap_or_default();
    for input in corrected.values_mut().filter_map(Value::as_object_mut) {
        input.retain(|member, _| !COMPUTED.contains(&member.as_str()));
    }
    for (name, value) in own {
        corrected.insert(name.to_owned(), json!({ "value": value }));
    }
    Some(Value::Object(corrected))
}

/// Our headers, each once and with our value, among those of others.
fn headers(current: &Value, secret: &str) -> Value {
    let mut headers = current.as_object().cloned().unwrap_or_default();
    for (own, value) in [("Content-Type", "application/json"), (SECRET_HEADER, secret)] {
        let is_own = |name: &str| name.trim().eq_ignore_ascii_case(own);
        let mut found = headers.iter().filter(|(name, _)| is_own(name));
        let is_right = found.next().is_some_and(|(_, found)| found == value) && found.next().is_none();
        if !is_right {
            headers.retain(|name, _| !is_own(name));
            headers.insert(own.to_owned(), Value::from(value));
        }
    }
    Value::Object(headers)
}

fn own_filter() -> Value {
    json!({"key": IDENTIFIED, "type": "event", "operator": "exact", "value": ["true"]})
}

/// The filters as they must be; `None` if they are.
fn corrected_filters(filters: &Value) -> Option<Value> {
    let properties = filters["properties"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_own = |filter: &Value| filter["key"] == IDENTIFIED && filter["type"].as_str() != Some("person");
    let own: Vec<&Value> = properties.iter().filter(|filter| is_own(filter)).collect();
    if let [only] = own.as_slice()
        && only["operator"] == "exact"
        && only["value"] == json!(["true"])
    {
        return None;
    }
    let mut corrected = filters.as_object().cloned().unwrap_or_default();
    corrected.retain(|member, _| !COMPUTED.contains(&member.as_str()));
    let foreign = properties.iter().filter(|filter| !is_own(filter)).cloned();
    corrected.insert("properties".to_owned(), foreign.chain([own_filter()]).collect());
    Some(Value::Object(corrected))
}

#[cfg(test)]
mod tests;
