//! Fuzz targets: everything that reads text from outside must take any bytes. Each runs as an ordinary test on random
//! inputs; `cargo bolero test -p mainspring-outbound --test fuzz <target>` searches with coverage.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may stop a test")]

use bolero::check;
use mainspring_outbound::{
    address,
    exchange::snippet,
    guard::{AllowList, Policy},
    schedule::{Schedule, retry_after},
    secret::{self, Key},
    signature,
};
use mainspring_schemas::Timestamp;

/// 2026-06-15T12:00:00Z.
const NOW: Timestamp = Timestamp(1_781_524_800_000);

/// OB-145: whatever a receiver answers, the wait is never negative and never beyond a day.
#[test]
fn retry_after_header() {
    check!().for_each(|input: &[u8]| {
        if let Some(wait) = retry_after(&String::from_utf8_lossy(input), NOW) {
            assert!((0..=24 * 3_600_000).contains(&wait), "{wait}");
        }
    });
}

/// OB-91: a secret that is accepted has a key, and its spelling in our own form is the same key.
#[test]
fn signing_secret() {
    check!().for_each(|input: &[u8]| {
        if let Ok(key) = Key::parse(&String::from_utf8_lossy(input)) {
            assert!(!key.as_bytes().is_empty());
        }
        let mut random = [0; 32];
        random.iter_mut().zip(input).for_each(|(to, from)| *to = *from);
        assert_eq!(Key::parse(&secret::generate(random)).unwrap().as_bytes(), random);
    });
}

/// OB-107: nothing but our own signature of these bytes is accepted.
#[test]
fn signature_headers() {
    check!().for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        let (timestamp, signatures) = text.split_once('\n').unwrap_or((&text, &text));
        let key = [Key::parse(&secret::generate([7; 32])).unwrap()];
        assert!(signature::verify(&key, "msg_1", timestamp, signatures, input, NOW).is_err());
        let seconds = NOW.0 / 1000;
        let header = signature::sign(&key, "msg_1", seconds, input);
        assert_eq!(signature::verify(&key, "msg_1", &seconds.to_string(), &header, input, NOW), Ok(()));
    });
}

/// OB-191, OB-194: a url that passes has a host, and if that is an address it is a public one.
#[test]
fn endpoint_url() {
    check!().for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        for text in [text.to_string(), format!("https://{text}"), format!("https://{text}/x?y#z")] {
            let Ok(url) = Policy::default().check_url(&text) else { continue };
            assert_eq!(url.scheme(), "https");
            assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
            match url.host().unwrap() {
                url::Host::Ipv4(at) => assert_eq!(address::refusal(at.into()), None, "{text}"),
                url::Host::Ipv6(at) => assert_eq!(address::refusal(at.into()), None, "{text}"),
                url::Host::Domain(name) => assert!(name.contains('.') && !name.ends_with(".local"), "{text}"),
            }
        }
    });
}

/// Settings are text too.
#[test]
fn schedule_and_allow_list() {
    check!().for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        if let Ok(schedule) = Schedule::parse(&text) {
            let delays = (1..200).map_while(|attempt| schedule.delay_after(attempt, 0.5));
            assert!(delays.take(200).all(|delay| delay >= 0));
        }
        let _ = AllowList::parse(&text);
    });
}

/// OB-115: what is kept of an answer is short text, whatever the receiver sent.
#[test]
fn answer_body() {
    check!().for_each(|input: &[u8]| {
        let text = snippet(input).unwrap_or_default();
        assert!(text.len() <= 1024 && !text.contains('\0'));
    });
}
