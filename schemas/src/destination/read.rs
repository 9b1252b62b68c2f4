//! Reads a destination out of a document; every problem goes to the reader.

use serde_json::Value;

use super::{
    ConfigSchema, Description, DestinationDefinition, Field, FieldKind, Method, ROOTS, RequestTemplate,
    Success, UrlTemplate, is_reserved_header, looks_secret, model::CONFIG,
};
use crate::{
    catalog::{is_subscription, subscribable},
    criteria::{
        document::{Data, Mark, Node, at_index, within},
        reader::Reader,
        suggest::did_you_mean,
    },
    definition::one_per_file::Reading,
    expression::{Condition, Shape, Template, template},
};

const KEYS: [&str; 8] =
    ["destination", "name", "description", "events", "config", "skip_if", "request", "success"];

const FIELD_KEYS: [&str; 4] = ["type", "required", "secret", "default"];

const REQUEST_KEYS: [&str; 4] = ["method", "url", "headers", "json"];

const SUCCESS_KEYS: [&str; 3] = ["status", "body_contains", "body_not_contains"];

/// Types of a configuration's keys; `Names` is for presets alone.
pub(super) const TYPES: [(&str, FieldKind); 4] = [
    ("string", FieldKind::Text),
    ("number", FieldKind::Number),
    ("boolean", FieldKind::Boolean),
    ("url", FieldKind::Address),
];

pub(super) fn destination(reader: &mut Reader, node: &Node) -> Reading<DestinationDefinition> {
    let since = reader.problems.len();
    reader.check_keys(node.members(), "", &KEYS);
    let id = id(reader, node);
    let definition = definition(reader, node, id.as_ref().map(|(id, _)| id));
    Reading { id, definition: definition.filter(|_| !reader.failed_since(since)) }
}

/// Every part is read before one that is missing counts, so that all problems are reported.
fn definition(reader: &mut Reader, node: &Node, id: Option<&String>) -> Option<DestinationDefinition> {
    let mut text = |key: &str| reader.text(node.get(key)?, key).map(str::to_owned);
    let (name, description) = (text("name"), text("description"));
    let events = reader.required(node, "", "events");
    let events = events.and_then(|events| self::events(reader, events));
    let config = match node.get("config") {
        Some(config) => self::config(reader, config),
        None => Some(ConfigSchema::default()),
    };
    let roots = roots(config.as_ref());
    let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
    let skip_if = node.get("skip_if").map(|skip| Condition::read(reader, skip, "skip_if", &roots));
    let request = reader.required(node, "", "request");
    let request = request.and_then(|request| self::request(reader, request, &roots));
    let success = node.get("success").map(|success| self::success(reader, success));
    let description = Description {
        id: id?.clone(),
        name: name.unwrap_or_else(|| id.cloned().unwrap_or_default()),
        description,
        events: events?,
        config: config?,
        placeholder_url: None,
        secret_url: false,
    };
    Some(DestinationDefinition {
        description,
        skip_if: optional(skip_if)?,
        request: request?,
        success: optional(success)?,
    })
}

/// What expressions begin with: a member of the configuration that the file does not declare has no value, ever. Where
/// the declaration itself has faults nothing is said about its members.
fn roots(config: Option<&ConfigSchema>) -> Vec<String> {
    let Some(config) = config else { return ROOTS.map(str::to_owned).to_vec() };
    let declared = || config.fields.iter().map(|field| within(CONFIG, &field.name));
    let of = |root: &str| if root == CONFIG { declared().collect() } else { vec![root.to_owned()] };
    ROOTS.into_iter().flat_map(of).collect()
}

/// What is not there is no fault; what cannot be read is.
fn optional<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}

fn id(reader: &mut Reader, node: &Node) -> Option<(String, Mark)> {
    let value = reader.required(node, "", "destination")?;
    let text = reader.text(value, "destination")?;
    let is_good =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if text.len() > 64 || !text.bytes().all(is_good) {
        let message = "must be of at most 64 small letters, digits, `-` and `_`";
        reader.error(value.at, "destination", message, None);
        return None;
    }
    Some((text.to_owned(), value.at))
}

fn events(reader: &mut Reader, node: &Node) -> Option<Vec<String>> {
    let Data::List(elements) = &node.data else {
        reader.mistyped(node, "events", "a list of event types", Some("all of them are [\"*\"]".to_owned()));
        return None;
    };
    if elements.is_empty() {
        reader.error(node.at, "events", "must hold a type", None);
        return None;
    }
    let read = |(index, element)| {
        let path = at_index("events", index);
        let text = reader.text(element, &path)?;
        if !is_subscription(text) {
            let known: Vec<&str> = subscribable().collect();
            let hint =
                did_you_mean(text, &known).or_else(|| Some(format!("known types: {}", known.join(", "))));
            reader.error(element.at, &path, format!("unknown type `{text}`"), hint);
            return None;
        }
        Some(text.to_owned())
    };
    let read: Vec<Option<String>> = elements.iter().enumerate().map(read).collect();
    read.into_iter().collect()
}

fn config(reader: &mut Reader, node: &Node) -> Option<ConfigSchema> {
    let members = map(reader, node, "config", "write for example {token: {type: string, secret: true}}")?;
    let keys: Vec<&str> = members.iter().map(|(key, _)| *key).collect();
    reader.check_keys(node.members(), "config", &keys);
    let read: Vec<Option<Field>> = members.iter().map(|(name, value)| field(reader, name, value)).collect();
    read.into_iter().collect::<Option<_>>().map(ConfigSchema::closed)
}

