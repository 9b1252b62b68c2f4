//! Personal fields that stand in a map of another field: `settings.config` is field `config` of the map in `settings`.
//!
//! Before an event is taken apart they are lifted out and stand beside the others under their whole path; after it came
//! together again they are put back. Few events have such fields, so what is common does not pay for them.

use std::borrow::Cow;

use super::{Header, Malformed, Reader};

/// Whether any of the fields is nested.
fn any_nested(fields: &[&str]) -> bool {
    fields.iter().any(|field| field.contains('.'))
}

/// The event with its nested personal fields at the top, under their paths.
///
/// # Errors
/// [`Malformed`] if `payload` is no map with text keys.
pub fn lift<'a>(payload: &'a [u8], fields: &[&str]) -> Result<Cow<'a, [u8]>, Malformed> {
    if !any_nested(fields) {
        return Ok(Cow::Borrowed(payload));
    }
    let mut top = Vec::new();
    for entry in entries(payload)? {
        let is_above =
            |field: &&str| field.split_once('.').is_some_and(|(above, _)| above.as_bytes() == entry.name);
        let Some(members) = fields.iter().any(is_above).then(|| entries(entry.value).ok()).flatten() else {
            top.push(Cow::Borrowed(entry.bytes));
            continue;
        };
        let mut kept = Vec::with_capacity(members.len());
        for member in members {
            let path = [entry.name, b".", member.name].concat();
            if fields.iter().any(|field| field.as_bytes() == path) {
                top.push(Cow::Owned([&text(&path)?, member.value].concat()));
            } else {
                kept.push(Cow::Borrowed(member.bytes));
            }
        }
        top.push(Cow::Owned([text(entry.name)?, map(&kept)].concat()));
    }
    Ok(Cow::Owned(map(&top)))
}

/// The event as it was before [`lift`], up to the order of its fields; `None` if nothing was lifted.
///
/// # Errors
/// [`Malformed`] if `payload` is not what `lift` made.
pub fn lower(payload: &[u8], fields: &[&str]) -> Result<Option<Vec<u8>>, Malformed> {
    if !any_nested(fields) {
        return Ok(None);
    }
    let all = entries(payload)?;
    let is_lifted = |entry: &Entry<'_>| {
        entry.name.contains(&b'.') && fields.iter().any(|field| field.as_bytes() == entry.name)
    };
    let mut top = Vec::with_capacity(all.len());
    for entry in all.iter().filter(|entry| !is_lifted(entry)) {
        let prefix = [entry.name, b"."].concat();
        let mut lifted =
            all.iter().filter(|other| is_lifted(other) && other.name.starts_with(&prefix)).peekable();
        if lifted.peek().is_none() {
            top.push(Cow::Borrowed(entry.bytes));
            continue;
        }
        let mut members: Vec<Cow<'_, [u8]>> =
            entries(entry.value)?.into_iter().map(|member| Cow::Borrowed(member.bytes)).collect();
        for member in lifted {
            members.push(Cow::Owned([&text(&member.name[prefix.len()..])?, member.value].concat()));
        }
        top.push(Cow::Owned([text(entry.name)?, map(&members)].concat()));
    }
    Ok(Some(map(&top)))
}

/// A field of a map, and where its parts are.
struct Entry<'a> {
    name: &'a [u8],
    value: &'a [u8],
    bytes: &'a [u8],
}

fn entries(bytes: &[u8]) -> Result<Vec<Entry<'_>>, Malformed> {
    let mut reader = Reader { rest: bytes };
    let fields = reader.map_header()?;
    let mut entries = Vec::new();
    for _ in 0..fields {
        let from_name = reader.rest;
        let name = reader.text()?;
        let from_value = reader.rest;
        reader.skip()?;
        let left = reader.rest.len();
        let (bytes, value) = (&from_name[..from_name.len() - left], &from_value[..from_value.len() - left]);
        entries.push(Entry { name, value, bytes });
    }
    if reader.rest.is_empty() { Ok(entries) } else { Err(Malformed) }
}

fn map(entries: &[Cow<'_, [u8]>]) -> Vec<u8> {
    let mut bytes = Header::of(entries.len()).bytes().to_vec();
    entries.iter().for_each(|entry| bytes.extend_from_slice(entry));
    bytes
}

/// A text in MessagePack; field names are shorter than 256 bytes.
fn text(name: &[u8]) -> Result<Vec<u8>, Malformed> {
    let length = u8::try_from(name.len()).map_err(|_| Malformed)?;
    let header: &[u8] = if length < 32 { &[0xa0 | length] } else { &[0xd9, length] };
    Ok([header, name].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [&str; 3] = ["secret", "settings.config", "settings.headers"];

    #[test]
    fn ob_86_nested_fields_are_lifted_and_put_back() {
        let event = serde_json::json!({
            "at": 1, "secret": "s",
            "settings": {"url": "u", "config": {"deep": [1, {"a": null}]}, "kind": "k", "headers": {"x": "y"}},
        });
        let payload = rmp_serde::to_vec(&event).unwrap();
        let lifted = lift(&payload, &FIELDS).unwrap();
        let read: serde_json::Value = rmp_serde::from_slice(&lifted).unwrap();
        assert_eq!(read["settings"], serde_json::json!({"url": "u", "kind": "k"}));
        assert_eq!(read["settings.headers"], serde_json::json!({"x": "y"}));
        let back = lower(&lifted, &FIELDS).unwrap().unwrap();
        assert_eq!(rmp_serde::from_slice::<serde_json::Value>(&back).unwrap(), event);
    }

    #[test]
    fn what_is_not_nested_is_left_alone() {
        let event = rmp_serde::to_vec(&serde_json::json!({"at": 1, "settings": null})).unwrap();
        assert!(matches!(lift(&event, &["at"]), Ok(Cow::Borrowed(_))));
        assert_eq!(lower(&event, &["at"]), Ok(None));
        assert_eq!(lower(&lift(&event, &FIELDS).unwrap(), &FIELDS), Ok(Some(event.clone())));
        assert!(lift(b"\x81", &FIELDS).is_err() && lower(b"\xc0", &FIELDS).is_err());
    }
}
