//! Headers beside those of the destination: an operator's (OB-112), and what says that a request repeats one (OC-93).

use std::collections::BTreeMap;

use mainspring_schemas::destination::REPLAY_HEADER;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Adds the endpoint's headers to those of the destination, which win: a transform's credential is not overridden.
///
/// # Errors
/// A text without values if one of them cannot be sent, which the checks at creation exclude.
pub fn add(request: &mut HeaderMap, added: &BTreeMap<String, String>) -> Result<(), &'static str> {
    for (name, value) in added {
        let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            return Err("an added header cannot be sent");
        };
        // It may be a credential: kept out of debug output.
        value.set_sensitive(true);
        request.entry(name).or_insert(value);
    }
    Ok(())
}

/// Says of a replay, and of nothing else, that it is one: whatever the destination or the endpoint wrote there (OC-93).
pub fn mark_replay(request: &mut HeaderMap, replay: bool) {
    match replay {
        true => request.insert(REPLAY_HEADER, HeaderValue::from_static("true")),
        false => request.remove(REPLAY_HEADER),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oc_93_only_a_replay_says_that_it_is_one() {
        for (replay, written, sent) in [
            (true, None, Some("true")),
            (true, Some("false"), Some("true")),
            (false, Some("true"), None),
            (false, None, None),
        ] {
            let mut request = HeaderMap::new();
            if let Some(written) = written {
                request.insert(REPLAY_HEADER, HeaderValue::from_static(written));
            }
            mark_replay(&mut request, replay);
            let found = request.get(REPLAY_HEADER).map(|value| value.to_str().unwrap());
            assert_eq!(found, sent, "{replay} {written:?}");
        }
    }

    #[test]
    fn ob_112_headers_are_added_and_those_of_the_destination_win() {
        let mut request = HeaderMap::new();
        request.insert("authorization", HeaderValue::from_static("Basic x"));
        let added = [("authorization", "Bearer y"), ("x-tenant", "acme")];
        let added = added.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        add(&mut request, &added).unwrap();
        assert_eq!(request["authorization"], "Basic x");
        assert_eq!(request["x-tenant"], "acme");
        assert!(!format!("{request:?}").contains("acme"));
        assert!(add(&mut request, &[("a b".to_owned(), "v".to_owned())].into()).is_err());
    }
}