fn field(reader: &mut Reader, name: &str, node: &Node) -> Option<Field> {
    let path = within("config", name);
    map(reader, node, &path, "write for example {type: string, required: true}")?;
    reader.check_keys(node.members(), &path, &FIELD_KEYS);
    let kind = reader.required(node, &path, "type");
    let kind = kind.and_then(|kind| reader.choice(kind, &within(&path, "type"), &TYPES));
    let mut flag = |key: &str| node.get(key).map(|flag| reader.flag(flag, &within(&path, key)));
    let (required, secret) = (flag("required"), flag("secret"));
    let default = node.get("default").map(|default| {
        let path = within(&path, "default");
        let value = literal(default);
        let admitted = value.filter(|value| kind.is_none_or(|kind| kind.admits(value)));
        if admitted.is_none() {
            let expected = kind.map_or("a value", FieldKind::expected);
            reader.mistyped(default, &path, expected, None);
        }
        admitted
    });
    if let (Some(Some(true)), Some(default)) = (required, node.get("default")) {
        let hint = Some("leave one of them out".to_owned());
        reader.error(default.at, &within(&path, "default"), "a required value has no default", hint);
    }
    Some(Field {
        name: name.to_owned(),
        kind: kind?,
        required: optional(required)?.unwrap_or(false),
        // OB-84: a name that says so is enough.
        secret: optional(secret)?.unwrap_or(false) || looks_secret(name),
        default: optional(default)?,
    })
}

fn literal(node: &Node) -> Option<Value> {
    match &node.data {
        Data::Text(text) => Some(Value::from(text.as_str())),
        Data::Bool(flag) => Some(Value::from(*flag)),
        Data::Number(number) => Some(Value::Number(number.clone().into())),
        _ => None,
    }
}

fn request(reader: &mut Reader, node: &Node, roots: &[&str]) -> Option<RequestTemplate> {
    map(reader, node, "request", "write for example {url: \"https://crm.example.com/ingest\"}")?;
    reader.check_keys(node.members(), "request", &REQUEST_KEYS);
    let method = node.get("method").map(|method| reader.choice(method, "request.method", &Method::ALL));
    let url = reader.required(node, "request", "url").and_then(|url| self::url(reader, url, roots));
    let headers = match node.get("headers") {
        Some(headers) => self::headers(reader, headers, roots),
        None => Some(Vec::new()),
    };
    let json = node.get("json").map(|json| Shape::read(reader, json, "request.json", roots));
    Some(RequestTemplate {
        method: optional(method)?.unwrap_or_default(),
        url: url?,
        headers: headers?,
        json: optional(json)?,
    })
}

fn url(reader: &mut Reader, node: &Node, roots: &[&str]) -> Option<UrlTemplate> {
    let text = reader.text(node, "request.url")?;
    let parsed = UrlTemplate::parse(text, roots);
    parsed.map_err(|invalid| reader.error(node.at, "request.url", invalid.to_string(), None)).ok()
}

fn headers(reader: &mut Reader, node: &Node, roots: &[&str]) -> Option<Vec<(String, Template)>> {
    let members = map(reader, node, "request.headers", "write for example {X-Source: mainspring}")?;
    let mut seen = Vec::with_capacity(members.len());
    let mut read = Vec::with_capacity(members.len());
    for (name, value) in members {
        let path = within("request.headers", name);
        let folded = name.to_ascii_lowercase();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            reader.error(value.at, &path, "is no name of a header", None);
        } else if is_reserved_header(&folded) {
            reader.error(value.at, &path, format!("`{name}` is made by the sender"), None);
        } else if seen.contains(&folded) {
            reader.error(value.at, &path, format!("the header `{name}` is there twice"), None);
        }
        seen.push(folded);
        let value = template(reader, value, &path, roots);
        read.push(value.map(|value| (name.to_owned(), value)));
    }
    read.into_iter().collect()
}

fn success(reader: &mut Reader, node: &Node) -> Option<Success> {
    map(reader, node, "success", "write for example {status: 200-299}")?;
    reader.check_keys(node.members(), "success", &SUCCESS_KEYS);
    let status = node.get("status").map(|status| self::status(reader, status));
    let mut text =
        |key: &str| node.get(key).map(|text| reader.text(text, &within("success", key)).map(str::to_owned));
    let (body_contains, body_not_contains) = (text("body_contains"), text("body_not_contains"));
    Some(Success {
        status: optional(status)?.unwrap_or((200, 299)),
        body_contains: optional(body_contains)?,
        body_not_contains: optional(body_not_contains)?,
    })
}

/// One status, or the lowest and the highest.
fn status(reader: &mut Reader, node: &Node) -> Option<(u16, u16)> {
    let text = match &node.data {
        Data::Number(number) => number.to_string(),
        Data::Text(text) => text.clone(),
        _ => String::new(),
    };
    let (lowest, highest) = text.split_once('-').unwrap_or((&text, &text));
    let of = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (200..=599).contains(status));
    match (of(lowest), of(highest)) {
        (Some(lowest), Some(highest)) if lowest <= highest => Some((lowest, highest)),
        _ => {
            let hint = Some("write for example 202, or 200-299".to_owned());
            reader.error(
                node.at,
                "success.status",
                "must be a status from 200 to 599, or a range of them",
                hint,
            );
            None
        }
    }
}

/// The members of a map.
fn map<'n>(reader: &mut Reader, node: &'n Node, path: &str, hint: &str) -> Option<Vec<(&'n str, &'n Node)>> {
    let Data::Map(members) = &node.data else {
        reader.mistyped(node, path, "a map", Some(hint.to_owned()));
        return None;
    };
    Some(members.iter().map(|member| (member.key.as_str(), &member.value)).collect())
}
