//! Reads how a source proves its caller (WS-20, WS-21, WS-143).

use super::{Algorithm, Auth, DEFAULT_TOLERANCE_SECONDS, DetailedScheme, Encoding, Scheme, Signed};
use crate::criteria::{
    document::{Data, Node, at_index, within},
    reader::Reader,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Match,
    Signature,
}

const KINDS: [(&str, Kind); 2] = [("match", Kind::Match), ("signature", Kind::Signature)];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Svix,
    Stripe,
    HmacHex,
}

const SCHEMES: [(&str, Named); 3] =
    [("svix", Named::Svix), ("stripe", Named::Stripe), ("hmac-hex", Named::HmacHex)];

const ENCODINGS: [(&str, Encoding); 2] = [("hex", Encoding::Hex), ("base64", Encoding::Base64)];

const DETAILS: [&str; 6] = ["algorithm", "encoding", "prefix", "content", "timestamp_header", "tolerance"];

pub(super) fn auth(reader: &mut Reader, node: &Node, path: &str) -> Option<Auth> {
    let Data::Map(members) = &node.data else {
        let hint = "write for example {type: match, env: MY_SECRET, header: x-secret}".to_owned();
        reader.mistyped(node, path, "a map", Some(hint));
        return None;
    };
    let kind = reader.required(node, path, "type")?;
    let kind = reader.choice(kind, &within(path, "type"), &KINDS)?;
    let env =
        reader.required(node, path, "env").and_then(|node| variable(reader, node, &within(path, "env")));
    if kind == Kind::Match {
        reader.check_keys(members, path, &["type", "env", "header"]);
        let header = reader.required(node, path, "header");
        let header = header.and_then(|node| header_name(reader, node, &within(path, "header")));
        return Some(Auth::Match { header: header?, env: env? });
    }
    let scheme = reader.required(node, path, "scheme")?;
    let fallback = node.get("fallback_header");
    let fallback_header =
        fallback.and_then(|node| header_name(reader, node, &within(path, "fallback_header")));
    let scheme = match &scheme.data {
        Data::Map(_) => {
            reader.check_keys(members, path, &["type", "scheme", "env", "header", "fallback_header"]);
            detailed(reader, node, scheme, path)
        }
        _ => named(reader, node, scheme, path),
    };
    Some(Auth::Signature { scheme: scheme?, env: env?, fallback_header })
}

fn named(reader: &mut Reader, auth: &Node, scheme: &Node, path: &str) -> Option<Scheme> {
    let name = reader.choice(scheme, &within(path, "scheme"), &SCHEMES)?;
    let mut known = vec!["type", "scheme", "env", "fallback_header"];
    match name {
        Named::Svix => {}
        Named::Stripe => known.push("header"),
        Named::HmacHex => known.extend(["header", "algorithms"]),
    }
    reader.check_keys(auth.members(), path, &known);
    let header = auth.get("header").and_then(|node| header_name(reader, node, &within(path, "header")));
    Some(match name {
        Named::Svix => Scheme::Svix,
        Named::Stripe => Scheme::Stripe { header: header.unwrap_or_else(|| "stripe-signature".to_owned()) },
        Named::HmacHex => {
            let algorithms = auth.get("algorithms");
            let algorithms = algorithms.map(|node| algorithms_of(reader, node, &within(path, "algorithms")));
            let header = header.unwrap_or_else(|| "x-signature".to_owned());
            Scheme::HmacHex { header, algorithms: algorithms.unwrap_or_else(|| vec![Algorithm::Sha256]) }
        }
    })
}

fn algorithms_of(reader: &mut Reader, node: &Node, path: &str) -> Vec<Algorithm> {
    match &node.data {
        Data::List(elements) if !elements.is_empty() => elements
            .iter()
            .enumerate()
            .filter_map(|(index, element)| reader.choice(element, &at_index(path, index), &Algorithm::ALL))
            .collect(),
        _ => {
            reader.mistyped(
                node,
                path,
                "a list of algorithms",
                Some("write for example [sha256]".to_owned()),
            );
            Vec::new()
        }
    }
}

