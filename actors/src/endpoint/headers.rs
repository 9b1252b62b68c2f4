//! Which headers an operator may add to the requests of an endpoint (OB-112).

use std::collections::BTreeMap;

use mainspring_schemas::destination::is_reserved_header;

/// Most headers of an endpoint.
const MOST: usize = 20;

/// Most characters of a name.
const LONGEST_NAME: usize = 128;

/// Most bytes of a value.
const LONGEST_VALUE: usize = 1024;

/// Why a header is refused. The texts hold no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderRefusal {
    /// There are more than twenty.
    #[error("at most {MOST} headers")]
    TooMany,
    /// Its name has other characters, or none, or too many.
    #[error("a name has letters, digits, - and _, at most {LONGEST_NAME}")]
    Name,
    /// Its name belongs to the sender.
    #[error("this header is set by the sender")]
    Reserved,
    /// Its name comes twice; upper and lower case are the same.
    #[error("a name may come only once, whatever its case")]
    Repeated,
    /// Its value is too long or no printable ASCII.
    #[error("a value is printable ASCII, at most {LONGEST_VALUE} bytes")]
    Value,
}

/// Brings headers into the form they are kept in, names in lower case; or says which one is refused, and why.
///
/// # Errors
/// The name as given (empty for [`HeaderRefusal::TooMany`]) with the reason.
pub fn checked(
    headers: impl IntoIterator<Item = (String, String)>,
) -> Result<BTreeMap<String, String>, (String, HeaderRefusal)> {
    let mut kept = BTreeMap::new();
    for (name, value) in headers {
        let key = name.to_ascii_lowercase();
        if let Some(refusal) = refusal(&key, &value) {
            return Err((name, refusal));
        }
        if kept.insert(key, value).is_some() {
            return Err((name, HeaderRefusal::Repeated));
        }
        if kept.len() > MOST {
            return Err((String::new(), HeaderRefusal::TooMany));
        }
    }
    Ok(kept)
}

fn refusal(name: &str, value: &str) -> Option<HeaderRefusal> {
    let readable = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(readable) {
        return Some(HeaderRefusal::Name);
    }
    // What the body is, the kind says.
    if is_reserved_header(name) || name.starts_with("content-") {
        return Some(HeaderRefusal::Reserved);
    }
    let printable = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    (!printable || value.len() > LONGEST_VALUE).then_some(HeaderRefusal::Value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&str, &str)]) -> Result<BTreeMap<String, String>, HeaderRefusal> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        checked(pairs).map_err(|(_, refusal)| refusal)
    }

    #[test]
    fn ob_112_names_and_values_are_checked() {
        let kept = check(&[("X-Tenant_1", "acme"), ("Authorization", "Bearer a b")]).unwrap();
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["authorization", "x-tenant_1"]);
        for name in [
            "Host",
            "content-type",
            "Content-Length",
            "Connection",
            "transfer-encoding",
            "User-Agent",
            "webhook-id",
            "Svix-Id",
            "Proxy-Authorization",
            "Upgrade",
            "accept-encoding",
        ] {
            assert_eq!(check(&[(name, "v")]), Err(HeaderRefusal::Reserved), "{name}");
        }
        for name in ["", "a b", "a:", "ä", "a.b", &"n".repeat(129)] {
            assert_eq!(check(&[(name, "v")]), Err(HeaderRefusal::Name), "{name}");
        }
        for value in ["a\r\nX: y", "\t", "ü", "\u{7f}", &"v".repeat(1025)] {
            assert_eq!(check(&[("a", value)]), Err(HeaderRefusal::Value), "{value}");
        }
        assert!(check(&[("a", &"v".repeat(1024)), ("b", "")]).is_ok());
        assert_eq!(check(&[("A", "1"), ("a", "2")]), Err(HeaderRefusal::Repeated));
    }

    #[test]
    fn ob_112_at_most_twenty() {
        let named = |count: usize| (0..count).map(|n| (format!("x-{n}"), "v".to_owned()));
        assert_eq!(checked(named(20)).unwrap().len(), 20);
        assert_eq!(checked(named(21)).unwrap_err().1, HeaderRefusal::TooMany);
    }
}
