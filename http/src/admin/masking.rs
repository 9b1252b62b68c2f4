//! Addresses without the credentials in them (OB-156).

use url::Url;

use mainspring_schemas::destination::{MASK, looks_secret};

/// Shortest part of a path that is taken for a credential, if letters and digits are mixed in it.
const SUSPICIOUS: usize = 20;

/// An address that may be shown: the whole path of a Slack address is its credential; elsewhere user and password, query
/// parameters that are named like secrets, and parts of the path that look like keys are masked.
pub(super) fn url(kind: &str, text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return MASK.to_owned() };
    let is_slack = kind == "slack" || url.host_str().is_some_and(|host| host.ends_with("slack.com"));
    if !url.username().is_empty() {
        // Fails only for addresses that cannot have a user at all.
        let _ = url.set_username(MASK);
    }
    if url.password().is_some() {
        let _ = url.set_password(Some(MASK));
    }
    if is_slack {
        url.set_path(MASK);
        url.set_query(None);
    }
    let parts: Vec<&str> = url.path().split('/').map(|part| if is_key(part) { MASK } else { part }).collect();
    let path = parts.join("/");
    if path != url.path() {
        url.set_path(&path);
    }
    if let Some(query) = url.query().map(masked_query) {
        url.set_query(Some(&query));
    }
    url.set_fragment(None);
    url.into()
}

/// The query as it was written, with the values of secrets replaced.
fn masked_query(query: &str) -> String {
    let mask = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if names_secret(name) || is_key(value) => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    };
    query.split('&').map(mask).collect::<Vec<_>>().join("&")
}

fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    looks_secret(&name)
        || ["sig", "auth", "pass", "credential", "code"].iter().any(|word| name.contains(word))
}

fn is_key(part: &str) -> bool {
    part.len() >= SUSPICIOUS
        && part.bytes().any(|byte| byte.is_ascii_digit())
        && part.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob_156_credentials_in_addresses_are_masked_and_nothing_else() {
        for (kind, text, shown) in [
            ("webhook", "https://a.example.com/hooks/crm?v=2", "https://a.example.com/hooks/crm?v=2"),
            ("slack", "https://hooks.slack.com/services/T0/B0/xyz", "https://hooks.slack.com/***"),
            ("webhook", "https://hooks.slack.com/services/T0/B0/xyz?a=1", "https://hooks.slack.com/***"),
            ("webhook", "https://me:pw@a.example.com/x", "https://***:***@a.example.com/x"),
            (
                "webhook",
                "https://a.example.com/x?api_key=1&page=2&Token=abc&sig=9",
                "https://a.example.com/x?api_key=***&page=2&Token=***&sig=***",
            ),
            (
                "webhook",
                "https://d.example.com/api/webhooks/7/AbC012345678901234567890#f",
                "https://d.example.com/api/webhooks/7/***",
            ),
            ("webhook", "not an address", "***"),
        ] {
            assert_eq!(url(kind, text), shown, "{text}");
        }
    }
}