/// WS-143.
fn detailed(reader: &mut Reader, auth: &Node, scheme: &Node, path: &str) -> Option<Scheme> {
    let header = reader.required(auth, path, "header");
    let header = header.and_then(|node| header_name(reader, node, &within(path, "header")));
    let path = within(path, "scheme");
    reader.check_keys(scheme.members(), &path, &DETAILS);
    let algorithm = reader.required(scheme, &path, "algorithm");
    let algorithm =
        algorithm.and_then(|node| reader.choice(node, &within(&path, "algorithm"), &Algorithm::ALL));
    let encoding = reader.required(scheme, &path, "encoding");
    let encoding = encoding.and_then(|node| reader.choice(node, &within(&path, "encoding"), &ENCODINGS));
    let prefix = scheme.get("prefix").and_then(|node| reader.text(node, &within(&path, "prefix")));
    let timestamp = scheme.get("timestamp_header");
    let timestamp_header =
        timestamp.and_then(|node| header_name(reader, node, &within(&path, "timestamp_header")));
    let tolerance = scheme.get("tolerance");
    let tolerance = tolerance.and_then(|node| reader.duration(node, &within(&path, "tolerance")));
    let signed = content(reader, scheme, &path);
    if let Some(signed) = &signed
        && signed.contains(&Signed::Timestamp) != timestamp.is_some()
    {
        let message = "a `timestamp_header` and `{{timestamp}}` in `content` belong together";
        reader.error(scheme.at, &path, message, Some("only what is signed says when it was sent".to_owned()));
    }
    Some(Scheme::Detailed(DetailedScheme {
        header: header?,
        algorithm: algorithm?,
        encoding: encoding?,
        prefix: prefix.unwrap_or_default().to_owned(),
        content: signed?,
        timestamp_header,
        tolerance_seconds: tolerance.map_or(DEFAULT_TOLERANCE_SECONDS, |tolerance| tolerance.millis() / 1000),
    }))
}

/// What is signed: `{{timestamp}}` and `{{body}}` among text; the body alone if nothing is said.
fn content(reader: &mut Reader, scheme: &Node, path: &str) -> Option<Vec<Signed>> {
    let Some(node) = scheme.get("content") else { return Some(vec![Signed::Body]) };
    let path = within(path, "content");
    let mut rest = reader.text(node, &path)?;
    let mut parts = Vec::new();
    while let Some((before, after)) = rest.split_once("{{") {
        if !before.is_empty() {
            parts.push(Signed::Text(before.to_owned()));
        }
        let (name, behind) = after.split_once("}}").unwrap_or((after, ""));
        match name.trim() {
            "timestamp" => parts.push(Signed::Timestamp),
            "body" => parts.push(Signed::Body),
            _ => {
                reader.error(node.at, &path, "only {{timestamp}} and {{body}} are known here", None);
                return None;
            }
        }
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(Signed::Text(rest.to_owned()));
    }
    if !parts.contains(&Signed::Body) {
        reader.error(node.at, &path, "the body must be signed: {{body}}", None);
        return None;
    }
    Some(parts)
}

fn header_name(reader: &mut Reader, node: &Node, path: &str) -> Option<String> {
    let name = reader.text(node, path)?;
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)) {
        return Some(name.to_ascii_lowercase());
    }
    reader.error(node.at, path, format!("`{name}` is no name of a header"), None);
    None
}

fn variable(reader: &mut Reader, node: &Node, path: &str) -> Option<String> {
    let name = reader.text(node, path)?;
    let starts = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if starts && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Some(name.to_owned());
    }
    let hint = Some("name the variable that holds the secret, never the secret itself".to_owned());
    reader.error(node.at, path, "must be the name of an environment variable", hint);
    None
}
