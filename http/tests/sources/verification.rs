//! The checks of section 3, case by case.

use mainspring_http::sources::{
    headers::Headers,
    verify::{Rejection, Request, Secrets, verify},
};
use mainspring_schemas::{
    Timestamp,
    source::{Algorithm, Auth, DetailedScheme, Encoding, Scheme, Signed},
};
use serde_json::Value;

use crate::cases;

const NOW: Timestamp = Timestamp(1_781_524_800_000);

fn signature(scheme: Scheme) -> Auth {
    Auth::Signature { scheme, env: "S".to_owned(), fallback_header: None }
}

fn hmac_hex(algorithms: &[Algorithm]) -> Auth {
    signature(Scheme::HmacHex { header: "x-signature".to_owned(), algorithms: algorithms.to_vec() })
}

fn accepts(auth: &Auth, secret: &str, headers: &[(&str, &str)], body: &[u8]) -> bool {
    let headers: Headers = headers.iter().copied().collect();
    let secrets = Secrets::read(secret).unwrap();
    verify(auth, &secrets, Request { headers: &headers, body, now: NOW }).is_ok()
}

fn run(file: &str, count: usize, auth: &Auth) {
    let mut wrong = Vec::new();
    for case in cases(file, count) {
        let text = |key: &str| case[key].as_str().unwrap();
        let headers: Headers = case["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        let now = Timestamp(case["now"].as_i64().unwrap() * 1000);
        let request = Request { headers: &headers, body: text("body").as_bytes(), now };
        let accepted = verify(auth, &Secrets::read(text("secret")).unwrap(), request).is_ok();
        if case["accept"] != accepted {
            wrong.push(format!("{file} {}: {accepted}", text("id")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn ws_30_svix_vectors() {
    run("verify-svix.json", 42, &signature(Scheme::Svix));
}

#[test]
fn ws_31_stripe_vectors() {
    run("verify-stripe.json", 28, &signature(Scheme::Stripe { header: "stripe-signature".to_owned() }));
}

#[test]
fn ws_32_hmac_hex_vectors() {
    run("verify-hmac-hex.json", 15, &hmac_hex(&[Algorithm::Sha1, Algorithm::Sha256]));
}

#[test]
fn ws_23_match_vectors() {
    let header = "x-posthog-webhook-secret".to_owned();
    run("verify-match.json", 10, &Auth::Match { header, env: "S".to_owned() });
}

/// A real signature out of the vectors.
fn svix() -> (String, String, String) {
    let case = cases("verify-svix.json", 42).remove(0);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&case["secret"]), text(&case["headers"]["svix-signature"]), text(&case["body"]))
}

#[test]
fn ws_22_any_of_several_secrets_may_match() {
    let (secret, signature_value, body) = svix();
    let headers = [
        ("svix-id", "msg_2vec"),
        ("svix-timestamp", "1781524800"),
        ("svix-signature", signature_value.as_str()),
    ];
    let auth = signature(Scheme::Svix);
    assert!(accepts(&auth, &format!("whsec_bmV3\n {secret}"), &headers, body.as_bytes()));
    assert!(!accepts(&auth, "whsec_bmV3 whsec_b2xk", &headers, body.as_bytes()));
    let auth = Auth::Match { header: "x-secret".to_owned(), env: "S".to_owned() };
    assert!(accepts(&auth, "old new", &[("x-secret", "new")], b""));
    assert!(!accepts(&auth, "old new", &[("x-secret", "old new")], b""));
}

#[test]
fn ws_96_at_most_ten_signatures_are_examined() {
    let (secret, right, body) = svix();
    let auth = signature(Scheme::Svix);
    let accepted = |wrong: usize| {
        let signatures = "v1,x ".repeat(wrong) + &right;
        let headers = [
            ("svix-id", "msg_2vec"),
            ("svix-timestamp", "1781524800"),
            ("svix-signature", signatures.as_str()),
        ];
        accepts(&auth, &secret, &headers, body.as_bytes())
    };
    assert!(accepted(9));
    assert!(!accepted(10));
}

#[test]
fn ws_24_the_plain_secret_counts_only_without_a_signature() {
    let auth = Auth::Signature {
        scheme: Scheme::Svix,
        env: "S".to_owned(),
        fallback_header: Some("x-plain".to_owned()),
    };
    assert!(accepts(&auth, "no base64!", &[("x-plain", "no"), ("svix-id", "1")], b"{}"));
    assert!(!accepts(&auth, "secret", &[("x-plain", "secret"), ("webhook-signature", "v1,x")], b"{}"));
    assert!(!accepts(&auth, "secret", &[("x-plain", "other")], b"{}"));
    assert!(!accepts(&auth, "secret", &[("x-plain", "")], b"{}"));
}

#[test]
fn ws_27_the_signature_is_over_bytes_not_text() {
    let body = [0xef, 0xbb, 0xbf, b'{', 0xff, b'}'];
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"k");
    let tag = ring::hmac::sign(&key, &body);
    let right: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let auth = hmac_hex(&[Algorithm::Sha256]);
    assert!(accepts(&auth, "k", &[("x-signature", &right)], &body));
    assert!(!accepts(&auth, "k", &[("x-signature", &right)], &body[3..]), "a byte order mark is part of it");
}

#[test]
fn ws_143_a_scheme_in_its_parts() {
    let scheme = DetailedScheme {
        header: "x-slack-signature".to_owned(),
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Hex,
        prefix: "v0=".to_owned(),
        content: vec![
            Signed::Text("v0:".to_owned()),
            Signed::Timestamp,
            Signed::Text(":".to_owned()),
            Signed::Body,
        ],
        timestamp_header: Some("x-slack-request-timestamp".to_owned()),
        tolerance_seconds: 60,
    };
    // The example of the provider's documentation, with its own timestamp.
    let body =
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&\
response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&\
trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let verdict = |now: i64, signature: &str| {
        let headers: Headers =
            [("x-slack-request-timestamp", "1531420618"), ("x-slack-signature", signature)]
                .into_iter()
                .collect();
        let secrets = Secrets::read("8f742231b10e8888abcd99yyyzzz85a5").unwrap();
        let request = Request { headers: &headers, body, now: Timestamp(now * 1000) };
        verify(&signature_of(&scheme), &secrets, request).map(|verified| verified.signed_at)
    };
    let right = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    assert_eq!(verdict(1_531_420_678, right), Ok(Some(Timestamp(1_531_420_618_000))));
    assert_eq!(verdict(1_531_420_679, right), Err(Rejection::Stale));
    assert_eq!(verdict(1_531_420_618, &right[3..]), Err(Rejection::Unreadable));
    assert_eq!(verdict(1_531_420_618, &right.replace("a2", "a3")), Err(Rejection::Mismatch));

    let hub = DetailedScheme {
        header: "x-hub-signature".to_owned(),
        algorithm: Algorithm::Sha1,
        encoding: Encoding::Base64,
        prefix: "sha1=".to_owned(),
        content: vec![Signed::Body],
        timestamp_header: None,
        tolerance_seconds: 300,
    };
    // RFC 2202, test case 2.
    let value = "sha1=7/zfauXrL6LSdBbV8YTfnCWafHk=";
    let body = b"what do ya want for nothing?";
    assert!(accepts(&signature_of(&hub), "Jefe", &[("x-hub-signature", value)], body));
    assert!(!accepts(&signature_of(&hub), "jefe", &[("x-hub-signature", value)], body));
}

fn signature_of(scheme: &DetailedScheme) -> Auth {
    signature(Scheme::Detailed(scheme.clone()))
}

proptest::proptest! {
    #[test]
    fn ws_26_verification_never_panics(
        header in ".{0,80}", time in "[0-9]{0,24}|.{0,6}", secret in "[!-~]{1,40}", body: Vec<u8>,
    ) {
        let headers = [
            ("svix-id", time.as_str()), ("svix-timestamp", &time), ("svix-signature", &header),
            ("stripe-signature", &header), ("x-signature", &header),
        ];
        let joined = format!("t={time},v1={header}");
        let stripe = Scheme::Stripe { header: "stripe-signature".to_owned() };
        for auth in [signature(Scheme::Svix), signature(stripe), hmac_hex(&[Algorithm::Sha1])] {
            assert!(!accepts(&auth, &secret, &headers, &body));
            assert!(!accepts(&auth, &secret, &[("stripe-signature", joined.as_str())], &body));
        }
    }
}
